"""Training data of the sequence network: from trajectories to batches of sequences.

Sequences are functions of a trajectory and a generator that is seeded by the pool's index, so that a position in the
data is three integers and training resumes exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from optiformer.errors import ModelError
from optiformer.sequence.config import AugmentConfig
from optiformer.sequence.tokenizer import ScoreScale, Vocabulary, quantize
from optiformer.sequence.trajectories import shards

Split = Literal["train", "validation"]
VALIDATION_EVERY = 40
POOL = 256


@dataclass(frozen=True, eq=False)
class StoredTrajectory:
    """One stored trajectory; shapes as in :class:`optiformer.sequence.teachers.Trajectory`."""

    levels: NDArray[np.int64]
    categorical: NDArray[np.bool_]
    positions: NDArray[np.float32]
    values: NDArray[np.float64]
    truths: NDArray[np.float64]
    f_best: float
    f_ref: float

    def regret(self, trial: int) -> float:
        """Normalised noise-free regret of a trial, known in hindsight."""
        return max(float(self.truths[trial]) - self.f_best, 0.0) / max(self.f_ref - self.f_best, 1e-12)


class TrajectoryStore:
    """All trajectories of a dataset's split, in memory as flat arrays.

    Args:
        folder: The dataset.
        split: ``validation`` holds every fortieth function, ``train`` the others: no function is in both.
    """

    def __init__(self, folder: str | Path, split: Split) -> None:
        import pyarrow.parquet as pq

        self._rows: list[StoredTrajectory] = []
        for path in shards(folder):
            try:
                columns = pq.read_table(path).combine_chunks()
            except (OSError, ValueError) as error:
                raise ModelError(f"The shard {path} is damaged ({error}); delete it and generate it again.") from error
            self._rows += list(_rows(columns, split))
        if not self._rows:
            raise ModelError(f"The dataset {folder} is too small to have a {split} split; generate more trajectories.")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> StoredTrajectory:
        return self._rows[index]


def _rows(table: object, split: Split) -> Iterator[StoredTrajectory]:
    flat, offsets = {}, {}
    for name in ("levels", "categorical", "positions", "values", "truths"):
        column = table[name].combine_chunks()  # type: ignore[index]
        flat[name] = column.values.to_numpy(zero_copy_only=False)
        offsets[name] = column.offsets.to_numpy()
    scalars = {name: table[name].to_numpy() for name in ("function_id", "f_best", "f_ref")}  # type: ignore[index]
    for i, function_id in enumerate(scalars["function_id"]):
        if (function_id % VALIDATION_EVERY == 7) != (split == "validation"):
            continue
        cells = {name: flat[name][offsets[name][i] : offsets[name][i + 1]] for name in flat}
        yield StoredTrajectory(
            cells["levels"].astype(np.int64),
            cells["categorical"].astype(bool),
            cells["positions"].reshape(len(cells["values"]), -1),
            cells["values"],
            cells["truths"],
            float(scalars["f_best"][i]),
            float(scalars["f_ref"][i]),
        )


@dataclass(frozen=True, eq=False)
class Sequence:
    """One training sequence.

    Attributes:
        tokens: Token ids, shape (L,).
        weights: Loss weights, shape (L,); 0 for tokens that inference never samples.
    """

    tokens: NDArray[np.int64]
    weights: NDArray[np.float32]


def make_sequence(
    trajectory: StoredTrajectory, rng: np.random.Generator, config: AugmentConfig, vocabulary: Vocabulary
) -> Sequence:
    """Shorten, order, perturb and permute a trajectory and turn it into tokens."""
    chosen, is_sorted = choose_trials(trajectory, rng, config)
    positions = trajectory.positions[chosen].astype(np.float64)
    values = trajectory.values[chosen]
    failed = np.zeros(len(chosen), dtype=bool)
    if rng.random() < config.failed_share:
        failed = (rng.random(len(chosen)) < 0.2) & (values > values.min())
        if is_sorted:  # as at inference: failed trials first
            rows = np.argsort(~failed, kind="stable")
            chosen, positions, values, failed = chosen[rows], positions[rows], values[rows], failed[rows]
    level = _target_level(trajectory.regret(int(chosen[-1])), config) if config.regret_token else 0
    if rng.random() < config.noise_share:
        noisy = positions + rng.normal(0.0, config.value_noise, positions.shape)
        positions = np.where(trajectory.levels > 0, positions, np.clip(noisy, 0.0, 1.0))
    tokens = encode_positions(positions, trajectory.levels, trajectory.categorical, rng, config.permute, vocabulary)
    scores = quantize(ScoreScale.of(values[~failed]).position(values), vocabulary.n_bins)
    scores[failed] = vocabulary.special("INFEASIBLE")
    n, width = tokens.shape
    trials = np.empty((n, width + 3), dtype=np.int64)
    trials[:, 0] = vocabulary.special("TRIAL_SEP")
    trials[:, 1:-2] = tokens
    trials[:, -2] = vocabulary.special("SCORE")
    trials[:, -1] = scores
    weights = np.full(trials.shape, config.frame_weight, dtype=np.float32)
    importance = np.full(n, config.improvement_weight, dtype=np.float32)
    if is_sorted:
        importance[n // 2 :] = 1.0
    importance[failed] = 0.0
    active = trials[:, 2:-2:2] != vocabulary.special("INACTIVE")
    weights[:, 2:-2:2] = np.where(active, importance[:, None], config.frame_weight)
    weights[:, -1] = np.where(failed, config.frame_weight, importance * config.score_weight)
    head = [vocabulary.special("BOS"), vocabulary.target(level)]
    return Sequence(
        np.concatenate([head, trials.ravel(), [vocabulary.special("EOS")]]),
        np.concatenate([[0, config.frame_weight], weights.ravel(), [config.frame_weight]]).astype(np.float32),
    )


def choose_trials(
    trajectory: StoredTrajectory, rng: np.random.Generator, config: AugmentConfig
) -> tuple[NDArray[np.int64], bool]:
    """Trials of a sequence, in order, and whether the order is from worst to best."""
    total, dimensions = trajectory.positions.shape
    longest = min(config.max_trials, (config.max_tokens - 3) // (2 * dimensions + 3), total)
    n = longest
    if rng.random() < 0.5 and longest > 4:
        n = int(np.exp(rng.uniform(np.log(4), np.log(longest + 1))))
    seen = total if rng.random() < 0.5 else int(rng.integers(n, total + 1))
    ranked = np.argsort(trajectory.values[:seen], kind="stable")
    n_best = max(1, round(n * rng.uniform(0.0, config.keep_best)))
    rest = rng.permutation(ranked[n_best:])[: n - n_best]
    chosen = np.sort(np.concatenate([ranked[:n_best], rest]))
    if rng.random() < config.sorted_share:
        return chosen[np.argsort(-trajectory.values[chosen], kind="stable")], True
    return (rng.permutation(chosen) if rng.random() < 0.5 else chosen), False


def encode_positions(
    positions: NDArray[np.float64],
    levels: NDArray[np.int64],
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
    permute: bool,
    vocabulary: Vocabulary,
) -> NDArray[np.int64]:
    """``(NAME value)*`` of every trial, (N, D) -> (N, 2 D); NaN positions are inactive.

    With ``permute`` parameters get a random order and random names, about half of the scales are reversed, and
    categories are permuted; the function is equivalent.
    """
    n, dimensions = positions.shape
    order = rng.permutation(dimensions) if permute else np.arange(dimensions)
    slots = rng.permutation(len(vocabulary.names))[:dimensions] if permute else np.arange(dimensions)
    inactive = np.isnan(positions)
    filled = np.where(inactive, 0.5, positions)
    if permute:
        filled = np.where(rng.random(dimensions) < 0.5, 1.0 - filled, filled)
    # Float32 and reversing move cell centres slightly, and many centres lie on the edge of two bins.
    count = np.maximum(levels, 1)
    filled = np.where(levels > 0, (np.minimum(np.floor(filled * count), count - 1) + 0.5) / count, filled)
    tokens = quantize(filled, vocabulary.n_bins)
    for column in np.flatnonzero(categorical):
        indices = np.floor(filled[:, column] * count[column]).astype(np.int64)
        names = rng.permutation(count[column]) if permute else np.arange(count[column])
        tokens[:, column] = vocabulary.category(0) + names[indices]
    tokens[inactive] = vocabulary.special("INACTIVE")
    pairs = np.empty((n, dimensions, 2), dtype=np.int64)
    pairs[:, :, 0] = vocabulary.name(0) + slots
    pairs[:, :, 1] = tokens[:, order]
    return pairs.reshape(n, 2 * dimensions)


def _target_level(regret: float, config: AugmentConfig) -> int:
    return int(np.searchsorted(config.regret_levels, regret, side="left"))


@dataclass(frozen=True)
class DataCursor:
    """A position in the endless stream of batches."""

    epoch: int = 0
    pool: int = 0
    batch: int = 0


def batches(
    store: TrajectoryStore,
    config: AugmentConfig,
    vocabulary: Vocabulary,
    *,
    batch_tokens: int,
    seed: int,
    start: DataCursor,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], DataCursor]]:
    """Endless padded batches of similar lengths, each with the position after it.

    Yields:
        Tokens (B, L), weights (B, L) and the next :class:`DataCursor`.
    """
    place = start
    n_pools = -(-len(store) // POOL)
    while True:
        order = np.random.default_rng([seed, place.epoch]).permutation(len(store))
        while place.pool < n_pools:
            rng = np.random.default_rng([seed, place.epoch, place.pool])
            members = order[place.pool * POOL : (place.pool + 1) * POOL]
            sequences = [make_sequence(store[int(i)], rng, config, vocabulary) for i in members]
            groups = _group(sequences, batch_tokens)
            groups = [groups[i] for i in rng.permutation(len(groups))]
            for index in range(place.batch, len(groups)):
                yield *_pad(groups[index], vocabulary), DataCursor(place.epoch, place.pool, index + 1)
            place = DataCursor(place.epoch, place.pool + 1)
        place = DataCursor(place.epoch + 1)


def _group(sequences: list[Sequence], batch_tokens: int) -> list[list[Sequence]]:
    groups: list[list[Sequence]] = []
    for sequence in sorted(sequences, key=lambda s: len(s.tokens)):
        if groups and (len(groups[-1]) + 1) * len(sequence.tokens) <= batch_tokens:
            groups[-1].append(sequence)
        else:
            groups.append([sequence])
    return groups


def _pad(group: list[Sequence], vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    length = max(len(sequence.tokens) for sequence in group)
    tokens = np.full((len(group), length), vocabulary.special("PAD"), dtype=np.int64)
    weights = np.zeros((len(group), length), dtype=np.float32)
    for row, sequence in enumerate(group):
        tokens[row, : len(sequence.tokens)] = sequence.tokens
        weights[row, : len(sequence.tokens)] = sequence.weights
    return tokens, weights

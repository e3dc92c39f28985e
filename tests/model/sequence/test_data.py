"""Teachers, shards and training sequences."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from optiformer.errors import ModelError
from optiformer.sequence.config import AugmentConfig, DataConfig, TeacherShare
from optiformer.sequence.dataset import (
    DataCursor,
    StoredTrajectory,
    TrajectoryStore,
    batches,
    choose_trials,
    encode_positions,
    make_sequence,
)
from optiformer.sequence.prior.problems import PriorConfig, sample_problem
from optiformer.sequence.teachers import N_STARTUP, TEACHERS, TeacherName, propose_tpe, tpe_space
from optiformer.sequence.tokenizer import Tokenizer, Vocabulary
from optiformer.sequence.trajectories import generate, rejections, shard_path, shards
from optiformer.settings import build
from optiformer.space.parameter import Parameter
from optiformer.space.space import Space

SMALL = DataConfig(
    n_trajectories=90,
    shard_size=30,
    seed=3,
    teachers=(TeacherShare("tpe", 0.3, 16), TeacherShare("cmaes", 0.3, 40), TeacherShare("random", 0.4, 60)),
    prior=PriorConfig(dimensions=(1, 2, 5)),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(SMALL, tmp_path_factory.mktemp("data"), processes=0, progress=False)


# ------------------------------------------------------------------------------------------------ teachers


def test_the_tpe_teacher_proposes_what_optunas_sampler_proposes() -> None:
    levels, categorical = np.array([0, 7, 4]), np.array([False, False, True])
    space = tpe_space(levels, categorical)
    rng = np.random.default_rng(1)
    internal = np.stack([rng.random(30), rng.integers(0, 7, 30), rng.integers(0, 4, 30)], axis=1).astype(float)
    values = rng.normal(size=30)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(multivariate=True, seed=11))
    for row, value in zip(internal, values, strict=True):
        params = dict(zip(space, [float(row[0]), int(row[1]), int(row[2])], strict=True))
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=float(value)))
    trial = study.ask(space)
    ours = propose_tpe(internal, values, space, np.random.RandomState(11))
    assert ours == pytest.approx([trial.params[name] for name in space])


@pytest.mark.parametrize("name", TEACHERS)
def test_teachers_are_reproducible_and_stay_in_the_space(name: TeacherName) -> None:
    for seed in range(6):
        problem = sample_problem(np.random.default_rng(seed), PriorConfig(dimensions=(1, 3, 6), conditional=1.0))
        first, second = (TEACHERS[name](problem, np.random.default_rng(seed), 33) for _ in range(2))
        assert np.array_equal(first.positions, second.positions, equal_nan=True)
        assert np.array_equal(first.values, second.values)
        assert first.positions.shape == (33, problem.layout.dimensions)
        assert np.array_equal(np.isnan(first.positions), ~problem.layout.active(np.nan_to_num(first.positions)))
        assert np.nanmin(first.positions) >= 0
        assert np.nanmax(first.positions) <= 1


def test_tpe_and_cmaes_end_up_better_than_random() -> None:
    regrets: dict[str, list[float]] = {name: [] for name in TEACHERS}
    for seed in range(12):
        problem = sample_problem(np.random.default_rng(seed), PriorConfig(dimensions=(4,), noisy=0.0))
        for name, teach in TEACHERS.items():
            regrets[name].append(problem.regret(float(teach(problem, np.random.default_rng(0), 60).truths.min())))
    assert np.mean(regrets["tpe"]) < np.mean(regrets["random"])
    assert np.mean(regrets["cmaes"]) < np.mean(regrets["random"])
    assert N_STARTUP < 60


# ------------------------------------------------------------------------------------------------ shards


def test_a_killed_generation_resumes_to_the_same_shards(dataset: Path, tmp_path: Path) -> None:
    generate(SMALL, tmp_path, processes=0, progress=False, limit_shards=1)
    assert len(shards(tmp_path)) == 1
    (tmp_path / ".shard-00001.parquet.999.tmp").write_bytes(b"half a shard")
    generate(SMALL, tmp_path, processes=2, progress=False)
    for index in range(3):
        a, b = (TrajectoryStore(folder, "train") for folder in (dataset, tmp_path))
        assert len(a) == len(b)
        assert np.array_equal(a[index].positions, b[index].positions, equal_nan=True)
    assert len(shards(tmp_path)) == 3
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert build(DataConfig, content["config"], "dataset.json") == SMALL
    assert isinstance(rejections(tmp_path), Counter)


def test_another_configurations_folder_is_refused(dataset: Path) -> None:
    with pytest.raises(ModelError, match="another configuration"):
        generate(replace(SMALL, seed=4), dataset, processes=0, progress=False)


def test_a_missing_or_damaged_dataset_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="generate it first"):
        TrajectoryStore(tmp_path, "train")
    shard_path(tmp_path, 0).write_bytes(b"not parquet")
    with pytest.raises(ModelError, match="damaged"):
        TrajectoryStore(tmp_path, "train")


def test_no_function_is_in_both_splits(dataset: Path) -> None:
    train, held_out = TrajectoryStore(dataset, "train"), TrajectoryStore(dataset, "validation")
    assert len(train) + len(held_out) == 90
    assert len(held_out) == 3
    assert not {train[i].f_best for i in range(len(train))} & {held_out[i].f_best for i in range(3)}


# ------------------------------------------------------------------------------------------------ sequences


def stored(rng: np.random.Generator, n: int = 50, dimensions: int = 3) -> StoredTrajectory:
    values = rng.normal(size=n)
    positions = rng.random((n, dimensions)).astype(np.float32)
    positions[:, 1] = (np.floor(positions[:, 1] * 4) + 0.5) / 4
    positions[rng.random(n) < 0.3, 2] = np.nan
    levels, categorical = np.array([0, 4, 0]), np.array([False, True, False])
    return StoredTrajectory(
        levels, categorical, positions, values, values, float(values.min()), float(np.median(values))
    )


def test_shortening_keeps_the_best_trial_and_sorting_puts_it_last() -> None:
    rng = np.random.default_rng(0)
    trajectory = stored(rng)
    config = AugmentConfig(sorted_share=1.0)
    for _ in range(50):
        chosen, is_sorted = choose_trials(trajectory, rng, config)
        assert is_sorted
        assert len(chosen) <= config.max_trials
        assert len(set(chosen)) == len(chosen)
        assert (np.diff(trajectory.values[chosen]) <= 0).all()
    orders = {choose_trials(trajectory, rng, replace(config, sorted_share=0.0))[1] for _ in range(10)}
    assert orders == {False}


def test_sequences_follow_the_grammar_and_weigh_only_what_inference_asks_for() -> None:
    rng, vocabulary = np.random.default_rng(1), Vocabulary()
    for _ in range(40):
        sequence = make_sequence(stored(rng), rng, AugmentConfig(), vocabulary)
        texts = [vocabulary.token(int(token)) for token in sequence.tokens]
        assert texts[0] == "BOS"
        assert texts[1].startswith("TARGET_REGRET_")
        assert texts[-1] == "EOS"
        for start in range(2, len(texts) - 1, 9):
            trial = texts[start : start + 9]
            assert trial[0] == "TRIAL_SEP"
            assert trial[7] == "SCORE"
            assert all(name.startswith("x") for name in trial[1:7:2])
            assert sum(value.startswith("c") for value in trial[2:8:2]) == 1
        counted = {texts[i] for i in np.flatnonzero(sequence.weights > 0)}
        assert not counted & {"INACTIVE", "INFEASIBLE", "TRIAL_SEP", "SCORE", "BOS", "EOS"}
        assert not any(text.startswith("x") for text in counted)


def test_discrete_values_get_the_tokens_that_inference_gives_them() -> None:
    rng, vocabulary = np.random.default_rng(3), Vocabulary()
    levels = np.array([2, 4, 5, 10, 25, 40])
    cells = np.stack([(np.arange(200) % n + 0.5) / n for n in levels], axis=1).astype(np.float32)
    for permute in (False, True):
        tokens = encode_positions(cells.astype(float), levels, np.zeros(6, dtype=bool), rng, permute, vocabulary)
        seen = {frozenset(tokens[:, i].tolist()) for i in range(1, 12, 2)}
        expected = set()
        for n in levels:
            parameter = Parameter("p", "int", 0, int(n) - 1)
            tokenizer = Tokenizer(Space((parameter,)), vocabulary)
            expected.add(frozenset(tokenizer.encode_value(parameter, value) for value in range(n)))
        assert seen == expected


def test_the_regret_token_tells_the_hindsight_regret() -> None:
    rng, vocabulary = np.random.default_rng(2), Vocabulary()
    trajectory = stored(rng)
    config = AugmentConfig(sorted_share=1.0, keep_best=0.0)
    tokens = {int(make_sequence(trajectory, rng, config, vocabulary).tokens[1]) for _ in range(60)}
    assert vocabulary.target(0) in tokens
    worse = replace(trajectory, f_best=trajectory.f_best - 10.0)
    tokens = {int(make_sequence(worse, rng, config, vocabulary).tokens[1]) for _ in range(60)}
    assert tokens == {vocabulary.target(2)}
    without = replace(config, regret_token=False)
    assert int(make_sequence(worse, rng, without, vocabulary).tokens[1]) == vocabulary.target(0)


def test_batches_resume_at_any_place(dataset: Path) -> None:
    store = TrajectoryStore(dataset, "train")

    def stream(start: DataCursor, n: int) -> list[tuple[bytes, DataCursor]]:
        made = batches(store, AugmentConfig(), Vocabulary(), batch_tokens=1500, seed=5, start=start)
        return [
            (tokens.tobytes() + weights.tobytes(), place) for tokens, weights, place in (next(made) for _ in range(n))
        ]

    whole = stream(DataCursor(), 40)
    for cut in (1, 17, 33):
        assert stream(whole[cut - 1][1], 40 - cut) == whole[cut:]
    assert whole[-1][1].epoch > 0
    assert whole[0][0] != whole[-1][0]


def test_batches_respect_the_token_budget(dataset: Path) -> None:
    store = TrajectoryStore(dataset, "train")
    made = batches(store, AugmentConfig(), Vocabulary(), batch_tokens=1500, seed=5, start=DataCursor())
    for _ in range(20):
        tokens, weights, _ = next(made)
        assert tokens.shape == weights.shape
        assert tokens.size <= 1500 or len(tokens) == 1

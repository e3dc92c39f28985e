"""Histories of trials as token sequences, and back.

A study is ``BOS TARGET_REGRET_k (TRIAL_SEP (NAME value)* SCORE score)* EOS``. Every trial of one space has the same
length: an inactive parameter keeps its NAME with the value INACTIVE, a failed trial has the score INFEASIBLE. Token ids
are numbers (bins of a parameter's position or of a score), then special tokens, parameter names, and categorical
values. Names are slots (``x0``, ``x1``, ...); a tokenizer binds a space's parameters to slots, by name if possible.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from optiformer.errors import ModelError
from optiformer.settings import Range, check, require
from optiformer.space.parameter import Parameter
from optiformer.space.space import Space
from optiformer.space.trial import Trial

SPECIAL = (
    "PAD",
    "BOS",
    "EOS",
    "TRIAL_SEP",
    "SCORE",
    "TARGET_REGRET_0",
    "TARGET_REGRET_1",
    "TARGET_REGRET_2",
    "INACTIVE",
    "INFEASIBLE",
)


@dataclass(frozen=True)
class Vocabulary:
    """Maps tokens to ids.

    Attributes:
        n_bins: Number tokens; ids ``0 .. n_bins - 1``.
        names: Parameter-name tokens.
        n_categories: Categorical-value tokens ``c0 .. c{n-1}``.
    """

    n_bins: Annotated[int, Range(2, 10**6)] = 1000
    names: tuple[str, ...] = tuple(f"x{i}" for i in range(32))
    n_categories: Annotated[int, Range(2, 10**6)] = 32

    def __post_init__(self) -> None:
        check(self)
        require(0 < len(set(self.names)) == len(self.names), "names must be one name or more, and none of them twice.")

    def __len__(self) -> int:
        return self.n_bins + len(SPECIAL) + len(self.names) + self.n_categories

    def special(self, token: str) -> int:
        """The id of a special token."""
        return self.n_bins + SPECIAL.index(token)

    def target(self, level: int) -> int:
        """The id of ``TARGET_REGRET_level``."""
        return self.special(f"TARGET_REGRET_{level}")

    def name(self, slot: int) -> int:
        """The id of the ``slot``-th name."""
        return self.n_bins + len(SPECIAL) + slot

    def category(self, index: int) -> int:
        """The id of the ``index``-th categorical value."""
        return self.n_bins + len(SPECIAL) + len(self.names) + index

    def token(self, token_id: int) -> str:
        """A token as readable text."""
        if token_id < self.n_bins:
            return str(token_id)
        others = (*SPECIAL, *self.names, *(f"c{i}" for i in range(self.n_categories)))
        return others[token_id - self.n_bins]

    def digest(self) -> str:
        """SHA-256 over everything that determines the ids; saved with a checkpoint and checked on load."""
        return hashlib.sha256(json.dumps([asdict(self), SPECIAL]).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the vocabulary and its digest as JSON."""
        path.write_text(json.dumps({**asdict(self), "sha256": self.digest()}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read a vocabulary.

        Raises:
            ModelError: The file is missing, malformed, or does not match its digest.
        """
        try:
            content = json.loads(path.read_text())
            digest = content.pop("sha256")
            vocabulary = cls(**content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"The vocabulary {path} cannot be read ({error}); restore it from its source.") from error
        if vocabulary.digest() != digest:
            raise ModelError(f"The vocabulary {path} does not match its own checksum; restore it from its source.")
        return vocabulary


@dataclass(frozen=True)
class ScoreScale:
    """Maps values to positions in [0, 1]: 0 is the target, about .55 the median of the history, 1 far worse.

    ``z = (value - target) / (median - target)``, then ``asinh(10 z) / asinh(200)`` clipped to [0, 1]: fine near the
    target (a bin is 6e-4 of the distance to the median), coarse in the tail (z = 20 and beyond share a bin).

    Attributes:
        target: The value that the next trial should reach.
        median: The median of the history.
    """

    target: float
    median: float

    SHARPNESS = 10.0
    TAIL = 20.0

    @classmethod
    def of(cls, values: NDArray[np.float64], margin: float = 0.0) -> ScoreScale:
        """The scale of a history, with the target ``margin`` times the distance from best to median below the best."""
        finite = values[np.isfinite(values)]
        if finite.size == 0:
            return cls(0.0, 1.0)
        best, median = float(finite.min()), float(np.median(finite))
        if median <= best:  # at least half of the trials tie with the best
            median = float(finite.mean()) if finite.mean() > best else best + 1.0
        return cls(best - margin * (median - best), median)

    def position(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions of values, shape kept; non-finite values stay NaN."""
        z = (values - self.target) / (self.median - self.target)
        position = np.clip(np.arcsinh(self.SHARPNESS * z) / np.arcsinh(self.SHARPNESS * self.TAIL), 0.0, 1.0)
        return np.where(np.isfinite(values), position, np.nan)

    def value(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Inverse of :meth:`position` inside the clipping range."""
        z = np.sinh(positions * np.arcsinh(self.SHARPNESS * self.TAIL)) / self.SHARPNESS
        return np.asarray(self.target + z * (self.median - self.target))


def quantize(positions: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    """Positions in [0, 1] to bins ``0 .. n_bins - 1``, shape kept."""
    return np.minimum((np.asarray(positions) * n_bins).astype(np.int64), n_bins - 1)


def dequantize(bins: NDArray[np.int64], n_bins: int) -> NDArray[np.float64]:
    """Bins to the positions of their centres, shape kept."""
    return (np.asarray(bins) + 0.5) / n_bins


class Tokenizer:
    """A vocabulary bound to a space.

    Args:
        space: The search space; parameters with a single value get no tokens.
        vocabulary: The vocabulary; ``None`` for the default.
        overflow: Omit parameters beyond the vocabulary's names instead of refusing the space.

    Raises:
        ModelError: The space has more free parameters than the vocabulary has names.
    """

    def __init__(self, space: Space, vocabulary: Vocabulary | None = None, *, overflow: bool = False) -> None:
        self.space = space
        self.vocabulary = vocabulary or Vocabulary()
        self.parameters = space.free
        names = self.vocabulary.names
        if overflow:
            self.parameters = self.parameters[: len(names)]
        if len(self.parameters) > len(names):
            raise ModelError(
                f"The space has {len(self.parameters)} parameters that vary and the vocabulary names {len(names)}; "
                "fix some of them or use a vocabulary with more names."
            )
        taken = {names.index(p.name): p.name for p in self.parameters if p.name in names}
        free = iter(slot for slot in range(len(names)) if slot not in taken)
        self.slots = [names.index(p.name) if p.name in names else next(free) for p in self.parameters]
        self.trial_length = 2 * len(self.parameters) + 3

    def uses_categories(self, parameter: Parameter) -> bool:
        """Whether a parameter's values are categorical tokens (more choices than tokens fall back to numbers)."""
        return parameter.kind == "categorical" and len(parameter.choices) <= self.vocabulary.n_categories

    def encode_value(self, parameter: Parameter, value: Any) -> int:
        """The token of a value.

        Raises:
            ModelError: The value is not one of the parameter's; the message names the parameter.
        """
        position = parameter.position(value)
        if self.uses_categories(parameter):
            return self.vocabulary.category(int(position * len(parameter.choices)))
        return min(int(position * self.vocabulary.n_bins), self.vocabulary.n_bins - 1)  # quantize() without NumPy

    def decode_value(self, parameter: Parameter, token: int) -> Any:
        """The value of a token: the centre of its bin.

        Raises:
            ModelError: The token is not a value of the parameter.
        """
        if self.uses_categories(parameter):
            index = token - self.vocabulary.category(0)
            if 0 <= index < len(parameter.choices):
                return parameter.choices[index]
        elif 0 <= token < self.vocabulary.n_bins:
            return parameter.value(float(dequantize(np.asarray(token), self.vocabulary.n_bins)))
        raise ModelError(f"Parameter {parameter.name!r}: token {self.vocabulary.token(token)} is no value of it.")

    def valid_tokens(self, parameter: Parameter) -> NDArray[np.int64]:
        """Tokens that decode to a value of the parameter; a discrete value has all bins in its cell."""
        if self.uses_categories(parameter):
            return np.arange(len(parameter.choices)) + self.vocabulary.category(0)
        return np.arange(self.vocabulary.n_bins)

    def encode_trial(self, trial: Trial, scale: ScoreScale) -> list[int]:
        """One trial's tokens, ``TRIAL_SEP (NAME value)* SCORE score``."""
        vocabulary = self.vocabulary
        tokens = [vocabulary.special("TRIAL_SEP")]
        for slot, parameter in zip(self.slots, self.parameters, strict=True):
            inactive = parameter.name not in trial.config
            value = (
                vocabulary.special("INACTIVE")
                if inactive
                else self.encode_value(parameter, trial.config[parameter.name])
            )
            tokens += [vocabulary.name(slot), value]
        score = vocabulary.special("INFEASIBLE")
        if trial.value is not None and np.isfinite(trial.value):
            score = int(quantize(scale.position(np.asarray(trial.value)), vocabulary.n_bins))
        return [*tokens, vocabulary.special("SCORE"), score]

    def encode_history(
        self, trials: Sequence[Trial], scale: ScoreScale, *, target: int = 0, end: bool = False
    ) -> NDArray[np.int64]:
        """A history's tokens, shape ``(2 + trial_length * n,)``, one more with ``end`` (EOS)."""
        vocabulary = self.vocabulary
        tokens = [vocabulary.special("BOS"), vocabulary.target(target)]
        for trial in trials:
            tokens += self.encode_trial(trial, scale)
        return np.array([*tokens, *([vocabulary.special("EOS")] if end else [])], dtype=np.int64)

    def decode_history(self, tokens: NDArray[np.int64], scale: ScoreScale) -> list[Trial]:
        """The trials in a token sequence; constants are filled in where active.

        Raises:
            ModelError: The sequence does not follow the grammar of the module's docstring.
        """
        vocabulary, length = self.vocabulary, self.trial_length
        body = [int(token) for token in tokens]
        if body and body[-1] == vocabulary.special("EOS"):
            body.pop()
        targets = [vocabulary.target(level) for level in range(3)]
        if len(body) < 2 or body[0] != vocabulary.special("BOS") or body[1] not in targets:
            raise ModelError("A token sequence starts with BOS and a TARGET_REGRET token; this one does not.")
        body = body[2:]
        if len(body) % length:
            raise ModelError(
                f"A trial of this space has {length} tokens; {len(body)} tokens are no whole number of them."
            )
        return [self._decode_trial(body[start : start + length], scale) for start in range(0, len(body), length)]

    def _decode_trial(self, tokens: list[int], scale: ScoreScale) -> Trial:
        vocabulary = self.vocabulary
        names, values = tokens[1:-2:2], tokens[2:-2:2]
        frame = [tokens[0], *names, tokens[-2]]
        expected = [vocabulary.special("TRIAL_SEP"), *map(vocabulary.name, self.slots), vocabulary.special("SCORE")]
        if frame != expected:
            raise ModelError(f"A trial reads {' '.join(map(vocabulary.token, tokens))}, which is not in the grammar.")
        config: dict[str, Any] = {}
        inactive = vocabulary.special("INACTIVE")
        given = dict(zip((p.name for p in self.parameters), values, strict=True))
        for parameter in self.space.parameters:
            if parameter.name not in given:
                if self.space.is_active(parameter, config):
                    config[parameter.name] = parameter.value(0.5)
            elif given[parameter.name] != inactive:
                config[parameter.name] = self.decode_value(parameter, given[parameter.name])
        if tokens[-1] == vocabulary.special("INFEASIBLE"):
            return Trial(config, None)
        if not 0 <= tokens[-1] < vocabulary.n_bins:
            raise ModelError(f"SCORE is followed by {vocabulary.token(tokens[-1])}, which is no score.")
        return Trial(config, float(scale.value(dequantize(np.asarray(tokens[-1]), vocabulary.n_bins))))

"""What a position of the set encoding is made of, for one history.

:mod:`optiformer.surrogate.network.features` computes the same with torch for training's batches; a test compares.
Scores are squashed by :class:`ScoreAnchors`: 0 is the best value of the history and 1 gap its median, linear near 0 and
logarithmic far away, re-anchored at every ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optiformer.gp.kernels import Array, Mask
from optiformer.gp.processes import Kinds
from optiformer.surrogate.config import SurrogateConfig

SCORE_WAVES = 6
#: Of the values, from which the scale is made: those above the median take its place where it is a tie of the best.
QUANTILES = (0.125, 0.25, 0.5, 0.625, 0.75, 0.875, 1.0)
#: The median is at most so many times as far from the best value as the first quarter, and that as the first eighth.
STEEP = 10.0
#: Values are put on a logarithmic scale where the third quarter is so many times as far from the best as the first.
WILD = 1e6
#: The unit of that scale: this share of the values is nearer to the best one.
UNIT = 0.15


def value_features(config: SurrogateConfig, kinds: Kinds, position: Array, active: Mask) -> Array:
    """Features of configurations.

    Args:
        config: The encoding.
        kinds: The parameters.
        position: Values in [0, 1] on each parameter's own scale, discrete ones at their cell's centre, (m, S).
        active: Which parameters a configuration has, (m, S).

    Returns:
        (m, S * slot_width); columns beyond the slots are summed into the last one.
    """
    m, s = position.shape
    found = np.zeros((m, s, config.slot_width), position.dtype)
    # A small categorical is told by its one-hot code alone: its index is no number.
    numeric = active & ~(kinds.categorical & (kinds.levels <= config.choices))
    angle = position[..., None] * (math.pi * 2.0 ** np.arange(config.frequencies, dtype=position.dtype))
    waves = 1 + config.frequencies
    found[..., 0] = (position * 2 - 1) * numeric
    found[..., 1:waves] = np.sin(angle) * numeric[..., None]
    found[..., waves : waves + config.frequencies] = np.cos(angle) * numeric[..., None]
    first = 1 + 2 * config.frequencies
    if kinds.categorical.any():
        index = np.maximum((position * kinds.levels).astype(int), 0) % config.choices
        chosen = index[..., None] == np.arange(config.choices)
        found[..., first : first + config.choices] = chosen & (active & kinds.categorical)[..., None]
    flags = found[..., first + config.choices :]
    flags[..., 0] = ~active
    flags[..., 1] = kinds.categorical & active
    flags[..., 2] = (kinds.levels > 0) & ~kinds.categorical & active
    flags[..., 3] = np.where(kinds.levels > 0, 2 / np.maximum(kinds.levels, 1), 0.0) * active
    if s > config.slots:
        found = np.concatenate([found[:, : config.slots - 1], found[:, config.slots - 1 :].sum(1, keepdims=True)], 1)
    return found.reshape(m, -1)


def trial_features(
    config: SurrogateConfig, kinds: Kinds, position: Array, active: Mask, score: Array, failed: Mask
) -> Array:
    """Positions of past trials, (n, S * slot_width + 17).

    Args:
        config: The encoding.
        kinds: The parameters.
        position: See :func:`value_features`.
        active: See :func:`value_features`.
        score: Squashed scores, (n,); a failed trial counts as the worst one.
        failed: Which trials failed, (n,).
    """
    angle = score[:, None] * (math.pi * 2.0 ** np.arange(SCORE_WAVES, dtype=score.dtype) / config.high)
    told = [score[:, None] / 2, np.sin(angle), np.cos(angle)]
    flags = [failed[:, None].astype(position.dtype), np.zeros((len(score), 1), position.dtype)]
    values = value_features(config, kinds, position, active)
    return np.concatenate([values, *told, *flags, _study(kinds, len(score), position)], 1)


def candidate_features(config: SurrogateConfig, kinds: Kinds, position: Array, active: Mask, n_trials: int) -> Array:
    """Positions of candidates, (m, S * slot_width + 17)."""
    told = np.zeros((len(position), 1 + 2 * SCORE_WAVES + 2), position.dtype)
    told[:, -1] = 1
    values = value_features(config, kinds, position, active)
    return np.concatenate([values, told, _study(kinds, n_trials, position)], 1)


def _study(kinds: Kinds, n_trials: int, position: Array) -> Array:
    """How many trials and parameters there are, which attention alone cannot count; (m, 2)."""
    facts = np.array([math.log2(max(n_trials, 1)) / 4 - 1, len(kinds) / 8 - 1], position.dtype)
    return np.tile(facts, (len(position), 1))


@dataclass(frozen=True)
class ScoreAnchors:
    """The scale of scores that a history sets.

    Attributes:
        best: The lowest value.
        gap: Distance from it to the median, above 0.
        knee: See :class:`~optiformer.surrogate.config.SurrogateConfig`.
    """

    best: float
    gap: float
    knee: float

    @classmethod
    def of(cls, values: Array, knee: float) -> ScoreAnchors:
        """Anchors of finite values to minimize, (n,).

        Where half the trials are ties of the best one, the next quantile above it takes the median's place, and where
        all are, 1 does. Where the better trials are much closer to the best one than the median, they set the scale.
        """
        best = float(values.min())
        tiny = 1e-12 * (1 + abs(best))
        gaps = np.quantile(values, QUANTILES) - best
        gap = float(next((gap for gap in gaps[2:] if gap > tiny), 1.0))
        for quantile, steep in ((gaps[1], STEEP), (gaps[0], STEEP**2)):
            if quantile > tiny:
                gap = min(gap, steep * float(quantile))
        return cls(best, gap, knee)

    def squash(self, values: Array) -> Array:
        """Values to squashed scores, both (m,)."""
        with np.errstate(over="ignore"):
            return np.asarray(np.arcsinh((values - self.best) / (self.gap * self.knee)))


def tame(values: Array, counted: Mask) -> Array:
    """Values on a logarithmic scale, 0 for the best one, where they span many orders of magnitude; else as they are.

    Args:
        values: Finite values to minimize, (n,).
        counted: Which of them set the scale, (n,), at least one.
    """
    away = values - values[counted].min()
    unit, low, high = np.quantile(away[counted], (UNIT, 0.25, 0.75))
    least = away[counted].min(where=away[counted] > 0, initial=np.inf)
    return values if high < WILD * max(low, least) else np.log1p(np.maximum(away, 0) / max(unit, least))

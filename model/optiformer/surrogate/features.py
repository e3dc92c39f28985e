"""Input features of the surrogate for one history, and the score transform.

:mod:`optiformer.surrogate.network.features` is the batched torch version for training; a test compares them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Kinds
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.observed import Observed

SCORE_WAVES = 6
#: Quantiles that set the scale; those above the median replace it if it ties with the best value.
GAP_QUANTILES = (0.125, 0.25, 0.5, 0.625, 0.75, 0.875, 1.0)
#: Maximum ratio of the distances from best to median and to first quartile, and of the latter to first octile.
MAX_GAP_RATIO = 10.0
#: Ratio of the third quartile's distance from the best to the first quartile's above which values are log-scaled.
MIN_LOG_RANGE = 1e6
#: Quantile that is the unit of that scale.
LOG_UNIT_QUANTILE = 0.15


def value_features(config: SurrogateConfig, kinds: Kinds, position: Array, active: Mask) -> Array:
    """Features of configurations.

    Args:
        config: Settings of the encoding.
        kinds: Types of the parameters.
        position: Values in [0, 1] on each parameter's scale, discrete ones at the centre of their cell, (m, S).
        active: Which parameters a configuration has, (m, S).

    Returns:
        (m, S * slot_width); columns beyond the slots are summed into the last one.
    """
    m, s = position.shape
    found = np.zeros((m, s, config.slot_width), position.dtype)
    # A small categorical has its one-hot code alone: its index is not a number.
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
    """Tokens of past trials, (n, S * slot_width + 17).

    Args:
        config: Settings of the encoding.
        kinds: Types of the parameters.
        position: See :func:`value_features`.
        active: See :func:`value_features`.
        score: Transformed scores, (n,); failed trials have the worst one.
        failed: Which trials failed, (n,).
    """
    angle = score[:, None] * (math.pi * 2.0 ** np.arange(SCORE_WAVES, dtype=score.dtype) / config.high)
    score_features = [score[:, None] / 2, np.sin(angle), np.cos(angle)]
    flags = [failed[:, None].astype(position.dtype), np.zeros((len(score), 1), position.dtype)]
    values = value_features(config, kinds, position, active)
    return np.concatenate([values, *score_features, *flags, _study(kinds, len(score), position)], 1)


def candidate_features(config: SurrogateConfig, kinds: Kinds, position: Array, active: Mask, n_trials: int) -> Array:
    """Tokens of candidates, (m, S * slot_width + 17)."""
    score_features = np.zeros((len(position), 1 + 2 * SCORE_WAVES + 2), position.dtype)
    score_features[:, -1] = 1
    values = value_features(config, kinds, position, active)
    return np.concatenate([values, score_features, _study(kinds, n_trials, position)], 1)


def _study(kinds: Kinds, n_trials: int, position: Array) -> Array:
    """Numbers of trials and parameters, which attention cannot count, (m, 2)."""
    facts = np.array([math.log2(max(n_trials, 1)) / 4 - 1, len(kinds) / 8 - 1], position.dtype)
    return np.tile(facts, (len(position), 1))


@dataclass(frozen=True)
class ScoreTransform:
    """Transform of scores relative to a history: ``u = asinh((value - best) / (gap * asinh_scale))``.

    It is linear near the best value, logarithmic far from it, and invariant to the scores' location and scale.

    Attributes:
        best: The lowest value.
        gap: Distance from it to the median, above 0.
        asinh_scale: Distance in gaps at which the transform turns from linear to logarithmic.
    """

    best: float
    gap: float
    asinh_scale: float

    @classmethod
    def of(cls, values: Array, asinh_scale: float) -> ScoreTransform:
        """The transform of finite values to minimize, (n,).

        If the median ties with the best value, the next larger quantile replaces it, and 1 if all values tie. If the
        better trials are much closer to the best one than the median is, they set the gap.
        """
        best = float(values.min())
        tiny = 1e-12 * (1 + abs(best))
        gaps = quantiles(values, GAP_QUANTILES) - best
        gap = float(next((gap for gap in gaps[2:] if gap > tiny), 1.0))
        for quantile, steep in ((gaps[1], MAX_GAP_RATIO), (gaps[0], MAX_GAP_RATIO**2)):
            if quantile > tiny:
                gap = min(gap, steep * float(quantile))
        return cls(best, gap, asinh_scale)

    def apply(self, values: Array) -> Array:
        """Transformed scores of values, both (m,)."""
        with np.errstate(over="ignore"):
            return np.asarray(np.arcsinh((values - self.best) / (self.gap * self.asinh_scale)))


def scores(config: SurrogateConfig, observed: Observed) -> tuple[ScoreTransform, Array]:
    """The score transform of a history, anchored at the best feasible value, and the transformed scores, (n,).

    Infeasible trials may be better: their scores are negative.
    """
    value = log_compress(observed.value, ~observed.failed)
    anchored = np.maximum(value[~observed.failed], value[observed.feasible].min())
    transform = ScoreTransform.of(anchored, config.knee)
    return transform, transform.apply(value)


def quantiles(values: Array, shares: Sequence[float]) -> Array:
    """``np.quantile`` of (n,) finite values at a tenth of its time."""
    return np.asarray(np.interp(np.array(shares) * (len(values) - 1), np.arange(len(values)), np.sort(values)))


def log_compress(values: Array, counted: Mask) -> Array:
    """Log-scale values that span many orders of magnitude, the best one at 0; return others unchanged.

    Args:
        values: Finite values to minimize, (n,).
        counted: Values that set the scale, (n,), at least one.
    """
    away = values - values[counted].min()
    unit, low, high = quantiles(away[counted], (LOG_UNIT_QUANTILE, 0.25, 0.75))
    least = away[counted].min(where=away[counted] > 0, initial=np.inf)
    return values if high < MIN_LOG_RANGE * max(low, least) else np.log1p(np.maximum(away, 0) / max(unit, least))

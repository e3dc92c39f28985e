"""Learned parts of the kernel heads: predicted hyperparameters, features of posteriors, mixture weights.

:class:`optiformer.surrogate.network.kernel_heads.KernelHeads` is the batched torch version for training; a test
compares them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from optiformer.gp.fit import MarginalLikelihood
from optiformer.gp.kernels import Array, Mask, log_slope, unwarp
from optiformer.gp.posterior import GPPosterior, Kinds, WarpedHistory
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.features import SCORE_WAVES
from optiformer.surrogate.history import Rows

#: Initial lengthscale in units of the square root of the number of parameters, and initial noise share.
LENGTHSCALE, NOISE = 0.5, 0.01
STATISTICS, POOLED, SLOT = 5, 16, 8
#: Maximum number of trials, evenly by rank, for the learned updates: a quarter of the cost.
MAX_REFINE_TRIALS = 56
Weights = Mapping[str, Array]


class Heads:
    """The heads with their trained weights.

    Args:
        config: Settings of the encoding.
        weights: By their names in :class:`~optiformer.surrogate.network.kernel_heads.KernelHeads`.
    """

    def __init__(self, config: SurrogateConfig, weights: Weights) -> None:
        self._config, self._weights = config, weights

    def infer(self, history: WarpedHistory, stats: Array, hidden: Array, order: Rows) -> tuple[Array, Array]:
        """Log lengthscales (S, H) and log noise shares (H,) that the network infers.

        Args:
            history: The successful trials.
            stats: Statistics of the parameters from :func:`statistics`, (S, STATISTICS).
            hidden: The backbone's states of the trials, (n, hidden size).
            order: Columns in the backbone's order, (S,).
        """
        slots, heads = len(stats), len(self._config.heads)
        pooled = hidden.mean(0)
        shared = self._linear("pool", pooled)
        slot = self._linear("per_slot", pooled).reshape(-1, SLOT)
        slot = slot[np.minimum(order.argsort(), len(slot) - 1)]
        known = np.concatenate([stats, np.tile(shared, (slots, 1)), slot], 1)
        start = math.log(LENGTHSCALE) + 0.5 * math.log(max(slots, 1))
        likelihood = MarginalLikelihood(history.subset(MAX_REFINE_TRIALS), slots)
        log_lengthscale = start + self._small("infer", known)
        log_noise = math.log(NOISE) + 2 * self._linear("noise", pooled)
        facts_of_slots, facts_of_noise = _each_head(known, heads), _each_head(shared, heads)
        for index in range(self._config.refinements):
            _, slope, noise_slope = likelihood(log_lengthscale.astype(float), log_noise.astype(float))
            step = float(self._weights["steps"][index])
            each = np.arcsinh(np.stack([slope, slope / 10], -1))
            there = (log_lengthscale - start)[..., None]
            facts = np.concatenate([each, there, facts_of_slots], -1).astype(known.dtype)
            log_lengthscale = log_lengthscale + self._small(f"refine.{index}", facts)[..., 0]
            log_lengthscale += step * np.arcsinh(slope / 2)
            noise_facts = [np.arcsinh(noise_slope), np.arcsinh(noise_slope / 10), log_noise / 4]
            both = np.concatenate([np.stack(noise_facts, -1), facts_of_noise], -1).astype(known.dtype)
            log_noise = log_noise + self._small(f"refine_noise.{index}", both)[..., 0]
            log_noise += step * np.arcsinh(noise_slope / 2)
        return log_lengthscale.astype(float), log_noise.astype(float)

    def loo_features(self, gp: GPPosterior, dtype: np.dtype) -> Array:
        """Embedding of each trial's leave-one-out posterior, (n, hidden size)."""
        error, deviation, standardised, density = gp.loo
        history = gp.history
        mean = history.location + history.scale * (history.warped - error)
        parts = mean.T, history.scale.T * deviation.T, standardised.T, density.T, density.mean(1)
        return self._linear("inject", _features(self._config, *parts, dtype))

    def posterior_features(self, gp: GPPosterior, mean: Array, deviation: Array, dtype: np.dtype) -> Array:
        """Embedding of candidates' posteriors, (m, hidden size)."""
        nothing = np.zeros_like(mean)
        features = _features(self._config, mean, deviation, nothing, nothing, gp.loo[3].mean(1), dtype)
        return self._linear("inject", features)

    def mix(self, hidden: Array, mean: Array, deviation: Array) -> tuple[Array, Array, Array]:
        """Mixture weights (m, 1 + H), means and deviations (m, H) from the candidates' last states (m, hidden size)."""
        heads = len(self._config.heads)
        weight, shift, stretch = np.split(self._linear("combine", hidden), [heads + 1, 2 * heads + 1], -1)
        return softmax(weight), mean + deviation * shift, deviation * np.exp(stretch.clip(-2.5, 2.5))

    def _linear(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _small(self, name: str, x: Array) -> Array:
        return self._linear(f"{name}.2", silu(self._linear(f"{name}.0", x)))


def silu(x: Array) -> Array:
    """``x / (1 + exp(-x))``."""
    found = np.minimum(-x, 80)
    np.exp(found, out=found)
    found += 1
    return np.asarray(np.divide(x, found, out=found))


def softmax(x: Array) -> Array:
    """Softmax over the last dimension."""
    found = x - x.max(-1, keepdims=True)
    np.exp(found, out=found)
    found /= found.sum(-1, keepdims=True)
    return np.asarray(found)


def _features(
    config: SurrogateConfig,
    mean: Array,
    deviation: Array,
    residual: Array,
    density: Array,
    evidence: Array,
    dtype: np.dtype,
) -> Array:
    """Features of posteriors, (m, H * PER_HEAD), from (m, H) each and the heads' evidence (H,)."""
    u = unwarp(config.head_kinds, config.knee, mean).clip(config.low, config.high)
    log_deviation = np.log(np.maximum(deviation, 1e-6))
    in_u = (log_deviation - log_slope(config.head_kinds, config.knee, u)).clip(-7, 3)
    found = np.empty((*mean.shape, 5 + 2 * SCORE_WAVES), dtype)
    parts = (u / 2, log_deviation / 2 + 1, in_u / 2, residual.clip(-4, 4), density / 3)
    for column, part in enumerate(parts):
        found[..., column] = part
    angle = (u[..., None] * (math.pi * 2.0 ** np.arange(SCORE_WAVES) / config.high)).astype(dtype)
    np.sin(angle, out=found[..., 5 : 5 + SCORE_WAVES])
    np.cos(angle, out=found[..., 5 + SCORE_WAVES :])
    whole = np.empty((len(mean), found[0].size + len(evidence)), dtype)
    whole[:, : -len(evidence)] = found.reshape(len(mean), -1)
    whole[:, -len(evidence) :] = evidence - evidence.mean()
    return whole


def _each_head(facts: Array, heads: int) -> Array:
    """Repeat facts per head and append its one-hot code, (..., F) to (..., H, F + H)."""
    shape = (*facts.shape[:-1], heads, facts.shape[-1])
    repeated = np.broadcast_to(facts[..., None, :], shape)
    which = np.broadcast_to(np.eye(heads, dtype=facts.dtype), (*shape[:-1], heads))
    return np.concatenate([repeated, which], -1)


def statistics(kinds: Kinds, position: Array, active: Mask, score: Array) -> Array:
    """Statistics of the parameters that are informative of their lengthscales, (S, STATISTICS).

    Squared correlation of score and value; correlation of score and squared value; correlation of squared differences
    of scores and of values over all pairs (a variogram); presence; whether the parameter is categorical.
    """
    x = np.where(active, position - 0.5, 0).astype(position.dtype)
    y = (score - score.mean()) / max(float(score.std()), 1e-3)
    columns = [np.square(_correlation(x, y)), _correlation(np.square(x), y), _variogram(kinds, x, y)]
    return np.stack([*columns, np.ones_like(columns[0]), kinds.categorical.astype(x.dtype)], -1)


def _variogram(kinds: Kinds, x: Array, y: Array) -> Array:
    """Correlations over all pairs of ``(y_i - y_j)^2`` with ``(x_i - x_j)^2`` or whether categories differ, (S,).

    Sums over pairs are moments of ``x`` and ``y``, both with mean 0.
    """
    n, x = len(y), x - x.mean(0)
    x2, y2 = np.square(x), np.square(y)
    total, total_y = x2.sum(0), float(y2.sum())
    product = 2 * n * (y2 @ x2) - 2 * total * total_y + 4 * np.square(y @ x)
    spread = 2 * n * np.square(x2).sum(0) + 2 * np.square(total)
    for column in np.flatnonzero(kinds.categorical):
        _, group = np.unique(np.rint(x[:, column] * 1e4), return_inverse=True)
        count, sums, squares = (np.bincount(group, weights) for weights in (None, y, y2))
        share = float(count @ count) / n**2
        spread[column] = n**2 * share * (1 - share)
        product[column] = 2 * float(np.square(sums).sum() - count @ squares) + 2 * n * total_y * share
    norm = np.sqrt(np.maximum(spread, 0)) * math.sqrt(2 * n * float(np.square(y2).sum()) + 2 * total_y**2)
    return np.asarray(product / np.maximum(norm, 1e-6))


def by_relevance(stats: Array) -> Rows:
    """Columns by decreasing relevance to the score, (S,), from their statistics."""
    key = stats[:, 0] + np.square(stats[:, 1]) + np.maximum(stats[:, 2], 0)
    return np.argsort(-key, kind="stable")


def _correlation(x: Array, y: Array) -> Array:
    """Correlations of the columns of (m, S) with centred (m,), (S,)."""
    centred = x - x.mean(0)
    norm = np.sqrt(np.square(centred).sum(0)) * np.sqrt(np.square(y).sum())
    return np.asarray((centred * y[:, None]).sum(0) / np.maximum(norm, 1e-6))

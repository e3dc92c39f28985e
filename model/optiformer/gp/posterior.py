"""Exact GP regression of one history with H heads: posteriors, leave-one-out posteriors, prior correlations.

Each head's mean (generalised least squares) and amplitude (profile likelihood) have closed forms; these and the
leave-one-out formulas are in Rasmussen & Williams (2006), sections 2.7 and 5.4.2. Everything is float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optiformer.gp.kernels import (
    AMPLITUDE_PRIOR_TRIALS,
    LENGTHSCALES,
    LOG_NOISES,
    MIN_NOISE,
    MISMATCH_SQ,
    Array,
    HeadKinds,
    Mask,
    at_zero,
    correlation,
    log_slope,
    squared_distances,
    warp,
    within,
)

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Kinds:
    """Type of the parameter in each column.

    Attributes:
        categorical: Whether its values are unordered, (S,).
        levels: Number of values, 0 if continuous, (S,).
    """

    categorical: Mask
    levels: Array

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True, eq=False)
class WarpedHistory:
    """A history with warped scores, the input of the GP heads.

    Attributes:
        heads: Kernels and warpings.
        asinh_scale: Scale of the score transform (``knee`` of :class:`~optiformer.surrogate.config.SurrogateConfig`).
        points: The trials' coordinates, (n, C).
        score: Transformed scores, (n,).
        warped: Standardised warped scores, (H, n).
        location: Mean of the warped scores, (H, 1).
        scale: Their standard deviation, (H, 1).
    """

    heads: HeadKinds
    asinh_scale: float
    points: Array
    score: Array
    warped: Array
    location: Array
    scale: Array

    @classmethod
    def of(cls, heads: HeadKinds, asinh_scale: float, points: Array, score: Array) -> WarpedHistory:
        warped = warp(heads, asinh_scale, score).T
        location = warped.mean(1, keepdims=True)
        scale = np.maximum(np.sqrt(np.square(warped - location).mean(1, keepdims=True)), 1e-3)
        return cls(heads, asinh_scale, points, score, (warped - location) / scale, location, scale)

    def of_head(self, head: int) -> WarpedHistory:
        """The history of one head alone."""
        kept = (each[[head]] for each in (self.warped, self.location, self.scale))
        return WarpedHistory(self.heads.of((head,)), self.asinh_scale, self.points, self.score, *kept)

    def subset(self, most: int) -> WarpedHistory:
        """At most ``most`` trials, evenly by rank, including the best and the worst."""
        n = len(self.score)
        if n <= most:
            return self
        even = np.rint(np.linspace(0, n - 1, most)).astype(int)
        rows = self.score.argsort(kind="stable")[even]
        kept = self.points[rows], self.score[rows], self.warped[:, rows]
        return WarpedHistory(self.heads, self.asinh_scale, *kept, self.location, self.scale)

    def solve(self, log_lengthscale: Array, log_noise: Array) -> GPPosterior:
        """Condition the heads on the history, given log lengthscales (S, H) and log noise shares (H,)."""
        from scipy.linalg.lapack import dpotrf, dtrtri

        n = len(self.score)
        each = self.points.shape[1] // len(log_lengthscale)
        weights = np.repeat(np.exp(-within(log_lengthscale, LENGTHSCALES)).T, each, 1)
        noise = MIN_NOISE + np.exp(within(log_noise, LOG_NOISES))
        scaled = self.points * weights[:, None]
        inverse_factor = np.empty((len(self.heads), n, n))
        for head, kernel in enumerate(self.heads.kernels):
            square = squared_distances(scaled[head], scaled[head]).ravel()[pairs(n)[2]]
            covariance = symmetric(correlation(kernel, square), at_zero(kernel) + noise[head], n)
            factor, _ = dpotrf(covariance.T, lower=True, overwrite_a=True)
            inverse_factor[head] = dtrtri(factor, lower=True, overwrite_c=True)[0]
        ones = inverse_factor.sum(2)
        scores = (inverse_factor @ self.warped[..., None])[..., 0]
        mean = (ones * scores).sum(1, keepdims=True) / (np.square(ones).sum(1, keepdims=True) + 1e-3)
        residual = scores - mean * ones
        amplitude = (np.square(residual).sum(1, keepdims=True) + AMPLITUDE_PRIOR_TRIALS) / (n + AMPLITUDE_PRIOR_TRIALS)
        return GPPosterior(self, scaled, inverse_factor, residual, mean, amplitude, noise[:, None], weights)


@functools.lru_cache(maxsize=4)
def pairs(n: int) -> tuple[Rows, Rows, Rows]:
    """Row, column and flat index of the entries above the diagonal of an (n, n) matrix, (P,) each."""
    first, second = np.triu_indices(n, 1)
    return first, second, first * n + second


def symmetric(upper: Array, diagonal: float, n: int) -> Array:
    """The upper triangle of a symmetric matrix from its entries at :func:`pairs`; the rest is arbitrary, (n, n).

    LAPACK is column-major: to it this is the lower triangle of the transpose.
    """
    matrix = np.empty((n, n))
    matrix.ravel()[pairs(n)[2]] = upper
    matrix.flat[:: n + 1] = diagonal
    return matrix


@dataclass(frozen=True, eq=False)
class GPPosterior:
    """Inverse Cholesky factors and posterior weights of H heads.

    Attributes:
        history: The history.
        scaled: The trials' coordinates divided by the lengthscales, (H, n, C).
        inverse_factor: Inverse of the lower Cholesky factor, (H, n, n).
        residual: ``inverse_factor`` times the difference between scores and mean, (H, n).
        mean: Prior means in standardised warped scores, (H, 1).
        amplitude: Prior variances, (H, 1).
        noise: Noise variances as shares of the amplitude, (H, 1).
        weights: Inverse lengthscales of the coordinates, (H, C).
    """

    history: WarpedHistory
    scaled: Array
    inverse_factor: Array
    residual: Array
    mean: Array
    amplitude: Array
    noise: Array
    weights: Array

    def of_head(self, head: int) -> GPPosterior:
        """One head's part."""
        kept = (self.scaled, self.inverse_factor, self.residual, self.mean, self.amplitude, self.noise, self.weights)
        return GPPosterior(self.history.of_head(head), *(each[[head]] for each in kept))

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Means and standard deviations of observed warped scores at coordinates (m, C), (m, H) each."""
        heads = self.history.heads
        means, left = np.empty((len(heads), len(points))), np.empty((len(heads), len(points)))
        for head, kernel in enumerate(heads.kernels):
            square = squared_distances(self.scaled[head], points * self.weights[head])
            projected = self.inverse_factor[head] @ correlation(kernel, square)
            means[head] = self.residual[head] @ projected
            left[head] = 1 - np.einsum("nm,nm->m", projected, projected)
        deviation = self.history.scale * np.sqrt(self.amplitude * (np.maximum(left, 1e-9) + self.noise))
        mean = self.history.location + self.history.scale * (self.mean + means)
        return mean.T, deviation.T

    @functools.cached_property
    def loo(self) -> tuple[Array, Array, Array, Array]:
        """Leave-one-out residuals, standard deviations, standardised residuals and log densities, (H, n) each.

        ``e_i = [K^-1 (y - mean)]_i / [K^-1]_ii`` and ``s_i^2 = amplitude / [K^-1]_ii`` in standardised warped scores;
        the density is that of the transformed score.
        """
        precision = np.square(self.inverse_factor).sum(1)
        error = (self.inverse_factor * self.residual[..., None]).sum(1) / precision
        deviation = np.sqrt(self.amplitude / precision)
        standardised = error / deviation
        heads = self.history.heads
        slope = log_slope(heads, self.history.asinh_scale, np.repeat(self.history.score[:, None], len(heads), 1)).T
        normal = -0.5 * (np.square(standardised) + math.log(2 * math.pi))
        density = normal - np.log(deviation * self.history.scale) + slope
        return error, deviation, standardised, np.clip(density, -8, 8)

    def prior_correlation(self, points: Array, others: Array) -> Array:
        """Prior correlations of points (m, C) with others (n, C), averaged over the heads, (m, n)."""
        found = np.zeros((len(points), len(others)))
        for kernel, weights in zip(self.history.heads.kernels, self.weights, strict=True):
            found += correlation(kernel, squared_distances(points * weights, others * weights))
        return found / len(self.weights)

    def prior_correlation_rows(self, points: Array) -> Callable[[int], Array]:
        """A function from a row to the prior correlations of that point with all points (m, C), (m,)."""
        heads = self.history.heads
        scaled = points * self.weights[:, None]
        norms = np.square(scaled).sum(-1)

        def correlation_row(row: int) -> Array:
            products = (scaled @ scaled[:, row, :, None])[..., 0]
            square = np.maximum(norms + norms[:, row, None] - 2 * products, 0)
            return np.asarray(sum(correlation(kernel, square[run]).sum(0) for kernel, run in heads.runs) / len(heads))

        return correlation_row


class Coordinates:
    """Maps configurations to the points that the kernels compare: per parameter a number, a flag and one-hot choices.

    Args:
        kinds: Types of the parameters.
        choices: Number of choices up to which each choice of a categorical has its own coordinate. Beyond it, tried
            choices have their own and all untried ones share one.
        position: The trials' values in [0, 1], (n, S).
        active: Which parameters they have, (n, S).
    """

    def __init__(self, kinds: Kinds, choices: int, position: Array, active: Mask) -> None:
        self._kinds, self._width = kinds, choices if kinds.categorical.any() else 0
        self._tried: dict[int, NDArray[np.int64]] = {}
        for column in np.flatnonzero(kinds.categorical & (kinds.levels > choices)).tolist():
            cells = np.floor(position[active[:, column], column] * kinds.levels[column])
            self._tried[column] = np.unique(cells.astype(np.int64))
            self._width = max(self._width, len(self._tried[column]) + 1)

    def __call__(self, position: Array, active: Mask) -> Array:
        """Points (m, C) of configurations (m, S); C is a fixed multiple of S."""
        kinds, m = self._kinds, len(position)
        place = np.where(active & ~kinds.categorical, position - 0.5, 0.0)[..., None]
        absent = np.where(active, 0.0, math.sqrt(MISMATCH_SQ))[..., None]
        if not self._width:
            return np.concatenate([place, absent], -1).reshape(m, 2 * len(kinds))
        index = np.maximum((position * kinds.levels).astype(np.int64), 0)
        for column, tried in self._tried.items():
            code = np.minimum(np.searchsorted(tried, index[:, column]), max(len(tried) - 1, 0))
            known = np.isin(index[:, column], tried)
            index[:, column] = np.where(known, code, self._width - 1)
        chosen = (index[..., None] == np.arange(self._width)) & (active & kinds.categorical)[..., None]
        parts = [place, absent, chosen * math.sqrt(MISMATCH_SQ / 2)]
        return np.concatenate(parts, -1).reshape(m, (2 + self._width) * len(kinds))

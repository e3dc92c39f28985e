"""The heads' Gaussian processes of one history, solved: posteriors, leave-one-out posteriors, likeness.

A head's mean is the generalised least squares constant and its amplitude the profile likelihood's, both closed forms
(Rasmussen & Williams, 2006, sections 2.7 and 5.4.2; the latter also has the leave-one-out formulas). All in doubles.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optiformer.gp.kernels import (
    APART,
    BELIEF,
    LEAST_NOISE,
    LENGTHSCALES,
    LOG_NOISES,
    Array,
    HeadKinds,
    Mask,
    correlation,
    log_slope,
    squared_distances,
    warp,
)


@dataclass(frozen=True, eq=False)
class Kinds:
    """What kind of parameter each column holds.

    Attributes:
        categorical: Whether its values are unordered, (S,).
        levels: How many values there are, 0 for a continuous one, (S,).
    """

    categorical: Mask
    levels: Array

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True, eq=False)
class WarpedHistory:
    """A history as the heads see it.

    Attributes:
        heads: What they are.
        knee: Of the squashed scores (:class:`optiformer.surrogate.config.SurrogateConfig`).
        points: The trials' coordinates, (n, C).
        score: Squashed scores, (n,).
        warped: Standardised warped scores, (H, n).
        location: Mean and deviation that standardise warped scores, (H, 1) each.
        scale: See ``location``.
    """

    heads: HeadKinds
    knee: float
    points: Array
    score: Array
    warped: Array
    location: Array
    scale: Array

    @classmethod
    def of(cls, heads: HeadKinds, knee: float, points: Array, score: Array) -> WarpedHistory:
        warped = warp(heads, knee, score).T
        location = warped.mean(1, keepdims=True)
        scale = np.maximum(np.sqrt(np.square(warped - location).mean(1, keepdims=True)), 1e-3)
        return cls(heads, knee, points, score, (warped - location) / scale, location, scale)

    def part(self, most: int) -> WarpedHistory:
        """At most ``most`` of the trials, the best and the worst one among them."""
        n = len(self.score)
        if n <= most:
            return self
        even = np.rint(np.linspace(0, n - 1, most)).astype(int)
        rows = self.score.argsort(kind="stable")[even]
        kept = self.points[rows], self.score[rows], self.warped[:, rows]
        return WarpedHistory(self.heads, self.knee, *kept, self.location, self.scale)

    def solve(self, log_lengthscale: Array, log_noise: Array) -> Processes:
        """Factorise the heads' covariances, from log lengthscales (S, H) and log noise shares (H,)."""
        from scipy.linalg.lapack import dpotrf, dtrtri

        n = len(self.score)
        each = self.points.shape[1] // len(log_lengthscale)
        weights = np.repeat(np.exp(-np.clip(log_lengthscale, *LENGTHSCALES)).T, each, 1)
        noise = LEAST_NOISE + np.exp(np.clip(log_noise, *LOG_NOISES))
        scaled = self.points * weights[:, None]
        inverse_factor = np.empty((len(self.heads), n, n))
        for head, kernel in enumerate(self.heads.kernels):
            covariance = correlation(kernel, squared_distances(scaled[head], scaled[head]))
            covariance.flat[:: n + 1] += noise[head]
            # Row by row the upper triangle of what LAPACK, column by column, calls the lower one.
            factor, _ = dpotrf(covariance.T, lower=True, overwrite_a=True)
            inverse_factor[head] = dtrtri(factor, lower=True, overwrite_c=True)[0]
        ones = inverse_factor.sum(2)
        scores = (inverse_factor @ self.warped[..., None])[..., 0]
        mean = (ones * scores).sum(1, keepdims=True) / (np.square(ones).sum(1, keepdims=True) + 1e-3)
        residual = scores - mean * ones
        amplitude = (np.square(residual).sum(1, keepdims=True) + BELIEF) / (n + BELIEF)
        return Processes(self, scaled, inverse_factor, residual, mean, amplitude, noise[:, None], weights)


@dataclass(frozen=True, eq=False)
class Processes:
    """The heads' solved systems; H heads.

    Attributes:
        history: What they were solved for.
        scaled: The trials' coordinates over the lengthscales, (H, n, C).
        inverse_factor: Inverse of the lower Cholesky factor, (H, n, n).
        residual: ``inverse_factor`` times the scores less the mean, (H, n).
        mean: The heads' means, standardised warped scores, (H, 1).
        amplitude: Their variances, (H, 1).
        noise: Shares of the variance, (H, 1).
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

    def posterior(self, points: Array) -> tuple[Array, Array]:
        """Means and deviations of warped scores at coordinates (m, C), noise included, (m, H) each."""
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
    def left_out(self) -> tuple[Array, Array, Array, Array]:
        """Each trial given the others: error and deviation, standardised error, log density of the squashed score.

        The first two are in standardised warped scores; (H, n) each.
        """
        precision = np.square(self.inverse_factor).sum(1)
        error = (self.inverse_factor * self.residual[..., None]).sum(1) / precision
        deviation = np.sqrt(self.amplitude / precision)
        standardised = error / deviation
        heads = self.history.heads
        slope = log_slope(heads, self.history.knee, np.repeat(self.history.score[:, None], len(heads), 1)).T
        normal = -0.5 * (np.square(standardised) + math.log(2 * math.pi))
        density = normal - np.log(deviation * self.history.scale) + slope
        return error, deviation, standardised, np.clip(density, -8, 8)

    def related(self, points: Array, others: Array) -> Array:
        """How the kernels, on average, correlate points (m, C) with others (n, C): (m, n)."""
        found = np.zeros((len(points), len(others)))
        for kernel, weights in zip(self.history.heads.kernels, self.weights, strict=True):
            found += correlation(kernel, squared_distances(points * weights, others * weights))
        return found / len(self.weights)

    def alike(self, points: Array) -> Callable[[int], Array]:
        """How the kernels, on average, correlate one of some points (m, C), given its row, with all of them, (m,)."""
        heads = self.history.heads
        scaled = points * self.weights[:, None]
        norms = np.square(scaled).sum(-1)

        def one_of(row: int) -> Array:
            products = (scaled @ scaled[:, row, :, None])[..., 0]
            square = np.maximum(norms + norms[:, row, None] - 2 * products, 0)
            return np.asarray(sum(correlation(kernel, square[run]).sum(0) for kernel, run in heads.runs) / len(heads))

        return one_of


class Coordinates:
    """Configurations as points whose squared distances the kernels weigh: of each parameter a number, a flag, choices.

    Args:
        kinds: The parameters.
        choices: So many choices of a category have a coordinate each. Of one with more, those that were tried have one,
            and all others share another: to the kernels they are at the same distance from what was tried.
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
        """Of configurations (m, S), (m, C); C is the same multiple of S each time."""
        kinds, m = self._kinds, len(position)
        place = np.where(active & ~kinds.categorical, position - 0.5, 0.0)[..., None]
        absent = np.where(active, 0.0, math.sqrt(APART))[..., None]
        if not self._width:
            return np.concatenate([place, absent], -1).reshape(m, 2 * len(kinds))
        index = np.maximum((position * kinds.levels).astype(np.int64), 0)
        for column, tried in self._tried.items():
            code = np.minimum(np.searchsorted(tried, index[:, column]), max(len(tried) - 1, 0))
            known = np.isin(index[:, column], tried)
            index[:, column] = np.where(known, code, self._width - 1)
        chosen = (index[..., None] == np.arange(self._width)) & (active & kinds.categorical)[..., None]
        parts = [place, absent, chosen * math.sqrt(APART / 2)]
        return np.concatenate(parts, -1).reshape(m, (2 + self._width) * len(kinds))

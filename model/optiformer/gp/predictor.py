"""The noise-free posterior of the GP head with the best leave-one-out density, and its gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optiformer.gp.kernels import Array, correlation, correlation_and_slope, squared_distances, warp
from optiformer.gp.posterior import GPPosterior

Slope = Callable[[Array, Array], Array]
"""From derivatives by mean and by deviation, (m,) each, to the gradient at the points, (m, C)."""


class Predictor:
    """Posterior means and standard deviations of the noise-free value in standardised warped scores.

    Args:
        gp: Posterior of the heads.

    Attributes:
        head: Index of the selected head.
        loo_r2: Leave-one-out R^2 of its standardised warped scores.
        at_trials: Posterior means at the trials, (n,).
    """

    def __init__(self, gp: GPPosterior) -> None:
        self._history = gp.history
        self.head = head = int(gp.loo[3].mean(1).argmax())
        self._kernel = gp.history.heads.kernels[head]
        self._weights, self._trials = gp.weights[head], gp.scaled[head]
        self._norms = np.square(self._trials).sum(1)
        inverse = gp.inverse_factor[head]
        self._alpha, self._precision = inverse.T @ gp.residual[head], inverse.T @ inverse
        self._mean, self._amplitude = float(gp.mean[head, 0]), float(gp.amplitude[head, 0])
        self.at_trials: Array = gp.history.warped[head] - gp.noise[head, 0] * self._alpha
        self.loo_r2 = 1.0 - float(np.square(gp.loo[0][head]).mean())

    def standardised(self, score: Array) -> Array:
        """Standardised warped scores of transformed ones, both (n,)."""
        history = self._history
        warped = warp(history.heads.of((self.head,)), history.asinh_scale, score)[:, 0]
        return np.asarray((warped - history.location[self.head]) / history.scale[self.head])

    def __call__(self, points: Array) -> tuple[Array, Array]:
        """Means and standard deviations at coordinates (m, C), (m,) each."""
        return self._posterior(correlation(self._kernel, self._square(points * self._weights)))[1:]

    def with_slope(self, points: Array) -> tuple[Array, Array, Slope]:
        """Means and standard deviations at coordinates (m, C), (m,) each, and their gradients."""
        scaled = points * self._weights
        correlations, by_square = correlation_and_slope(self._kernel, self._square(scaled))
        projected, mean, deviation = self._posterior(correlations)

        def slope(by_mean: Array, by_deviation: Array) -> Array:
            # 2 s ds = -2 amplitude (projected . dk): ``pull`` collects what each correlation contributes.
            pull = by_mean[:, None] * self._alpha
            pull -= (by_deviation * self._amplitude / deviation)[:, None] * projected
            pull *= 2 * by_square
            return np.asarray((pull.sum(1)[:, None] * scaled - pull @ self._trials) * self._weights)

        return mean, deviation, slope

    def _square(self, scaled: Array) -> Array:
        """Squared distances of scaled points (m, C) from the trials, (m, n)."""
        return squared_distances(scaled, self._trials, self._norms)

    def _posterior(self, correlations: Array) -> tuple[Array, Array, Array]:
        """``K^-1 k`` (m, n), mean and deviation (m,) of points, given their correlations k with the trials (m, n)."""
        projected = correlations @ self._precision
        share = np.maximum(1 - np.einsum("mn,mn->m", projected, correlations), 1e-9)
        return projected, self._mean + correlations @ self._alpha, np.sqrt(self._amplitude * share)

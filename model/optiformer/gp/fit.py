"""Fitting the heads to one history, from where the network's own inference of them leaves off.

In training the heads' lengthscales and noise are inferred by the network, so that all is learned end to end. For one
study at a time there is leisure for more: a few steps of L-BFGS-B (Byrd et al., 1995) on the log marginal likelihood,
with the inferred values as the mean of a normal prior (maximum a posteriori, so that a short or odd history stays with
what the network believes).

The likelihood and its slopes are those of :class:`optiformer.surrogate.network.processes.GPPosterior` (a test
compares), a head at a time by LAPACK's symmetric routines: they need no differentiation and half of the arithmetic.
"""

from __future__ import annotations

import math

import numpy as np

from optiformer.gp.kernels import (
    BELIEF,
    LEAST_NOISE,
    LENGTHSCALES,
    LOG_NOISES,
    Array,
    correlation_and_slope,
    squared_distances,
)
from optiformer.gp.processes import WarpedHistory

#: Standard deviations of the prior around the inferred log lengthscales and log noise shares.
LENGTHSCALE_PRIOR, NOISE_PRIOR = 0.5, 1.0


def fit(
    history: WarpedHistory, log_lengthscale: Array, log_noise: Array, evaluations: int, *, width: Array | None = None
) -> tuple[Array, Array]:
    """Fit lengthscales and noise to a history.

    Args:
        history: The trials.
        log_lengthscale: Inferred log lengthscales, (S, H).
        log_noise: Inferred log noise shares, (H,).
        evaluations: Of the marginal likelihood, about; with 0 the inferred values come back.
        width: Standard deviations of the prior around the log lengthscales, then the log noise shares, flat; those of
            what a network infers unless told.

    Returns:
        The same, fitted.
    """
    from scipy.optimize import minimize

    if not evaluations:
        return log_lengthscale, log_noise
    middle, cut = np.concatenate([log_lengthscale.ravel(), log_noise]), log_lengthscale.size
    if width is None:
        width = np.repeat([LENGTHSCALE_PRIOR, NOISE_PRIOR], [cut, len(middle) - cut])
    likelihood = MarginalLikelihood(history, len(log_lengthscale))

    def loss(point: Array) -> tuple[float, Array]:
        value, slopes, noise_slopes = likelihood(point[:cut].reshape(log_lengthscale.shape), point[cut:])
        away = (point - middle) / width
        return 0.5 * float(away @ away) - value, away / width - np.concatenate([slopes.ravel(), noise_slopes])

    found = minimize(loss, middle, jac=True, method="L-BFGS-B", options={"maxfun": evaluations})
    return found.x[:cut].reshape(log_lengthscale.shape), found.x[cut:]


class MarginalLikelihood:
    """The heads' log marginal likelihood of one history, summed, and its slopes.

    Args:
        history: The trials.
        slots: How many parameters its coordinates are of.
    """

    def __init__(self, history: WarpedHistory, slots: int) -> None:
        points, self._kernels = history.points, history.heads.kernels
        telling = np.flatnonzero(np.ptp(points, 0))
        self._points, self._warped, self._slots = points[:, telling], history.warped, slots
        self._slot_of = telling // (points.shape[1] // slots)
        self._upper = np.triu(np.ones((len(points), len(points))))

    def __call__(self, log_lengthscale: Array, log_noise: Array) -> tuple[float, Array, Array]:
        """At log lengthscales (S, H) and log noise shares (H,): the value, and its slopes in the same shapes."""
        weights = np.exp(-np.clip(log_lengthscale, *LENGTHSCALES))
        noise = LEAST_NOISE + np.exp(np.clip(log_noise, *LOG_NOISES))
        value, slopes, noise_slopes = 0.0, np.zeros_like(weights), np.zeros_like(noise)
        for head, kernel in enumerate(self._kernels):
            scaled = self._points * weights[self._slot_of, head]
            one, by_coordinate, noise_slopes[head] = self._head(kernel, scaled, self._warped[head], float(noise[head]))
            value += one
            slopes[:, head] = np.bincount(self._slot_of, by_coordinate, self._slots)
        return value, slopes, noise_slopes

    def _head(self, kernel: str, scaled: Array, warped: Array, noise: float) -> tuple[float, Array, float]:
        """One head's value and slopes by the log lengthscale of every coordinate, (C,), and by the log noise."""
        from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

        n = len(warped)
        covariance, slope = correlation_and_slope(kernel, squared_distances(scaled, scaled))
        covariance.flat[:: n + 1] += noise
        # Row by row the upper triangle of what LAPACK, column by column, calls the lower one.
        factor, _ = dpotrf(covariance.T, lower=True, overwrite_a=True)
        solved, _ = dpotrs(factor, np.stack([np.ones(n), warped], 1), lower=True)
        log_root_determinant = np.log(factor.diagonal()).sum()
        mean = solved[:, 1].sum() / (solved[:, 0].sum() + 1e-3)
        alpha = solved[:, 1] - mean * solved[:, 0]
        amplitude = ((warped - mean) @ alpha + BELIEF) / (n + BELIEF)
        precision, _ = dpotri(factor, lower=True, overwrite_c=True)
        outer = np.multiply.outer(alpha * (0.5 / amplitude), alpha)
        outer -= 0.5 * precision.T
        by_noise = noise * outer.trace()
        outer *= slope
        outer *= self._upper
        # The sum over all pairs of pull * (x_i - x_j)^2, from each pair once.
        by_coordinate = (outer.sum(0) + outer.sum(1)) @ scaled**2 - 2 * (scaled * (outer @ scaled)).sum(0)
        return -0.5 * (n + BELIEF) * math.log(amplitude) - log_root_determinant, -4 * by_coordinate, by_noise

"""MAP fit of the GP heads to one history, starting from the hyperparameters that the network predicts.

In training the network's predictions are used as they are, so that everything is learned end to end. At inference one
history is fitted at a time, so a few L-BFGS-B steps (Byrd et al., 1995) on the log marginal likelihood are affordable.
The predictions are the mean of a normal prior, to which short or unusual histories stay close.

The likelihood and its gradient are those of :class:`optiformer.surrogate.network.posterior.GPPosterior` (a test
compares), computed one head at a time with LAPACK's potrf, potrs and potri.
"""

from __future__ import annotations

import math

import numpy as np

from optiformer.gp.kernels import (
    AMPLITUDE_PRIOR_TRIALS,
    LENGTHSCALES,
    LOG_NOISES,
    MIN_NOISE,
    Array,
    correlation_and_slope,
    squared_distances,
)
from optiformer.gp.posterior import WarpedHistory

#: Standard deviations of the prior on log lengthscales and log noise shares.
LENGTHSCALE_PRIOR, NOISE_PRIOR = 0.5, 1.0


def fit(
    history: WarpedHistory, log_lengthscale: Array, log_noise: Array, evaluations: int, *, width: Array | None = None
) -> tuple[Array, Array]:
    """Maximum a posteriori lengthscales and noise.

    Args:
        history: The trials.
        log_lengthscale: Prior means of the log lengthscales, (S, H).
        log_noise: Prior means of the log noise shares, (H,).
        evaluations: Approximate number of marginal-likelihood evaluations; 0 returns the prior means.
        width: Standard deviations of the prior, log lengthscales first, flat, (S * H + H,); by default
            :data:`LENGTHSCALE_PRIOR` and :data:`NOISE_PRIOR`.

    Returns:
        Fitted log lengthscales (S, H) and log noise shares (H,).
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
    """Sum of the heads' log marginal likelihoods of one history, and its gradient.

    Args:
        history: The trials.
        slots: Number of parameters S.
    """

    def __init__(self, history: WarpedHistory, slots: int) -> None:
        points, self._kernels = history.points, history.heads.kernels
        varying = np.flatnonzero(np.ptp(points, 0))
        self._points, self._warped, self._slots = points[:, varying], history.warped, slots
        self._slot_of = varying // (points.shape[1] // slots)
        self._upper = np.triu(np.ones((len(points), len(points))))

    def __call__(self, log_lengthscale: Array, log_noise: Array) -> tuple[float, Array, Array]:
        """Value and gradient at log lengthscales (S, H) and log noise shares (H,), the gradient in the same shapes."""
        weights = np.exp(-np.clip(log_lengthscale, *LENGTHSCALES))
        noise = MIN_NOISE + np.exp(np.clip(log_noise, *LOG_NOISES))
        value, slopes, noise_slopes = 0.0, np.zeros_like(weights), np.zeros_like(noise)
        for head, kernel in enumerate(self._kernels):
            scaled = self._points * weights[self._slot_of, head]
            one, by_coordinate, noise_slopes[head] = self._head(kernel, scaled, self._warped[head], float(noise[head]))
            value += one
            slopes[:, head] = np.bincount(self._slot_of, by_coordinate, self._slots)
        return value, slopes, noise_slopes

    def _head(self, kernel: str, scaled: Array, warped: Array, noise: float) -> tuple[float, Array, float]:
        """One head's value, gradient by the coordinates' log lengthscales, (C,), and derivative by the log noise."""
        from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

        n = len(warped)
        covariance, slope = correlation_and_slope(kernel, squared_distances(scaled, scaled))
        covariance.flat[:: n + 1] += noise
        # LAPACK is column-major: its lower triangle is the upper one here.
        factor, _ = dpotrf(covariance.T, lower=True, overwrite_a=True)
        solved, _ = dpotrs(factor, np.stack([np.ones(n), warped], 1), lower=True)
        log_root_determinant = np.log(factor.diagonal()).sum()
        mean = solved[:, 1].sum() / (solved[:, 0].sum() + 1e-3)
        alpha = solved[:, 1] - mean * solved[:, 0]
        amplitude = ((warped - mean) @ alpha + AMPLITUDE_PRIOR_TRIALS) / (n + AMPLITUDE_PRIOR_TRIALS)
        precision, _ = dpotri(factor, lower=True, overwrite_c=True)
        outer = np.multiply.outer(alpha * (0.5 / amplitude), alpha)
        outer -= 0.5 * precision.T
        by_noise = noise * outer.trace()
        outer *= slope
        outer *= self._upper
        # sum_ij outer_ij (x_i - x_j)^2, with each pair counted once.
        by_coordinate = (outer.sum(0) + outer.sum(1)) @ scaled**2 - 2 * (scaled * (outer @ scaled)).sum(0)
        return (
            -0.5 * (n + AMPLITUDE_PRIOR_TRIALS) * math.log(amplitude) - log_root_determinant,
            -4 * by_coordinate,
            by_noise,
        )

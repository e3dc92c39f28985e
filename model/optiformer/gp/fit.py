"""MAP fit of the GP heads to one history, starting from the hyperparameters that the network predicts.

In training the network's predictions are used as they are, so that everything is learned end to end. At inference one
history is fitted at a time, so a few L-BFGS-B steps (Byrd et al., 1995) on the log marginal likelihood are affordable.
The predictions are the mean of a normal prior, to which short or unusual histories stay close.

The likelihood and its gradient are those of :class:`optiformer.surrogate.network.posterior.GPPosterior` (a test
compares), computed one head at a time with LAPACK's potrf, potrs and potri, from the squared distances of all pairs of
trials in each parameter, which never change.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from optiformer.gp.kernels import (
    AMPLITUDE_PRIOR_TRIALS,
    LENGTHSCALES,
    LOG_NOISES,
    MIN_NOISE,
    Array,
    Mask,
    correlation_and_slope,
)
from optiformer.gp.posterior import WarpedHistory

#: Standard deviations of the prior on log lengthscales and log noise shares.
LENGTHSCALE_PRIOR, NOISE_PRIOR = 0.5, 1.0
Rows = NDArray[np.int64]


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
        lengthscales, noises = point[:cut].reshape(log_lengthscale.shape), point[cut:]
        value, slopes, noise_slopes = likelihood(lengthscales, noises)
        # The likelihood's slopes, which the network was trained on, ignore the bounds and the least noise.
        share = np.exp(noises) / (MIN_NOISE + np.exp(noises))
        slopes = np.concatenate(
            [(slopes * _within(lengthscales, LENGTHSCALES)).ravel(), noise_slopes * share * _within(noises, LOG_NOISES)]
        )
        away = (point - middle) / width
        return 0.5 * float(away @ away) - value.sum(), away / width - slopes

    found = minimize(loss, middle, jac=True, method="L-BFGS-B", options={"maxfun": evaluations})
    return found.x[:cut].reshape(log_lengthscale.shape), found.x[cut:]


class MarginalLikelihood:
    """Log marginal likelihoods of one history under each head, and their gradients.

    Squared distances of all pairs of trials in each parameter are computed once; an evaluation only weights them.

    Args:
        history: The trials.
        slots: Number of parameters S.
    """

    def __init__(self, history: WarpedHistory, slots: int) -> None:
        n, points = len(history.score), history.points
        self._kernels, self._warped = history.heads.kernels, history.warped
        first, second, self._upper = _pairs(n)
        varying = np.flatnonzero(np.ptp(points, 0))
        self._used, start = np.unique(varying // (points.shape[1] // slots), return_index=True)
        apart = np.empty((len(varying), len(first)))
        for row, column in zip(apart, points.T[varying], strict=True):
            np.square(column[first] - column[second], out=row)
        self._apart = apart if len(start) == len(varying) else np.add.reduceat(apart, start)

    def __call__(self, log_lengthscale: Array, log_noise: Array) -> tuple[Array, Array, Array]:
        """Values (H,) and their gradient at log lengthscales (S, H) and log noise shares (H,), in these shapes."""
        weights = np.exp(-2 * np.clip(log_lengthscale, *LENGTHSCALES))
        noise = MIN_NOISE + np.exp(np.clip(log_noise, *LOG_NOISES))
        value, slopes, noise_slopes = np.zeros_like(noise), np.zeros_like(weights), np.zeros_like(noise)
        for head, kernel in enumerate(self._kernels):
            used = weights[self._used, head]
            value[head], by_weight, noise_slopes[head] = self._head(
                kernel, used, self._warped[head], float(noise[head])
            )
            slopes[self._used, head] = -2 * used * by_weight
        return value, slopes, noise_slopes

    def _head(self, kernel: str, weights: Array, warped: Array, noise: float) -> tuple[float, Array, float]:
        """One head's value, gradient by the squared inverse lengthscales, and derivative by the log noise."""
        from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

        n = len(warped)
        correlation, pull = correlation_and_slope(kernel, weights @ self._apart)
        covariance = np.empty((n, n))
        covariance.flat[:: n + 1] = 1 + noise
        covariance.ravel()[self._upper] = correlation
        # LAPACK is column-major: its lower triangle is the upper one here.
        factor, _ = dpotrf(covariance.T, lower=True, overwrite_a=True)
        solved, _ = dpotrs(factor, np.stack([np.ones(n), warped]).T, lower=True)
        log_root_determinant = np.log(factor.diagonal()).sum()
        mean = solved[:, 1].sum() / (solved[:, 0].sum() + 1e-3)
        alpha = solved[:, 1] - mean * solved[:, 0]
        amplitude = ((warped - mean) @ alpha + AMPLITUDE_PRIOR_TRIALS) / (n + AMPLITUDE_PRIOR_TRIALS)
        precision, _ = dpotri(factor, lower=True, overwrite_c=True)
        pull *= np.multiply.outer(alpha / amplitude, alpha).ravel()[self._upper] - precision.T.ravel()[self._upper]
        return (
            -0.5 * (n + AMPLITUDE_PRIOR_TRIALS) * math.log(amplitude) - log_root_determinant,
            self._apart @ pull,
            0.5 * noise * (alpha @ alpha / amplitude - precision.trace()),
        )


def _within(point: Array, bounds: tuple[float, float]) -> Mask:
    return (bounds[0] < point) & (point < bounds[1])


@functools.lru_cache(maxsize=4)
def _pairs(n: int) -> tuple[Rows, Rows, Rows]:
    """Row, column and flat index of the entries above the diagonal of an (n, n) matrix."""
    first, second = np.triu_indices(n, 1)
    return first, second, first * n + second

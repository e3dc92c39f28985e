"""MAP fit of the GP heads to one history, starting from the hyperparameters that the network predicts.

In training the network's predictions are used as they are, so that everything is learned end to end. At inference one
history is fitted at a time, so a few BFGS steps on the log marginal likelihood are affordable.
The predictions are the mean of a normal prior, to which short or unusual histories stay close.

The likelihood and its gradient are those of :class:`optiformer.surrogate.network.posterior.GPPosterior` (a test
compares), computed one head at a time with LAPACK's potrf, potrs and potri, from the squared distances of all pairs of
trials in each parameter, which never change.
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
    at_zero,
    correlation_and_slope,
    within,
)
from optiformer.gp.minimize import minimize
from optiformer.gp.posterior import WarpedHistory, pairs, symmetric

#: Standard deviations of the prior on log lengthscales and log noise shares.
LENGTHSCALE_PRIOR, NOISE_PRIOR = 0.5, 1.0
#: Maximum change of a hyperparameter in the first step, in standard deviations of its prior.
FIRST_STEP = 2.0


def fit(
    history: WarpedHistory,
    log_lengthscale: Array,
    log_noise: Array,
    evaluations: int,
    *,
    spread: Array | float = LENGTHSCALE_PRIOR,
    noise_spread: Array | float = NOISE_PRIOR,
) -> tuple[Array, Array]:
    """Maximum a posteriori lengthscales and noise.

    Args:
        history: The trials.
        log_lengthscale: Prior means of the log lengthscales, (S, H).
        log_noise: Prior means of the log noise shares, (H,).
        evaluations: Number of marginal-likelihood evaluations; 0 returns the prior means.
        spread: Standard deviations of the prior on log lengthscales, (S, H).
        noise_spread: Standard deviations of the prior on log noise shares, (H,).

    Returns:
        Fitted log lengthscales (S, H) and log noise shares (H,).
    """
    if not evaluations:
        return log_lengthscale, log_noise
    middle = np.concatenate([log_lengthscale, log_noise[None]]).T
    width = np.concatenate([log_lengthscale * 0 + spread, (log_noise * 0 + noise_spread)[None]]).T
    likelihood = MarginalLikelihood(history, len(log_lengthscale))

    bounds = np.array([*[LENGTHSCALES] * len(log_lengthscale), LOG_NOISES]).T

    def loss(away: Array) -> tuple[Array, Array]:
        point = middle + width * away
        value, slopes, noise_slopes = likelihood(point[:, :-1].T, point[:, -1])
        slope = np.empty_like(point)
        slope[:, :-1] = slopes.T
        # The likelihood's slopes, which the network was trained on, ignore the bounds and the least noise.
        slope[:, -1] = noise_slopes * (1 / (1 + MIN_NOISE * np.exp(-within(point[:, -1], LOG_NOISES))))
        slope *= (bounds[0] < point) & (point < bounds[1])
        return 0.5 * np.square(away).sum(1) - value, away - width * slope

    found = middle + width * minimize(loss, np.zeros_like(middle), evaluations, first_step=FIRST_STEP)
    return found[:, :-1].T, found[:, -1]


class MarginalLikelihood:
    """Log marginal likelihoods of one history under each head, and their gradients.

    Squared distances of all pairs of trials in each parameter are computed once; an evaluation only weights them.

    Args:
        history: The trials.
        slots: Number of parameters S.
    """

    def __init__(self, history: WarpedHistory, slots: int) -> None:
        self._kernels = history.heads.kernels
        # Right-hand sides of each head: ones and the scores.
        self._sides = np.stack([np.ones_like(history.warped), history.warped], -1)
        points, (first, second, self._upper) = history.points, pairs(len(history.score))
        varying = np.flatnonzero(np.ptp(points, 0))
        self._used, start = np.unique(varying // (points.shape[1] // slots), return_index=True)
        apart = np.empty((len(varying), len(first)))
        for row, column in zip(apart, points.T[varying], strict=True):
            np.square(column[first] - column[second], out=row)
        self._apart = apart if len(start) == len(varying) else np.add.reduceat(apart, start)

    def __call__(self, log_lengthscale: Array, log_noise: Array) -> tuple[Array, Array, Array]:
        """Values (H,) and their gradient at log lengthscales (S, H) and log noise shares (H,), in these shapes."""
        weights = np.exp(-2 * within(log_lengthscale, LENGTHSCALES))
        noise = MIN_NOISE + np.exp(within(log_noise, LOG_NOISES))
        value, slopes, noise_slopes = np.zeros(len(noise)), np.zeros(weights.shape), np.zeros(len(noise))
        for head, kernel in enumerate(self._kernels):
            used = weights[self._used, head]
            value[head], by_weight, noise_slopes[head] = self._head(kernel, used, self._sides[head], float(noise[head]))
            slopes[self._used, head] = -2 * used * by_weight
        return value, slopes, noise_slopes

    def _head(self, kernel: str, weights: Array, sides: Array, noise: float) -> tuple[float, Array, float]:
        """One head's value, gradient by the squared inverse lengthscales, and derivative by the log noise."""
        from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

        n, warped = len(sides), sides[:, 1]
        correlation, pull = correlation_and_slope(kernel, weights @ self._apart)
        covariance = symmetric(correlation, at_zero(kernel) + noise, n)
        factor, _ = dpotrf(covariance.T, lower=True, overwrite_a=True)
        solved, _ = dpotrs(factor, sides, lower=True)
        log_root_determinant = np.log(factor.diagonal()).sum()
        mean = solved[:, 1].sum() / (solved[:, 0].sum() + 1e-3)
        alpha = solved[:, 1] - mean * solved[:, 0]
        amplitude = ((warped - mean) @ alpha + AMPLITUDE_PRIOR_TRIALS) / (n + AMPLITUDE_PRIOR_TRIALS)
        precision, _ = dpotri(factor, lower=True, overwrite_c=True)
        pull *= (np.multiply.outer(alpha / amplitude, alpha) - precision.T).ravel()[self._upper]
        return (
            -0.5 * (n + AMPLITUDE_PRIOR_TRIALS) * math.log(amplitude) - log_root_determinant,
            self._apart @ pull,
            0.5 * noise * (alpha @ alpha / amplitude - precision.diagonal().sum()),
        )

"""Fitting the kernel heads to one history, from where the network's own inference of them leaves off.

In training the heads' lengthscales and noise are inferred by the network, so that all is learned end to end. For one
study at a time there is leisure for more: a few steps of L-BFGS-B (Byrd et al., 1995) on the log marginal likelihood,
with the inferred values as the mean of a normal prior (maximum a posteriori, so that a short or odd history stays with
what the network believes).

The likelihood and its slopes are those of :class:`model.kernel_systems.Solved` (a test compares), a head at a time by
LAPACK's symmetric routines: they need no differentiation and half of the arithmetic.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from model.kernel_systems import BELIEF, KERNELS, LEAST_NOISE, LENGTHSCALES, LOG_NOISES, TINY, BentHistory

#: Standard deviations of the prior around the inferred log lengthscales and log noise shares.
LENGTHSCALE_PRIOR, NOISE_PRIOR = 0.5, 1.0
Array = NDArray[np.float64]


def fit(
    history: BentHistory, log_lengthscale: torch.Tensor, log_noise: torch.Tensor, evaluations: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit lengthscales and noise to a history.

    Args:
        history: The trials; a batch of one.
        log_lengthscale: Inferred log lengthscales, (1, S, H).
        log_noise: Inferred log noise shares, (1, H).
        evaluations: Of the marginal likelihood, about; with 0 the inferred values come back.

    Returns:
        The same, fitted, in double precision.
    """
    from scipy.optimize import minimize

    inferred = log_lengthscale.detach().double(), log_noise.detach().double()
    if not evaluations:
        return inferred
    middle, cut = torch.cat([each.flatten() for each in inferred]).numpy(), inferred[0].numel()
    width = np.repeat([LENGTHSCALE_PRIOR, NOISE_PRIOR], [cut, len(middle) - cut])
    likelihood = MarginalLikelihood(history, log_lengthscale.shape[1])

    def loss(point: Array) -> tuple[float, Array]:
        value, slopes, noise_slopes = likelihood(point[:cut].reshape(inferred[0].shape[1:]), point[cut:])
        away = (point - middle) / width
        return 0.5 * float(away @ away) - value, away / width - np.concatenate([slopes.ravel(), noise_slopes])

    found = minimize(loss, middle, jac=True, method="L-BFGS-B", options={"maxfun": evaluations})
    flat = torch.from_numpy(found.x)
    return flat[:cut].view_as(inferred[0]), flat[cut:].view_as(inferred[1])


class MarginalLikelihood:
    """The heads' log marginal likelihood of one history, summed, and its slopes.

    Args:
        history: A batch of one.
        slots: How many parameters its coordinates are of.
    """

    def __init__(self, history: BentHistory, slots: int) -> None:
        points = history.points[0].numpy()
        telling = np.flatnonzero(np.ptp(points, 0))
        self._points, self._bent, self._slots = points[:, telling], history.bent[0].numpy(), slots
        self._slot_of = telling // (points.shape[1] // slots)
        self._upper = np.triu(np.ones((len(points), len(points))))

    def __call__(self, log_lengthscale: Array, log_noise: Array) -> tuple[float, Array, Array]:
        """At log lengthscales (S, H) and log noise shares (H,): the value, and its slopes in the same shapes."""
        weights = np.exp(-np.clip(log_lengthscale, *LENGTHSCALES))
        noise = LEAST_NOISE + np.exp(np.clip(log_noise, *LOG_NOISES))
        value, slopes, noise_slopes = 0.0, np.zeros_like(weights), np.zeros_like(noise)
        for head, kernel in enumerate(KERNELS):
            scaled = self._points * weights[self._slot_of, head]
            one, by_coordinate, noise_slopes[head] = self._head(kernel, scaled, self._bent[head], float(noise[head]))
            value += one
            slopes[:, head] = np.bincount(self._slot_of, by_coordinate, self._slots)
        return value, slopes, noise_slopes

    def _head(self, kernel: str, scaled: Array, bent: Array, noise: float) -> tuple[float, Array, float]:
        """One head's value and slopes by the log lengthscale of every coordinate, (C,), and by the log noise."""
        from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

        n = len(bent)
        covariance, slope = correlation_and_slope(kernel, squared_distances(scaled, scaled))
        covariance.flat[:: n + 1] += noise
        # Row by row the upper triangle of what LAPACK, column by column, calls the lower one.
        factor, _ = dpotrf(covariance.T, lower=True, overwrite_a=True)
        solved, _ = dpotrs(factor, np.stack([np.ones(n), bent], 1), lower=True)
        log_root_determinant = np.log(factor.diagonal()).sum()
        mean = solved[:, 1].sum() / (solved[:, 0].sum() + 1e-3)
        alpha = solved[:, 1] - mean * solved[:, 0]
        amplitude = ((bent - mean) @ alpha + BELIEF) / (n + BELIEF)
        precision, _ = dpotri(factor, lower=True, overwrite_c=True)
        outer = np.multiply.outer(alpha * (0.5 / amplitude), alpha)
        outer -= 0.5 * precision.T
        by_noise = noise * outer.trace()
        outer *= slope
        outer *= self._upper
        # The sum over all pairs of pull * (x_i - x_j)^2, from each pair once.
        by_coordinate = (outer.sum(0) + outer.sum(1)) @ scaled**2 - 2 * (scaled * (outer @ scaled)).sum(0)
        return -0.5 * (n + BELIEF) * math.log(amplitude) - log_root_determinant, -4 * by_coordinate, by_noise


def squared_distances(a: Array, b: Array) -> Array:
    """Of points (n, C) and (m, C), (n, m)."""
    square: Array = np.add.outer(np.square(a).sum(1), np.square(b).sum(1))
    square -= 2 * (a @ b.T)
    np.maximum(square, 0, out=square)
    return square


def correlation_and_slope(kernel: str, square: Array) -> tuple[Array, Array]:
    """Correlations at squared distances, as in :mod:`model.kernel_systems`, and their derivatives by them."""
    if kernel == "rbf":
        correlation = np.exp(-0.5 * square)
        return correlation, -0.5 * correlation
    if kernel == "exponential":
        r = np.sqrt(square + TINY)
        correlation = np.exp(-r)
        return correlation, -0.5 * correlation / r * (square > 1e-9)
    r = np.sqrt(5 * square + TINY)
    decay = np.exp(-r)
    slope = (1 + r) * decay
    return slope + np.square(r) / 3 * decay, (-5 / 6) * slope

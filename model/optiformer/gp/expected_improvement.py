"""Expected improvement (``gp-ei``) under the GP head with the best leave-one-out density.

The network's probability of improvement ignores the size of an improvement and refers to noisy observations. Expected
improvement of the noise-free value complements it; on smooth surfaces it leaves a basin earlier.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx

from optiformer.gp.kernels import Array, Mask, correlation, correlation_and_slope, squared_distances
from optiformer.gp.minimize import minimize
from optiformer.gp.posterior import Coordinates, GPPosterior

ROOT_HALF, ROOT_HALF_PI, LOG_ROOT_TAU = math.sqrt(0.5), math.sqrt(math.pi / 2), 0.5 * math.log(2 * math.pi)
#: Maximum change of a parameter in the first step of a maximization.
FIRST_STEP = 0.3


class ExpectedImprovement:
    """Expected improvement in standardised warped scores.

    ``EI = s (phi(z) + z Phi(z))`` with ``z = (best - m) / s`` (Jones et al., 1998). ``m`` and ``s`` are the posterior
    mean and standard deviation of the noise-free value, and ``best`` is the smallest ``m`` of the trials.

    Args:
        coordinates: Maps configurations to points.
        gp: Posterior of the heads.

    Attributes:
        head: Index of the selected head.
        loo_r2: Leave-one-out R^2 of its standardised warped scores.
    """

    def __init__(self, coordinates: Coordinates, gp: GPPosterior) -> None:
        self._coordinates = coordinates
        self.head = head = int(gp.loo[3].mean(1).argmax())
        self._kernel = gp.history.heads.kernels[head]
        self._weights, self._trials = gp.weights[head], gp.scaled[head]
        inverse = gp.inverse_factor[head]
        self._alpha, self._precision = inverse.T @ gp.residual[head], inverse.T @ inverse
        self._mean, self._amplitude = float(gp.mean[head, 0]), float(gp.amplitude[head, 0])
        # Posterior means at the trials.
        noise_free = gp.history.warped[head] - gp.noise[head, 0] * self._alpha
        self._best = float(noise_free.min())

        self.loo_r2 = 1.0 - float(np.square(gp.loo[0][head]).mean())

    def value(self, position: Array, active: Mask) -> Array:
        """Expected improvements of candidates (m, S), (m,)."""
        scaled = self._coordinates(position, active) * self._weights
        _, deviation, z = self._posterior(correlation(self._kernel, squared_distances(scaled, self._trials)))
        return np.asarray(deviation * np.exp(_log_gain(z)[0]))

    def maximize(self, position: Array, active: Mask, moves: Mask, evaluations: int) -> Array:
        """Maximize the log expected improvement by BFGS from several starts, (m, S).

        Args:
            position: Starts, (m, S).
            active: Which parameters they have, (m, S).
            moves: Which parameters are numeric and may change, (S,).
            evaluations: Number of joint evaluations of all m starts.
        """
        free = active & moves
        if not free.any() or not evaluations:
            return position
        points = self._coordinates(position, active)
        # The first coordinate of a parameter is its position minus one half.
        numbers = points[:, :: points.shape[1] // position.shape[1]]

        def loss(moved: Array) -> tuple[Array, Array]:
            np.copyto(numbers, moved - 0.5, where=free)
            value, slope = self._log(points)
            return -value, np.where(free, -slope[:, :: points.shape[1] // position.shape[1]], 0.0)

        return minimize(loss, position, evaluations, first_step=FIRST_STEP, low=0.0, high=1.0)

    def _log(self, points: Array) -> tuple[Array, Array]:
        """Log expected improvements at coordinates (m, C), (m,), and their gradients, (m, C)."""
        scaled = points * self._weights
        correlations, by_square = correlation_and_slope(self._kernel, squared_distances(scaled, self._trials))
        projected, deviation, z = self._posterior(correlations)
        log_gain, by_z = _log_gain(z)
        # dz = -(dm + z ds) / s and 2 s ds = -2 amplitude (projected . dk): ``pull`` collects both per correlation.
        by_deviation = (1 - by_z * z) / deviation
        pull = -(by_z / deviation)[:, None] * self._alpha
        pull -= (by_deviation * self._amplitude / deviation)[:, None] * projected
        pull *= 2 * by_square
        slope = (pull.sum(1)[:, None] * scaled - pull @ self._trials) * self._weights
        return np.log(deviation) + log_gain, slope

    def _posterior(self, correlations: Array) -> tuple[Array, Array, Array]:
        """``K^-1 k`` (m, n), deviation and z (m,) of points, given their correlations k with the trials (m, n)."""
        projected = correlations @ self._precision
        share = np.maximum(1 - np.einsum("mn,mn->m", projected, correlations), 1e-9)
        deviation = np.sqrt(self._amplitude * share)
        mean = self._mean + correlations @ self._alpha
        return projected, deviation, np.maximum((self._best - mean) / deviation, -30)


def _log_gain(z: Array) -> tuple[Array, Array]:
    """``log(phi(z) + z Phi(z))`` and its derivative."""
    # phi(z) + z Phi(z) = phi(z) (1 + z R) with R = Phi(z) / phi(z), which overflows: z > 5 uses log z.
    low = np.minimum(z, 5)
    ratio = ROOT_HALF_PI * erfcx(-ROOT_HALF * low)
    log_gain, slope = np.log1p(low * ratio) - 0.5 * np.square(low) - LOG_ROOT_TAU, ratio / (1 + low * ratio)
    high = z > 5
    if high.any():
        log_gain[high], slope[high] = np.log(z[high]), 1 / z[high]
    return log_gain, slope

"""Expected improvement (``gp-ei``) under the GP head with the best leave-one-out density.

The network's probability of improvement ignores the size of an improvement and refers to noisy observations. Expected
improvement of the noise-free value complements it; on smooth surfaces it leaves a basin earlier.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx

from optiformer.gp.kernels import Array, Mask, correlation_and_slope, squared_distances
from optiformer.gp.posterior import Coordinates, GPPosterior


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
        *_, deviation, z = self._posterior(self._coordinates(position, active))
        return np.asarray(deviation * np.exp(_log_gain(z)[0]))

    def maximize(self, position: Array, active: Mask, moves: Mask, evaluations: int) -> Array:
        """Maximize the log expected improvement by L-BFGS-B from several starts, (m, S).

        Args:
            position: Starts, (m, S).
            active: Which parameters they have, (m, S).
            moves: Which parameters are numeric and may change, (S,).
            evaluations: Approximate number of joint evaluations of all m starts.
        """
        from scipy.optimize import minimize

        free = active & moves
        if not free.any():
            return position
        points = self._coordinates(position, active)
        # The first coordinate of a parameter is its position minus one half.
        numbers = slice(None), slice(None, None, points.shape[1] // position.shape[1])

        def loss(flat: Array) -> tuple[float, Array]:
            points[numbers][free] = flat - 0.5
            value, slope = self._log(points)
            return -float(value.sum()), -slope[numbers][free]

        bounds = [(0.0, 1.0)] * int(free.sum())
        found = minimize(
            loss, position[free], jac=True, method="L-BFGS-B", bounds=bounds, options={"maxfun": evaluations}
        )
        maxima = position.copy()
        maxima[free] = found.x
        return maxima

    def _log(self, points: Array) -> tuple[Array, Array]:
        """Log expected improvements at coordinates (m, C), (m,), and their gradients, (m, C)."""
        scaled, by_square, projected, deviation, z = self._posterior(points)
        log_gain, by_z = _log_gain(z)
        # dz = -(dm + z ds) / s and 2 s ds = -2 amplitude (projected . dk): ``pull`` collects both per correlation.
        by_deviation = (1 - by_z * z) / deviation
        pull = -(by_z / deviation)[:, None] * self._alpha
        pull -= (by_deviation * self._amplitude / deviation)[:, None] * projected
        pull *= 2 * by_square
        slope = (pull.sum(1)[:, None] * scaled - pull @ self._trials) * self._weights
        return np.log(deviation) + log_gain, slope

    def _posterior(self, points: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Scaled points, derivatives of the correlations, ``K^-1 k`` (m, n), deviation and z (m,) at points (m, C)."""
        scaled = points * self._weights
        square = squared_distances(scaled, self._trials)
        correlation, by_square = correlation_and_slope(self._kernel, square)
        projected = correlation @ self._precision
        share = np.maximum(1 - np.einsum("mn,mn->m", projected, correlation), 1e-9)
        deviation = np.sqrt(self._amplitude * share)
        return (
            scaled,
            by_square,
            projected,
            deviation,
            np.maximum((self._best - self._mean - correlation @ self._alpha) / deviation, -30),
        )


def _log_gain(z: Array) -> tuple[Array, Array]:
    """``log(phi(z) + z Phi(z))`` and its derivative."""
    # phi(z) + z Phi(z) = phi(z) (1 + z R) with R = Phi(z) / phi(z), which overflows: z > 5 uses log z.
    ratio = np.sqrt(np.pi / 2) * erfcx(-np.minimum(z, 5) / np.sqrt(2))
    high = z > 5
    log_gain = np.where(
        high, np.log(np.maximum(z, 1)), -0.5 * np.square(z) - 0.5 * np.log(2 * np.pi) + np.log1p(z * ratio)
    )
    return log_gain, np.where(high, 1 / np.maximum(z, 1), ratio / (1 + np.minimum(z, 5) * ratio))

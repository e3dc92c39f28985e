"""Expected improvement of one kernel head alone, and where its gradient leads.

A head is a plain Gaussian process of warped scores with a fitted kernel; the one that foretells each trial best from
the others is taken. What it expects to gain is a second opinion beside the network's probability of improvement: it
asks by how much, and for the function's value, not a noisy observation of it. On smooth surfaces it leaves a basin
sooner.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx

from optiformer.gp.kernels import Array, Mask, correlation_and_slope, squared_distances
from optiformer.gp.processes import Coordinates, Processes


class ProcessImprovement:
    """Expected improvement, in deviations of the head's scores.

    ``EI = s (phi(z) + z Phi(z))`` with ``z = (best - m) / s`` (Jones et al., 1998), ``m`` and ``s`` the posterior of
    the function's value, without noise, and ``best`` the least ``m`` of the trials.

    Args:
        coordinates: Of configurations.
        solved: The heads' processes of one history.

    Attributes:
        head: Which of them it is.
    """

    def __init__(self, coordinates: Coordinates, solved: Processes) -> None:
        self._coordinates = coordinates
        self.head = head = int(solved.left_out[3].mean(1).argmax())
        self._kernel = solved.history.heads.kernels[head]
        self._weights, self._trials = solved.weights[head], solved.scaled[head]
        inverse = solved.inverse_factor[head]
        self._alpha, self._precision = inverse.T @ solved.residual[head], inverse.T @ inverse
        self._mean, self._amplitude = float(solved.mean[head, 0]), float(solved.amplitude[head, 0])
        # The posterior means at the trials: the scores less what is taken for noise.
        noise_free = solved.history.warped[head] - solved.noise[head, 0] * self._alpha
        self._best = float(noise_free.min())

        self.explained = 1.0 - float(np.square(solved.left_out[0][head]).mean())
        """The share of the variance of the head's scores that it predicts of each trial from the others."""

    def value(self, position: Array, active: Mask) -> Array:
        """Of candidates (m, S), (m,)."""
        *_, deviation, z = self._posterior(self._coordinates(position, active))
        return np.asarray(deviation * np.exp(_log_gain(z)[0]))

    def climb(self, position: Array, active: Mask, moves: Mask, evaluations: int) -> Array:
        """Where L-BFGS-B on the log expected improvement leads from each of some positions, (m, S).

        Args:
            position: Where to begin, (m, S).
            active: Which parameters they have, (m, S).
            moves: Which parameters are numbers that may change, (S,).
            evaluations: Of the m expected improvements together, about.
        """
        from scipy.optimize import minimize

        free = active & moves
        if not free.any():
            return position
        points = self._coordinates(position, active)
        # A slot's first coordinate is a number's position less a half.
        numbers = slice(None), slice(None, None, points.shape[1] // position.shape[1])

        def loss(flat: Array) -> tuple[float, Array]:
            points[numbers][free] = flat - 0.5
            value, slope = self._log(points)
            return -float(value.sum()), -slope[numbers][free]

        bounds = [(0.0, 1.0)] * int(free.sum())
        found = minimize(
            loss, position[free], jac=True, method="L-BFGS-B", bounds=bounds, options={"maxfun": evaluations}
        )
        climbed = position.copy()
        climbed[free] = found.x
        return climbed

    def _log(self, points: Array) -> tuple[Array, Array]:
        """The log expected improvement at coordinates (m, C), (m,), and its slopes by them, (m, C)."""
        scaled, by_square, projected, deviation, z = self._posterior(points)
        log_gain, by_z = _log_gain(z)
        # dz = -(dm + z ds) / s and 2 s ds = -2 amplitude (projected . dk): pull collects both by each correlation.
        by_deviation = (1 - by_z * z) / deviation
        pull = -(by_z / deviation)[:, None] * self._alpha
        pull -= (by_deviation * self._amplitude / deviation)[:, None] * projected
        pull *= 2 * by_square
        slope = (pull.sum(1)[:, None] * scaled - pull @ self._trials) * self._weights
        return np.log(deviation) + log_gain, slope

    def _posterior(self, points: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Of points (m, C): scaled, correlations' slopes and projected ones (m, n), deviation and z (m,)."""
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
    """Log of ``phi(z) + z Phi(z)`` and its derivative."""
    # phi(z) + z Phi(z) = phi(z) (1 + z R), with Mills' ratio R = Phi(z) / phi(z); beyond z = 5 R is too large.
    ratio = np.sqrt(np.pi / 2) * erfcx(-np.minimum(z, 5) / np.sqrt(2))
    high = z > 5
    log_gain = np.where(
        high, np.log(np.maximum(z, 1)), -0.5 * np.square(z) - 0.5 * np.log(2 * np.pi) + np.log1p(z * ratio)
    )
    return log_gain, np.where(high, 1 / np.maximum(z, 1), ratio / (1 + np.minimum(z, 5) * ratio))

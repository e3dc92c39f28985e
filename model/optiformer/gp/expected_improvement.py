"""Expected improvement (``gp-ei``) under the GP head with the best leave-one-out density.

The network's probability of improvement ignores the size of an improvement and refers to noisy observations. Expected
improvement of the noise-free value complements it; on smooth surfaces it leaves a basin earlier.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx

from optiformer.gp.acquisition import LEAST_Z, LOG_ROOT_TAU, Acquisition
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Coordinates
from optiformer.gp.predictor import Predictor

ROOT_HALF, ROOT_HALF_PI = math.sqrt(0.5), math.sqrt(math.pi / 2)


class ExpectedImprovement(Acquisition):
    """Expected improvement in standardised warped scores.

    ``EI = s (phi(z) + z Phi(z))`` with ``z = (best - m) / s`` (Jones et al., 1998). ``m`` and ``s`` are the posterior
    mean and standard deviation of the noise-free value, and ``best`` is the smallest ``m`` of the feasible trials.

    Args:
        coordinates: Maps configurations to points.
        predictor: Posterior of the objective.
        feasible: Which trials fulfil the constraints, (n,).
    """

    def __init__(self, coordinates: Coordinates, predictor: Predictor, feasible: Mask) -> None:
        super().__init__(coordinates, predictor.loo_r2)
        self._predictor = predictor
        self._best = float(predictor.at_trials[feasible].min())

    def _value(self, points: Array) -> Array:
        mean, deviation = self._predictor(points)
        return np.asarray(deviation * np.exp(log_gain(self._z(mean, deviation))[0]))

    def _log(self, points: Array) -> tuple[Array, Array]:
        mean, deviation, slope = self._predictor.with_slope(points)
        z = self._z(mean, deviation)
        gain, by_z = log_gain(z)
        return np.log(deviation) + gain, slope(-by_z / deviation, (1 - by_z * z) / deviation)

    def _z(self, mean: Array, deviation: Array) -> Array:
        return np.maximum((self._best - mean) / deviation, LEAST_Z)


def log_gain(z: Array) -> tuple[Array, Array]:
    """``log(phi(z) + z Phi(z))`` and its derivative."""
    # phi(z) + z Phi(z) = phi(z) (1 + z R) with R = Phi(z) / phi(z), which overflows: z > 5 uses log z.
    low = np.minimum(z, 5)
    ratio = ROOT_HALF_PI * erfcx(-ROOT_HALF * low)
    gain, slope = np.log1p(low * ratio) - 0.5 * np.square(low) - LOG_ROOT_TAU, ratio / (1 + low * ratio)
    high = z > 5
    if high.any():
        gain[high], slope[high] = np.log(z[high]), 1 / z[high]
    return gain, slope

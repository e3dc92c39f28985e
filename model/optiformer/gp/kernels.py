"""Kernels as functions of squared distance, and the output warping of the GP heads.

Head ``h`` models ``g_h(u) = asinh(z / k_h)`` of a transformed score ``u``, where ``z = asinh_scale * sinh(u)`` is the
distance from the best value in units of the distance from best to median. The heads' scales ``k_h`` range from
logarithmic (as the network's input) to nearly linear. :mod:`optiformer.surrogate.network.posterior` is the
batched torch version for training; a test compares them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class HeadKinds:
    """Kernel and output warping of each GP head; heads with the same kernel are adjacent.

    Attributes:
        kernels: Each head's kernel.
        asinh_scales: Distance from the best value at which each head's warping turns from linear to logarithmic, in
            units of the distance from best to median.
    """

    kernels: tuple[str, ...]
    asinh_scales: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.kernels)

    @functools.cached_property
    def runs(self) -> tuple[tuple[str, slice], ...]:
        """Each distinct kernel with the slice of its heads."""
        kernels = self.kernels
        return tuple(
            (kernel, slice(kernels.index(kernel), len(kernels) - kernels[::-1].index(kernel)))
            for kernel in dict.fromkeys(kernels)
        )

    def of(self, chosen: tuple[int, ...]) -> HeadKinds:
        """A subset of the heads."""
        return HeadKinds(tuple(self.kernels[i] for i in chosen), tuple(self.asinh_scales[i] for i in chosen))


#: All heads; a network has a subset of them.
HEADS = HeadKinds(("matern52", "matern52", "matern52", "rbf", "exponential"), (0.05, 0.5, 30.0, 5.0, 0.5))
MIN_NOISE, EPSILON = 1e-5, 1e-12
#: Bounds of log lengthscales and log noise shares.
LENGTHSCALES, LOG_NOISES = (math.log(0.02), math.log(100)), (-14.0, 1.0)
#: Strength, in trials, of the prior that a head's amplitude equals the variance of the history.
AMPLITUDE_PRIOR_TRIALS = 2.0
#: Squared distance between two choices, and between an active and an inactive parameter.
MISMATCH_SQ = 0.5


def within(values: Array, bounds: tuple[float, float]) -> Array:
    """Values clipped to their bounds; ``np.clip`` takes thrice as long on short arrays."""
    return np.minimum(np.maximum(values, bounds[0]), bounds[1])


def squared_distances(a: Array, b: Array, norms: Array | None = None) -> Array:
    """Of points (..., n, C) and (..., m, C), (..., n, m); ``norms`` are the squared norms of the latter, (..., m)."""
    norms = np.square(b).sum(-1) if norms is None else norms
    square: Array = np.square(a).sum(-1)[..., :, None] + norms[..., None, :]
    square -= 2 * (a @ np.swapaxes(b, -1, -2))
    np.maximum(square, 0, out=square)
    return square


def correlation(kernel: str, square: Array) -> Array:
    """Correlations at squared distances of scaled points."""
    if kernel == "rbf":
        return np.exp(-0.5 * square)
    if kernel == "exponential":
        return np.exp(-np.sqrt(square + EPSILON))
    r = np.sqrt(5 * square + EPSILON)
    return (1 + r + np.square(r) / 3) * np.exp(-r)


def at_zero(kernel: str) -> float:
    """The correlation at distance 0, which is 1 but for :data:`EPSILON`."""
    return math.exp(-math.sqrt(EPSILON)) if kernel == "exponential" else 1.0


def correlation_and_slope(kernel: str, square: Array) -> tuple[Array, Array]:
    """Correlations at squared distances, and their derivatives with respect to these."""
    if kernel == "rbf":
        found = np.exp(-0.5 * square)
        return found, -0.5 * found
    if kernel == "exponential":
        r = np.sqrt(square + EPSILON)
        found = np.exp(-r)
        return found, -0.5 * found / r * (square > 1e-9)
    r = np.sqrt(5 * square + EPSILON)
    decay = np.exp(-r)
    slope = (1 + r) * decay
    # slope + r^2 / 3 * decay, in place
    r *= r
    r /= 3
    r *= decay
    r += slope
    slope *= -5 / 6
    return r, slope


def warp(heads: HeadKinds, asinh_scale: float, u: Array) -> Array:
    """Warp transformed scores (...) for each head, (..., H)."""
    return np.asarray(np.arcsinh(asinh_scale * np.sinh(u)[..., None] / np.array(heads.asinh_scales)))


def unwarp(heads: HeadKinds, asinh_scale: float, warped: Array) -> Array:
    """Inverse of :func:`warp`, (..., H) to (..., H)."""
    return np.asarray(np.arcsinh(np.array(heads.asinh_scales) * np.sinh(np.clip(warped, -12, 12)) / asinh_scale))


def log_slope(heads: HeadKinds, asinh_scale: float, u: Array) -> Array:
    """Log derivative of each head's warping at transformed scores, (..., H) to (..., H)."""
    asinh_scales, inner = np.array(heads.asinh_scales), np.clip(u, -12, 12)
    z = asinh_scale * np.sinh(inner) / asinh_scales
    return np.asarray(np.log(asinh_scale / asinh_scales * np.cosh(inner)) - 0.5 * np.log1p(np.square(z)))

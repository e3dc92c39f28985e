"""Kernels by the squared distance of scaled points, and how scores are warped before a process models them.

A head ``h`` models warped scores ``g_h(u) = asinh(z / k_h)``, where ``z = knee * sinh(u)`` is the distance from the
best value in gaps to the median: ``k_h`` goes from logarithmic (what the network sees) to nearly linear.
:mod:`optiformer.surrogate.network.processes` computes the same with torch, for training; a test compares.
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
    """What the heads of a network are; heads of one kernel lie side by side.

    Attributes:
        kernels: Each head's kernel.
        knees: Where each head's warping of the scores turns from linear to logarithmic, in gaps.
    """

    kernels: tuple[str, ...]
    knees: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.kernels)

    @functools.cached_property
    def runs(self) -> tuple[tuple[str, slice], ...]:
        """The kernels without repetition, each with its heads."""
        kernels = self.kernels
        return tuple(
            (kernel, slice(kernels.index(kernel), len(kernels) - kernels[::-1].index(kernel)))
            for kernel in dict.fromkeys(kernels)
        )

    def of(self, chosen: tuple[int, ...]) -> HeadKinds:
        """Some of them."""
        return HeadKinds(tuple(self.kernels[i] for i in chosen), tuple(self.knees[i] for i in chosen))


#: All that there are; a network has some of them.
HEADS = HeadKinds(("matern52", "matern52", "matern52", "rbf", "exponential"), (0.05, 0.5, 30.0, 5.0, 0.5))
LEAST_NOISE, TINY = 1e-5, 1e-12
#: Bounds of log lengthscales and log noise shares.
LENGTHSCALES, LOG_NOISES = (math.log(0.02), math.log(100)), (-14.0, 1.0)
#: Strength of the prior belief that a head's amplitude is the history's own spread, in trials.
BELIEF = 2.0
#: Squared distance between two choices, and between an inactive parameter and an active one.
APART = 0.5


def squared_distances(a: Array, b: Array) -> Array:
    """Of points (..., n, C) and (..., m, C), (..., n, m)."""
    square: Array = np.square(a).sum(-1)[..., :, None] + np.square(b).sum(-1)[..., None, :]
    square -= 2 * (a @ np.swapaxes(b, -1, -2))
    np.maximum(square, 0, out=square)
    return square


def correlation(kernel: str, square: Array) -> Array:
    """Correlations at squared distances of scaled points."""
    if kernel == "rbf":
        return np.exp(-0.5 * square)
    if kernel == "exponential":
        return np.exp(-np.sqrt(square + TINY))
    r = np.sqrt(5 * square + TINY)
    return (1 + r + np.square(r) / 3) * np.exp(-r)


def correlation_and_slope(kernel: str, square: Array) -> tuple[Array, Array]:
    """Correlations at squared distances, and their derivatives by them."""
    if kernel == "rbf":
        found = np.exp(-0.5 * square)
        return found, -0.5 * found
    if kernel == "exponential":
        r = np.sqrt(square + TINY)
        found = np.exp(-r)
        return found, -0.5 * found / r * (square > 1e-9)
    r = np.sqrt(5 * square + TINY)
    decay = np.exp(-r)
    slope = (1 + r) * decay
    return slope + np.square(r) / 3 * decay, (-5 / 6) * slope


def warp(heads: HeadKinds, knee: float, u: Array) -> Array:
    """Squashed scores (...) to the heads' warped ones, (..., H)."""
    return np.asarray(np.arcsinh(knee * np.sinh(u)[..., None] / np.array(heads.knees)))


def unwarp(heads: HeadKinds, knee: float, warped: Array) -> Array:
    """The inverse of :func:`warp`, (..., H) to (..., H)."""
    return np.asarray(np.arcsinh(np.array(heads.knees) * np.sinh(np.clip(warped, -12, 12)) / knee))


def log_slope(heads: HeadKinds, knee: float, u: Array) -> Array:
    """Log derivative of each head's warping at its squashed scores, (..., H) to (..., H)."""
    knees, inner = np.array(heads.knees), np.clip(u, -12, 12)
    z = knee * np.sinh(inner) / knees
    return np.asarray(np.log(knee / knees * np.cosh(inner)) - 0.5 * np.log1p(np.square(z)))

"""Kernels by the squared distance of scaled points, and how scores are warped before a process models them.

A head ``h`` models warped scores ``g_h(u) = asinh(z / k_h)``, where ``z = knee * sinh(u)`` is the distance from the
best value in gaps to the median: ``k_h`` goes from logarithmic (what the network sees) to nearly linear.
:mod:`optiformer.surrogate.network.processes` computes the same with torch, for training; a test compares.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Where each head's warping of the scores turns from linear to logarithmic, in gaps, and its kernel.
KNEES = (0.05, 0.5, 30.0, 5.0, 0.5)
KERNELS = ("matern52", "matern52", "matern52", "rbf", "exponential")
N_HEADS = len(KNEES)
#: The kernels without repetition, each with its heads, which lie side by side.
RUNS = tuple(
    (kernel, slice(KERNELS.index(kernel), len(KERNELS) - KERNELS[::-1].index(kernel)))
    for kernel in dict.fromkeys(KERNELS)
)
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


def warp(knee: float, u: Array) -> Array:
    """Squashed scores (...) to the heads' warped ones, (..., H)."""
    return np.asarray(np.arcsinh(knee * np.sinh(u)[..., None] / np.array(KNEES)))


def unwarp(knee: float, warped: Array) -> Array:
    """The inverse of :func:`warp`, (..., H) to (..., H)."""
    return np.asarray(np.arcsinh(np.array(KNEES) * np.sinh(np.clip(warped, -12, 12)) / knee))


def log_slope(knee: float, u: Array) -> Array:
    """Log derivative of each head's warping at its squashed scores, (..., H) to (..., H)."""
    knees, inner = np.array(KNEES), np.clip(u, -12, 12)
    z = knee * np.sinh(inner) / knees
    return np.asarray(np.log(knee / knees * np.cosh(inner)) - 0.5 * np.log1p(np.square(z)))

"""Samples of Gaussian processes with GPyTorch kernels on the unit cube.

A sample is drawn exactly (Cholesky) at ``n_anchors`` points with a GPyTorch kernel and extended by the posterior
mean ``f(x) = k(x, Z) K^-1 f(Z)``, evaluated in NumPy (tens of microseconds per call, hundreds with GPyTorch). A test
compares the NumPy kernels with GPyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from optiformer.errors import ModelError
from optiformer.gp.kernels import squared_distances

KernelName = Literal["rbf", "matern32", "matern52", "periodic"]
KERNELS: tuple[KernelName, ...] = get_args(KernelName)
JITTER = 1e-6


@dataclass(frozen=True, eq=False)
class GPSample:
    """One function drawn from a GP with mean 0 and variance 1.

    Attributes:
        kernel: The kernel's name.
        lengthscales: One per dimension, shape (D,); infinite ones make a dimension irrelevant.
        periods: Periods of the periodic kernel, shape (D,).
        anchors: Points at which it was drawn, shape (M, D).
        weights: ``K^-1 f(anchors)``, shape (M,).
    """

    kernel: KernelName
    lengthscales: NDArray[np.float64]
    periods: NDArray[np.float64]
    anchors: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at points of the unit cube, (N, D) -> (N,)."""
        return covariance(self.kernel, x, self.anchors, self.lengthscales, self.periods) @ self.weights


def covariance(
    kernel: KernelName,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    lengthscales: NDArray[np.float64],
    periods: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The kernel matrix between (N, D) and (M, D) points, as GPyTorch 1.x parametrises it."""
    used = np.isfinite(lengthscales)
    a, b, lengthscales, periods = a[:, used], b[:, used], lengthscales[used], periods[used]
    if kernel == "periodic":
        total = np.zeros((len(a), len(b)))
        for i, (scale, period) in enumerate(zip(lengthscales, periods, strict=True)):
            total += np.sin(np.pi / period * (a[:, i, None] - b[None, :, i])) ** 2 / scale
        return np.asarray(np.exp(-2.0 * total))
    a, b = a / lengthscales, b / lengthscales
    squared = squared_distances(a, b)
    if kernel == "rbf":
        return np.asarray(np.exp(-0.5 * squared))
    distance = np.sqrt(squared)
    if kernel == "matern32":
        return np.asarray((1 + np.sqrt(3) * distance) * np.exp(-np.sqrt(3) * distance))
    if kernel == "matern52":
        return np.asarray((1 + np.sqrt(5) * distance + 5 / 3 * squared) * np.exp(-np.sqrt(5) * distance))
    raise ModelError(f"Unknown kernel {kernel!r}: choose one of {', '.join(KERNELS)}.")


def gpytorch_covariance(
    kernel: KernelName,
    points: NDArray[np.float64],
    lengthscales: NDArray[np.float64],
    periods: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The kernel matrix (M, M) among points, computed by GPyTorch."""
    import torch
    from gpytorch import kernels

    used = np.isfinite(lengthscales)
    dimensions = int(used.sum())
    if kernel == "periodic":
        module = kernels.PeriodicKernel(ard_num_dims=dimensions)
        module.period_length = torch.from_numpy(periods[used])
    elif kernel == "rbf":
        module = kernels.RBFKernel(ard_num_dims=dimensions)
    else:
        module = kernels.MaternKernel(nu={"matern32": 1.5, "matern52": 2.5}[kernel], ard_num_dims=dimensions)
    module = module.double()
    module.lengthscale = torch.from_numpy(lengthscales[used])
    with torch.no_grad():
        inputs = torch.from_numpy(np.ascontiguousarray(points[:, used]))
        return np.asarray(module(inputs).to_dense().numpy())


def sample_gp(rng: np.random.Generator, dimensions: int, *, n_anchors: int = 160) -> GPSample:
    """Sample a function with a random kernel and lengthscales; about a fifth of the dimensions are irrelevant."""
    kernel = KERNELS[rng.choice(len(KERNELS), p=[0.3, 0.25, 0.3, 0.15])]
    used = rng.random(dimensions) > 0.2
    used[rng.integers(dimensions)] = True
    # Distances grow with sqrt(d), so lengthscales must too for a fixed roughness.
    typical = np.exp(rng.normal(-0.7, 0.5)) * np.sqrt(used.sum())
    lengthscales = typical * np.exp(rng.normal(0.0, 0.6, dimensions))
    periods = rng.uniform(0.7, 3.0, dimensions)
    lengthscales = np.where(used, np.maximum(lengthscales, 0.08), np.inf)
    if kernel == "periodic":  # GPyTorch divides by the lengthscale once, not squared
        lengthscales = np.where(used, np.maximum(4 * lengthscales**2, 0.5), np.inf)
    anchors = rng.random((n_anchors, dimensions))
    matrix = gpytorch_covariance(kernel, anchors, lengthscales, periods)
    jitter = JITTER
    while True:
        try:
            factor = np.linalg.cholesky(matrix + jitter * np.eye(n_anchors))
            break
        except np.linalg.LinAlgError:
            jitter *= 10
    # With f = L e, K^-1 f = L^-T e.
    weights = np.linalg.solve(factor.T, rng.standard_normal(n_anchors))
    return GPSample(kernel, lengthscales, periods, anchors, weights)

"""Evaluation functions, and how close a function comes to a shifted copy of one: none may be in a training prior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _rastrigin(z: Array) -> Array:
    return np.asarray((z * z - 10 * np.cos(2 * np.pi * z)).sum(1))


def _ackley(z: Array) -> Array:
    ring = np.exp(np.cos(2 * np.pi * z).mean(1))
    return np.asarray(-20 * np.exp(-0.2 * np.sqrt((z * z).mean(1))) - ring)


def _griewank(z: Array) -> Array:
    return np.asarray((z * z).sum(1) / 4000 - np.cos(z / np.sqrt(np.arange(1, z.shape[1] + 1))).prod(1))


def _rosenbrock(z: Array) -> Array:
    return np.asarray((100 * (z[:, 1:] - z[:, :-1] ** 2) ** 2 + (1 - z[:, :-1]) ** 2).sum(1))


def _styblinski_tang(z: Array) -> Array:
    return np.asarray((z**4 - 16 * z**2 + 5 * z).sum(1))


def _levy(z: Array) -> Array:
    w = 1 + (z - 1) / 4
    middle = (w[:, :-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:, :-1] + 1) ** 2)
    last = (w[:, -1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[:, -1]) ** 2)
    return np.asarray(np.sin(np.pi * w[:, 0]) ** 2 + middle.sum(1) + last)


def _schwefel(z: Array) -> Array:
    return np.asarray(-(z * np.sin(np.sqrt(np.abs(z)))).sum(1))


def _michalewicz(z: Array) -> Array:
    return np.asarray(-(np.sin(z) * np.sin(np.arange(1, z.shape[1] + 1) * z * z / np.pi) ** 20).sum(1))


def _sphere(z: Array) -> Array:
    return np.asarray((z * z).sum(1))


def _branin(z: Array) -> Array:
    a, b = z[:, 0], z[:, 1]
    inner = b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6
    return np.asarray(inner**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a))


#: Each function with the half width of its usual domain (the unit cube maps to ``[-w, w]``).
EVALUATION_FUNCTIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "sphere": (_sphere, 5.12),
    "rastrigin": (_rastrigin, 5.12),
    "ackley": (_ackley, 32.768),
    "griewank": (_griewank, 600.0),
    "rosenbrock": (_rosenbrock, 2.048),
    "styblinski-tang": (_styblinski_tang, 5.0),
    "levy": (_levy, 10.0),
    "schwefel": (_schwefel, 500.0),
    "michalewicz": (_michalewicz, np.pi),
    "branin": (_branin, 10.0),
}


def best_shifted_fit(
    function: Callable[[Array], Array], dimensions: int, name: str, *, n_shifts: int = 64, seed: int = 0
) -> float:
    """The largest squared correlation of a function with shifted copies of an evaluation function.

    Shifts are random, and the best one is refined by random local search.
    """
    reference, half_width = EVALUATION_FUNCTIONS[name]
    rng = np.random.default_rng(seed)
    x = rng.random((400, dimensions))
    y = function(x)

    def fit(shift: Array) -> float:
        values = reference((2 * x - 1 - shift) * half_width)
        if values.std() < 1e-12:
            return 0.0
        return float(np.corrcoef(y, values)[0, 1] ** 2)

    shifts = rng.uniform(-0.8, 0.8, (n_shifts, dimensions))
    shifts[0] = 0.0
    fits = [fit(shift) for shift in shifts]
    best, shift = max(fits), shifts[int(np.argmax(fits))]
    for scale in (0.2, 0.1, 0.05, 0.02, 0.01):
        for _ in range(12):
            trial = shift + rng.normal(0.0, scale, dimensions)
            value = fit(trial)
            if value > best:
                best, shift = value, trial
    return best

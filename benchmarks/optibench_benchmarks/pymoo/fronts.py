"""The Pareto fronts of the functions, by their formulas."""

from __future__ import annotations

import math

import numpy as np

from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.hypervolume import Floats, nondominated

STEPS = 200_001
"""Points along a front of two objectives, whose hypervolume then differs by less than 1e-5 from the exact one."""


def rest(function: str, objectives: int) -> float | None:
    """With three objectives: the volume between the origin and the front, exactly; ``None`` with two."""
    if objectives == 2:
        return None
    ball = math.pi ** (objectives / 2) / math.gamma(objectives / 2 + 1) / 2**objectives
    simplex = 0.5**objectives / math.factorial(objectives)
    return simplex if function == "dtlz1" else ball


def front_points(function: str, objectives: int) -> Floats:
    """Points of the front, (n, M), in order of the first objective where there are two."""
    if objectives > 2:
        return _many(function, objectives)
    x = np.linspace(0.0, 1.0, STEPS)
    curve = _curve(function, x)
    curve = curve[nondominated(curve)]
    return np.asarray(curve[np.lexsort(curve.T[::-1])])


def _curve(function: str, x: Floats) -> Floats:
    """Points (n, 2) with the front among them, for numbers from 0 to 1."""
    quarter = 0.5 * math.pi * x
    circle = np.stack([np.cos(quarter), np.sin(quarter)], axis=1)
    if function in ("zdt1", "zdt4"):
        found = x, 1.0 - np.sqrt(x)
    elif function == "zdt2":
        found = x, 1.0 - x**2
    elif function == "zdt3":
        found = x, 1.0 - np.sqrt(x) - x * np.sin(10.0 * math.pi * x)
    elif function == "zdt6":
        first = 1.0 - np.exp(-4.0 * x) * np.sin(6.0 * math.pi * x) ** 6
        found = first, 1.0 - first**2
    elif function == "dtlz1":
        found = 0.5 * x, 0.5 * (1.0 - x)
    elif function in ("dtlz2", "dtlz3", "dtlz4", "dtlz6", "c1dtlz3"):
        return circle
    elif function == "c2dtlz2":
        centres = np.array([[1.0, 0.0], [0.0, 1.0], [math.sqrt(0.5), math.sqrt(0.5)]])
        distances = np.linalg.norm(circle[:, None] - centres, axis=2)
        return np.asarray(circle[(distances <= 0.2).any(axis=1)])
    elif function == "dtlz7":
        found = x, 4.0 - x * (1.0 + np.sin(3.0 * math.pi * x))
    elif function == "wfg2":
        found = 2.0 * (1.0 - np.cos(quarter)), 4.0 * (1.0 - x * np.cos(5.0 * math.pi * x) ** 2)
    elif function == "wfg3":
        found = 2.0 * x, 4.0 * (1.0 - x)
    elif function.startswith("wfg"):
        return np.asarray(circle * [2.0, 4.0])
    elif function == "bnh":
        first, second = np.minimum(5.0 * x, 5.0), np.minimum(5.0 * x, 3.0)
        found = 4.0 * (first**2 + second**2), (first - 5.0) ** 2 + (second - 5.0) ** 2
    elif function == "srn":
        # along its first constraint, where both gradients oppose each other, and along its second constraint
        first = np.concatenate([1.1 - 3.6 * x, np.full(STEPS, -2.5), -2.5 - 3.5 * x])
        second = np.concatenate(
            [
                (first[:STEPS] + 10.0) / 3.0,
                2.5 + x * (math.sqrt(225.0 - 2.5**2) - 2.5),
                np.sqrt(225.0 - first[2 * STEPS :] ** 2),
            ]
        )
        found = 2.0 + (first - 2.0) ** 2 + (second - 1.0) ** 2, 9.0 * first - (second - 1.0) ** 2
    elif function == "tnk":
        radius = np.sqrt(1.0 + 0.1 * np.cos(16.0 * quarter))
        curve = radius[:, None] * circle
        return np.asarray(curve[((curve - 0.5) ** 2).sum(axis=1) <= 0.5])
    else:
        raise BenchmarkError(f"The front of {function} is not known here.")
    return np.stack(found, axis=1)


def _many(function: str, objectives: int) -> Floats:
    """Evenly spread directions on the simplex (Das and Dennis 1998), projected to the front."""
    lines = 12
    grid = np.stack(np.meshgrid(*[np.arange(lines + 1)] * objectives, indexing="ij"), axis=-1).reshape(-1, objectives)
    directions = grid[grid.sum(axis=1) == lines] / lines
    if function == "dtlz1":
        return np.asarray(0.5 * directions)
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))

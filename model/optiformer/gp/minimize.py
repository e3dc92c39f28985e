"""BFGS on several small problems at once: the heads' hyperparameters, and the starts that maximize an acquisition.

Our functions take tens of microseconds, less than SciPy's L-BFGS-B adds to each evaluation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optiformer.gp.kernels import Array

#: Share of the expected decrease that a step must reach, and bounds of the factor that shortens it otherwise.
ARMIJO, SHORTEN = 1e-4, (0.1, 0.5)
#: Step of a variable below which all minima are reached.
TOLERANCE = 1e-5


def minimize(
    loss: Callable[[Array], tuple[Array, Array]],
    start: Array,
    evaluations: int,
    *,
    first_step: float,
    low: float = -np.inf,
    high: float = np.inf,
) -> Array:
    """Minimize m functions of p variables by BFGS with backtracking (Nocedal & Wright, 2006, chapter 6).

    Args:
        loss: From points (m, p) to values (m,) and gradients (m, p).
        start: Starts, (m, p).
        evaluations: Number of evaluations of all m functions.
        first_step: Maximum change of a variable in the first step.
        low: Lower bound of the variables; a variable at a bound moves only away from it.
        high: Upper bound.

    Returns:
        The best points found, (m, p).
    """
    point, (value, slope) = start, loss(start)
    inverse = np.eye(start.shape[1]) * (first_step / (np.abs(slope).max(1) + 1e-300))[:, None, None]
    length, begun = np.ones((len(start), 1)), np.zeros(len(start), dtype=bool)
    for _ in range(evaluations - 1):
        held = ((point <= low) & (slope > 0)) | ((point >= high) & (slope < 0))
        direction = np.where(held, 0.0, -(inverse @ np.where(held, 0.0, slope)[..., None])[..., 0])
        trial = np.clip(point + length * direction, low, high)
        step = trial - point
        if np.abs(step).max() < TOLERANCE:
            break
        new_value, new_slope = loss(trial)
        expected, change = (step * slope).sum(1), new_slope - slope
        better, curvature = new_value <= value + ARMIJO * expected, (step * change).sum(1)
        rows = np.flatnonzero(better & (curvature > 1e-12))
        if len(rows):
            s, y, inner = step[rows, :, None], change[rows, :, None], curvature[rows, None, None]
            # The first update scales the identity to the curvature that was met.
            first = np.eye(len(s[0])) * (inner / np.square(y).sum(1, keepdims=True))
            old = np.where(begun[rows, None, None], inverse[rows], first)
            moved = old @ y
            cross = s @ moved.transpose(0, 2, 1)
            factor = (1 + y.transpose(0, 2, 1) @ moved / inner) / inner
            inverse[rows] = old + factor * (s @ s.transpose(0, 2, 1)) - (cross + cross.transpose(0, 2, 1)) / inner
            begun[rows] = True
        excess = np.maximum(new_value - value - expected, 1e-300)
        shorter = length * np.clip(-0.5 * expected / excess, *SHORTEN)[:, None]
        length = np.where(better[:, None], 1.0, np.where(np.isfinite(shorter), shorter, SHORTEN[0] * length))
        point, slope = np.where(better[:, None], trial, point), np.where(better[:, None], new_slope, slope)
        value = np.where(better, new_value, value)
    return point

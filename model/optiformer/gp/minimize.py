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
    identity, bounded = np.eye(start.shape[1]), low > -np.inf or high < np.inf
    inverse = identity * (first_step / (np.abs(slope).max(1) + 1e-300))[:, None, None]
    whole = np.ones((len(start), 1))
    length, begun = whole, np.zeros(len(start), dtype=bool)
    for left in reversed(range(evaluations - 1)):
        downhill = -slope
        if bounded:
            held = ((point <= low) & (slope > 0)) | ((point >= high) & (slope < 0))
            downhill[held] = 0.0
        direction = (inverse @ downhill[..., None])[..., 0]
        if bounded:
            direction[held] = 0.0
        trial = point + length * direction
        if bounded:
            trial = np.minimum(np.maximum(trial, low), high)
        step = trial - point
        if np.abs(step).max() < TOLERANCE:
            break
        new_value, new_slope = loss(trial)
        expected, change = (step * slope).sum(1), new_slope - slope
        better, curvature = new_value <= value + ARMIJO * expected, (step * change).sum(1)
        rows = np.flatnonzero(better & (curvature > 1e-12))
        if left and len(rows):
            s, y, inner = step[rows, :, None], change[rows, :, None], curvature[rows, None, None]
            old, first = inverse[rows], ~begun[rows]
            if first.any():
                # The first update scales the identity to the curvature that was met.
                old[first] = identity * (inner / np.square(y).sum(1, keepdims=True))[first]
                begun[rows] = True
            moved = old @ y
            cross = s * moved.mT
            factor = (1 + y.mT @ moved / inner) / inner
            inverse[rows] = old + factor * (s * s.mT) - (cross + cross.mT) / inner
        if better.all():
            point, value, slope, length = trial, new_value, new_slope, whole
            continue
        excess = np.maximum(new_value - value - expected, 1e-300)
        shorter = length * np.clip(-0.5 * expected / excess, *SHORTEN)[:, None]
        length = np.where(better[:, None], 1.0, np.where(np.isfinite(shorter), shorter, SHORTEN[0] * length))
        point, slope = np.where(better[:, None], trial, point), np.where(better[:, None], new_slope, slope)
        value = np.where(better, new_value, value)
    return point

"""The hypervolume and the IGD+ of trials, in the box of a task's :class:`~optibench_benchmarks.base.Front`.

Objective values are divided by that box: 0 is the ideal, 1 the reference point, whatever the objectives' directions and
units. Volumes are exact (``moocore``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from optibench_benchmarks.base import Front

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def normalised(values: Sequence[Sequence[float]] | Floats, ideal: Sequence[float], point: Sequence[float]) -> Floats:
    """Objective values, (n, m), in units of the box: 0 at the ideal, 1 at the reference point; lower is better."""
    best, last = np.asarray(ideal, dtype=float), np.asarray(point, dtype=float)
    return np.asarray((np.asarray(values, dtype=float).reshape(-1, len(best)) - best) / (last - best))


def nondominated(points: Floats) -> Bools:
    """Which points, (n, m), no other one dominates, where lower is better; of equal points the first, (n,)."""
    import moocore

    found: Bools = np.asarray(moocore.is_nondominated(points, keep_weakly=False), dtype=bool)
    return found


def volume(points: Floats) -> float:
    """The volume between some points, (n, m), and (1, ..., 1), where lower is better; above 1 beyond the ideal."""
    inside = points[(points < 1.0).all(axis=1)]
    if not len(inside):
        return 0.0
    import moocore

    return float(moocore.hypervolume(inside, ref=np.ones(points.shape[1])))


def alone(front: Front, values: Sequence[float]) -> float:
    """The volume that one trial dominates by itself."""
    return float(np.prod(np.maximum(1.0 - normalised([values], front.ideal, front.reference_point), 0.0)))


def volumes(values: Iterable[Sequence[float] | None], ideal: Sequence[float], point: Sequence[float]) -> list[float]:
    """The volume that the trials so far dominate, after each trial; ``None`` stands for one that does not count."""
    kept = np.empty((0, len(ideal)))
    now, found = 0.0, []
    for each in values:
        if each is not None:
            new = normalised([each], ideal, point)
            if (new < 1.0).all() and not (kept <= new).all(axis=1).any():
                kept = np.concatenate([kept[~(new <= kept).all(axis=1)], new])
                now = volume(kept)
        found.append(now)
    return found


def igd_plus(
    values: Floats, front: Sequence[Sequence[float]], ideal: Sequence[float], point: Sequence[float]
) -> Floats:
    """The IGD+ of the trials so far to a front, after each trial, in units of the box.

    It is the mean over the front's points of the distance to the nearest trial, in which objectives better than the
    point's count nothing: 0 if every point is reached. Source: Ishibuchi et al. (2015), "Modified distance calculation
    in generational distance and inverted generational distance".

    Args:
        values: Objective values, (n, m); a row of NaN does not count.
        front: The front's points, (k, m).
        ideal, point: The box, (m,).

    Returns:
        (n,); NaN before the first trial that counts, and everywhere if the front has no points.
    """
    reached, wanted = normalised(values, ideal, point), normalised(front, ideal, point)
    if not len(wanted):
        return np.full(len(reached), np.nan)
    distance = np.zeros((len(reached), len(wanted)))
    with np.errstate(over="ignore"):  # whatever is that far away is infinitely far
        for mine, theirs in zip(reached.T, wanted.T, strict=True):
            distance += np.maximum(mine[:, None] - theirs, 0.0) ** 2
    nearest: Floats = np.fmin.accumulate(np.sqrt(distance), axis=0).mean(axis=1)
    return nearest

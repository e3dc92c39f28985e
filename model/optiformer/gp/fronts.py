"""Fronts: who dominates whom, the boxes that nobody dominates, and a few points that represent many."""

from __future__ import annotations

import itertools

import numpy as np

from optiformer.gp.kernels import Array

#: Maximum number of points of a front by number of objectives, which makes a few hundred boxes.
MAX_FRONT = {2: 64, 3: 20, 4: 10, 5: 10, 6: 7, 7: 6}
MAX_FRONT_MANY = 4


def boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Disjoint boxes of all that lies below a reference point and that no point of a front dominates, (K, M) each.

    They are slices between the values of the last objective, and recursively of the others (While et al., 2006). What
    dominates within a slice does not depend on the points that others dominate there, so these are left out.

    Args:
        front: Values to minimize, (n, M), M at least 2.
        reference: The reference point, (M,).

    Returns:
        Lower corners, which may be infinite, and upper corners.
    """
    front = front[(front < reference).all(1)]
    front = front[dominating(front) == 0]
    front = front[front[:, -1].argsort(kind="stable")]
    if front.shape[1] == 2:
        first, last = np.vstack([reference, front]).T
        bottom, top = np.concatenate([[-np.inf], last[1:]]), np.concatenate([last[1:], last[:1]])
        return np.column_stack([np.full(len(first), -np.inf), bottom]), np.column_stack([first, top])
    last = front[:, -1]
    edges = np.concatenate([[-np.inf], np.unique(last), reference[-1:]])
    lower, upper = list[Array](), list[Array]()
    for bottom, top in itertools.pairwise(edges.tolist()):
        below = boxes(front[last <= bottom, :-1], reference[:-1])
        for found, corner, edge in zip((lower, upper), below, (bottom, top), strict=True):
            found.append(np.column_stack([corner, np.full(len(corner), edge)]))
    return np.concatenate(lower), np.concatenate(upper)


def dominating(values: Array) -> Array:
    """For each point to minimize, (n, M), the number of points that dominate it, (n,)."""
    no_worse = (values[:, None] <= values[None]).all(-1)
    return np.asarray((no_worse & ~no_worse.T).sum(0))


def spread(front: Array) -> Array:
    """At most so many points of a front as boxes can be made of, far from each other, the extremes first."""
    most = MAX_FRONT.get(front.shape[1], MAX_FRONT_MANY)
    if len(front) <= most:
        return front
    scaled = (front - front.min(0)) / np.maximum(np.ptp(front, axis=0), 1e-12)
    chosen = list(dict.fromkeys(scaled.argmin(0).tolist()))[:most]
    away = np.square(scaled[:, None] - scaled[chosen]).sum(-1).min(1)
    while len(chosen) < most:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.square(scaled - scaled[chosen[-1]]).sum(-1))
    return np.asarray(front[chosen])

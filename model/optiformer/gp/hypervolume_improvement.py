"""Expected hypervolume improvement under independent Gaussian processes, one of each objective.

What no trial dominates and lies below the reference point is cut into disjoint boxes. The improvement of a point within
a box is a product over the objectives, so its expectation is a product of one-dimensional ones (Yang et al., 2019,
"Efficient computation of expected hypervolume improvement using box decomposition algorithms").
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from optiformer.gp.acquisition import LEAST_Z, LOG_ROOT_TAU, Acquisition, Feasibility
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Coordinates
from optiformer.gp.predictor import Predictor

#: Maximum number of points of a front by number of objectives; the boxes of n points in three objectives are about n^2.
MAX_FRONT = {1: 1, 2: 64, 3: 20}
MAX_FRONT_MANY = 10
#: The reference point lies this share of the front's range beyond its worst values.
BEYOND = 0.1
TINY = 1e-300


class HypervolumeImprovement(Acquisition):
    """Expected hypervolume improvement in standardised warped scores.

    The front is that of the posterior means at the feasible trials. In each objective, the reference point is the worse
    of the median of all trials and the front's worst value plus a tenth of its range.

    Args:
        coordinates: Maps configurations to points.
        predictors: Posterior of each objective; all of the same trials.
        feasible: Which trials fulfil the constraints, (n,), at least one.
        feasibility: See :class:`~optiformer.gp.acquisition.Acquisition`.
    """

    def __init__(
        self,
        coordinates: Coordinates,
        predictors: Sequence[Predictor],
        feasible: Mask,
        feasibility: Feasibility | None = None,
    ) -> None:
        super().__init__(coordinates, min(each.loo_r2 for each in predictors), feasibility)
        self._predictors = predictors
        means = np.stack([each.at_trials for each in predictors], 1)
        front = means[feasible]
        front = front[dominating(front) == 0]
        low, high = front.min(0), front.max(0)
        margin = np.where(high > low, BEYOND * (high - low), BEYOND)
        reference = np.maximum(np.median(means, 0), high + margin)
        self._lower, self._upper = boxes(spread(front), reference)

    def _value(self, points: Array) -> Array:
        parts = [self._part(*each(points), index)[0] for index, each in enumerate(self._predictors)]
        return np.asarray(np.prod(parts, 0).sum(1))

    def _log(self, points: Array) -> tuple[Array, Array]:
        posteriors = [each.with_slope(points) for each in self._predictors]
        parts = [self._part(mean, deviation, index) for index, (mean, deviation, _) in enumerate(posteriors)]
        total = np.prod([part[0] for part in parts], 0).sum(1) + TINY
        slopes = np.zeros_like(points)
        for index, (_, _, slope) in enumerate(posteriors):
            others = np.prod([part[0] for k, part in enumerate(parts) if k != index], 0)
            by_mean, by_deviation = ((others * part).sum(1) / total for part in parts[index][1:])
            slopes += slope(by_mean, by_deviation)
        return np.log(total), slopes

    def _part(self, mean: Array, deviation: Array, index: int) -> tuple[Array, Array, Array]:
        """Expected lengths of the boxes' improved sides in one objective, their derivatives by mean and deviation."""
        upper, lower = (self._below(mean, deviation, edge[:, index]) for edge in (self._upper, self._lower))
        gain, share, density = (np.asarray(a - b) for a, b in zip(upper, lower, strict=True))
        return np.maximum(gain, 0), -share, density

    @staticmethod
    def _below(mean: Array, deviation: Array, edge: Array) -> tuple[Array, Array, Array]:
        """``E max(0, edge - y)``, ``Phi`` and ``phi`` for normal ``y``, (m, K) each."""
        z = (edge - mean[:, None]) / deviation[:, None]
        share, density = ndtr(z), np.exp(-0.5 * np.square(z) - LOG_ROOT_TAU)
        kept = np.maximum(z, LEAST_Z)
        return deviation[:, None] * np.maximum(density + kept * share, 0), share, density


def boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Disjoint boxes of all that lies below a reference point and that no point of a front dominates, (K, M) each.

    They are slices between the values of the last objective, and recursively of the others (While et al., 2006).

    Args:
        front: Values to minimize, (n, M).
        reference: The reference point, (M,).

    Returns:
        Lower corners, which may be infinite, and upper corners.
    """
    front = front[(front < reference).all(1)]
    if front.shape[1] == 1:
        best = min(reference[0], front.min(initial=np.inf))
        return np.array([[-np.inf]]), np.array([[best]])
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

"""Expected hypervolume improvement under independent Gaussian processes, one of each objective.

What no trial dominates and lies below the reference point is cut into disjoint boxes. The improvement of a point within
a box is a product over the objectives, so its expectation is a product of one-dimensional ones (Yang et al., 2019,
"Efficient computation of expected hypervolume improvement using box decomposition algorithms").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from optiformer.gp.acquisition import LEAST_Z, LOG_ROOT_TAU, Acquisition
from optiformer.gp.fronts import boxes, dominating, spread
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Coordinates
from optiformer.gp.predictor import Predictor

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
    """

    def __init__(
        self,
        coordinates: Coordinates,
        predictors: Sequence[Predictor],
        feasible: Mask,
    ) -> None:
        super().__init__(coordinates, min(each.loo_r2 for each in predictors))
        self._predictors = predictors
        means = np.stack([each.at_trials for each in predictors], 1)
        front = means[feasible]
        front = front[dominating(front) == 0]
        low, high = front.min(0), front.max(0)
        margin = np.where(high > low, BEYOND * (high - low), BEYOND)
        reference = np.maximum(np.median(means, 0), high + margin)
        # Many boxes share few edges: by objective, these and the indices of the lower and upper ones, (2, K).
        corners = np.stack(boxes(spread(front), reference)).transpose(2, 0, 1)
        found = [np.unique(each, return_inverse=True) for each in corners]
        self._edges = [(edges, rows.reshape(2, -1)) for edges, rows in found]

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
        edges, (lower, upper) = self._edges[index]
        below = self._below(mean, deviation, edges)
        gain, share, density = (each[:, upper] - each[:, lower] for each in below)
        return np.maximum(gain, 0), -share, density

    @staticmethod
    def _below(mean: Array, deviation: Array, edge: Array) -> tuple[Array, Array, Array]:
        """``E max(0, edge - y)``, ``Phi`` and ``phi`` for normal ``y``, (m, E) each."""
        z = (edge - mean[:, None]) / deviation[:, None]
        share, density = ndtr(z), np.exp(-0.5 * np.square(z) - LOG_ROOT_TAU)
        kept = np.maximum(z, LEAST_Z)
        return deviation[:, None] * np.maximum(density + kept * share, 0), share, density

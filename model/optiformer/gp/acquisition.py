"""What acquisition functions of Gaussian processes share: feasibility, and maximization over the numeric parameters."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from scipy.special import log_ndtr, ndtr

from optiformer.gp.kernels import Array, Mask
from optiformer.gp.minimize import minimize
from optiformer.gp.posterior import Coordinates
from optiformer.gp.predictor import Predictor

#: Maximum change of a parameter in the first step of a maximization.
FIRST_STEP = 0.3
#: Lower bound of standardised distances, below which densities underflow.
LEAST_Z = -30.0
LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)


class Feasibility:
    """Probability that all constraints are within their bounds, under an independent GP of each.

    Args:
        constraints: Posteriors of the constraints' transformed values.
        bounds: The transformed bound of each.
    """

    def __init__(self, constraints: Sequence[Predictor], bounds: Sequence[float]) -> None:
        pairs = zip(constraints, bounds, strict=True)
        self._constraints = [(each, float(each.standardised(np.array([bound]))[0])) for each, bound in pairs]

    def probability(self, points: Array) -> Array:
        """At coordinates (m, C), (m,)."""
        found = np.ones(len(points))
        for constraint, bound in self._constraints:
            mean, deviation = constraint(points)
            found *= ndtr((bound - mean) / deviation)
        return found

    def log(self, points: Array) -> tuple[Array, Array]:
        """Its logarithm at coordinates (m, C), (m,), and the gradients, (m, C)."""
        total, slopes = np.zeros(len(points)), np.zeros_like(points)
        for constraint, bound in self._constraints:
            mean, deviation, slope = constraint.with_slope(points)
            z = (bound - mean) / deviation
            log_share = log_ndtr(z)
            by_z = np.exp(-0.5 * np.square(z) - LOG_ROOT_TAU - log_share)
            total += log_share
            slopes += slope(-by_z / deviation, -by_z * z / deviation)
        return total, slopes


class Acquisition(ABC):
    """An acquisition function of GPs, times the probability of feasibility if there are constraints.

    Args:
        coordinates: Maps configurations to points.
        loo_r2: Leave-one-out R^2 of the least predictable objective.
    """

    def __init__(self, coordinates: Coordinates, loo_r2: float) -> None:
        self._coordinates, self.loo_r2 = coordinates, loo_r2
        self._feasibility: Feasibility | None = None

    @abstractmethod
    def _value(self, points: Array) -> Array:
        """Values at coordinates (m, C), (m,)."""

    @abstractmethod
    def _log(self, points: Array) -> tuple[Array, Array]:
        """Log values at coordinates (m, C), (m,), and their gradients, (m, C)."""

    def times(self, feasibility: Feasibility | None) -> Self:
        """The same times the probability of feasibility; ``None`` without constraints."""
        found = copy.copy(self)
        found._feasibility = feasibility
        return found

    def value(self, position: Array, active: Mask) -> Array:
        """Values of candidates (m, S), (m,)."""
        points = self._coordinates(position, active)
        found = self._value(points)
        return found if self._feasibility is None else found * self._feasibility.probability(points)

    def maximize(self, position: Array, active: Mask, moves: Mask, evaluations: int) -> Array:
        """Maximize the logarithm by BFGS from several starts, (m, S).

        Args:
            position: Starts, (m, S).
            active: Which parameters they have, (m, S).
            moves: Which parameters are numeric and may change, (S,).
            evaluations: Number of joint evaluations of all m starts.
        """
        free = active & moves
        if not free.any() or not evaluations:
            return position
        points = self._coordinates(position, active)
        # The first coordinate of a parameter is its position minus one half.
        numbers = points[:, :: points.shape[1] // position.shape[1]]

        def loss(moved: Array) -> tuple[Array, Array]:
            np.copyto(numbers, moved - 0.5, where=free)
            value, slope = self._log(points)
            if self._feasibility is not None:
                log_share, by_point = self._feasibility.log(points)
                value, slope = value + log_share, slope + by_point
            return -value, np.where(free, -slope[:, :: points.shape[1] // position.shape[1]], 0.0)

        return minimize(loss, position, evaluations, first_step=FIRST_STEP, low=0.0, high=1.0)


class FeasibilityAlone(Acquisition):
    """A constant, which leaves the probability of feasibility alone: for while no trial is feasible."""

    def _value(self, points: Array) -> Array:
        return np.ones(len(points))

    def _log(self, points: Array) -> tuple[Array, Array]:
        return np.zeros(len(points)), np.zeros_like(points)

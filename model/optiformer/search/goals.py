"""Several objectives and constraints: a plain GP of each, and no network.

Expected hypervolume improvement takes the place of expected improvement, and both are multiplied by the probability
that all constraints are fulfilled. While no trial is feasible, only the probability counts that every constraint falls
to half of what the trial with the least violation has. To let the network choose in turn was no better: by a
scalarization of the objectives, by the hypervolume improvement of its predictions of each, or beside the constraints
(docs/model/tuning.md).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optiformer.gp.acquisition import Acquisition, Feasibility, FeasibilityAlone
from optiformer.gp.hypervolume_improvement import HypervolumeImprovement
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Kinds
from optiformer.surrogate.features import ScoreTransform, quantiles
from optiformer.surrogate.goals import Goals
from optiformer.surrogate.gp_surrogate import ConditionedGP, GPSurrogate
from optiformer.surrogate.history import History, subsample
from optiformer.surrogate.observed import Observed

#: Output warpings of several objectives: without the logarithmic one, which hides what a trade-off is worth.
HEADS = (1, 2, 3)
#: The kernel head of a constraint: Matern 5/2.
LIMIT_HEAD = (1,)
#: Minimum number of marginal-likelihood evaluations in the fit of each objective; constraints have no minimum.
MIN_EVALUATIONS = 12
#: While no trial is feasible, share of the least violation that a suggestion is to reach in every constraint.
STEP = 0.5


@dataclass(frozen=True, eq=False)
class ConditionedGoals:
    """GPs of all objectives and constraints: a :class:`optiformer.surrogate.interface.ConditionedSurrogate`.

    Attributes:
        objectives: One of each objective.
        constraints: One of each constraint, whose scores are above 0 where it is broken.
        feasible: Which of the objectives' trials are complete and fulfil all constraints, (n,).
        bounds: What each constraint may be, (K,): 0, or while no trial is feasible a share of what the trial with the
            least violation has.
    """

    objectives: tuple[ConditionedGP, ...]
    constraints: tuple[ConditionedGP, ...]
    feasible: Mask
    bounds: Array

    @classmethod
    def of(cls, gp: GPSurrogate, kinds: Kinds, history: History, goals: Goals, *, evaluations: int) -> ConditionedGoals:
        """Condition on a history.

        Args:
            gp: The plain GP.
            kinds: Types of the parameters.
            history: The history.
            goals: Its objectives and constraints.
            evaluations: Number of evaluations of the marginal likelihood that fit each GP, at least
                :data:`MIN_EVALUATIONS` for an objective.
        """
        rows = subsample(history.value, history.failed, gp.max_trials)
        failed, trials = goals.failed[rows], (history.position[rows], history.active[rows])
        feasible = goals.feasible[rows]
        infeasible = goals.infeasible[rows] & feasible.any()
        # With several objectives, each head is fitted: another one's hyperparameters were worse (docs/model/tuning.md).
        own = replace(gp.of_heads(HEADS), fitted_head=None) if goals.values.shape[1] > 1 else gp
        objectives = tuple(
            own.condition(
                kinds,
                Observed(*trials, value, failed, infeasible),
                evaluations=max(evaluations, MIN_EVALUATIONS),
            )
            for value in goals.values[rows].T
        )
        limit = gp.of_heads(LIMIT_HEAD)
        measured = [(value, failed | np.isnan(value)) for value in goals.constraints[rows].T]
        constraints = tuple(
            limit.condition(
                kinds,
                Observed(*trials, value, without),
                evaluations=evaluations,
                transform=_around_zero(gp, value[~without]),
            )
            for value, without in measured
        )
        return cls(objectives, constraints, feasible[~failed], _bounds(goals))

    @functools.cached_property
    def expected_improvement(self) -> Acquisition:
        """Expected improvement, or hypervolume improvement, times the probability of feasibility, or this alone."""
        predictors = [each.predictor for each in self.objectives]
        limits = None
        if self.constraints:
            pairs = zip(self.constraints, self.bounds, strict=True)
            bounds = [float(each.score_transform.apply(np.array([bound]))[0]) for each, bound in pairs]
            limits = Feasibility([each.predictor for each in self.constraints], bounds)
        if limits is not None and not self.feasible.any():
            return FeasibilityAlone(self.objectives[0].coordinates, predictors[0].loo_r2).times(limits)
        if len(predictors) == 1:
            return self.objectives[0].expected_improvement.times(limits)
        return HypervolumeImprovement(self.objectives[0].coordinates, predictors, self.feasible).times(limits)

    def probability_of_improvement(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """That of the first objective, (m,); the search does not use it."""
        return self.objectives[0].probability_of_improvement(position, active, margin=margin, temperature=temperature)

    def prior_correlation(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """Prior correlations of the objectives at configurations (m, S) and at others (n, S), their mean, (m, n)."""
        found = [each.prior_correlation(position, active, others, others_active) for each in self.objectives]
        return np.asarray(np.mean(found, 0))

    def prior_correlation_rows(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """A function from a row to the prior correlations of that configuration with all (m, S), (m,)."""
        rows = [each.prior_correlation_rows(position, active) for each in self.objectives]
        return lambda row: np.asarray(np.mean([each(row) for each in rows], 0))


def _bounds(goals: Goals) -> Array:
    """See :class:`ConditionedGoals`."""
    if goals.feasible.any() or not goals.measured.any():
        return np.zeros(goals.constraints.shape[1])
    rows = np.flatnonzero(goals.measured)
    least = rows[goals.violation()[rows].argmin()]
    return np.asarray(STEP * np.maximum(goals.constraints[least], 0))


def _around_zero(gp: GPSurrogate, values: Array) -> ScoreTransform:
    """The transform of a constraint's values, (n,): 0 stays 0, and the median distance from it is the unit."""
    away = np.abs(values[values != 0])
    return ScoreTransform(0.0, float(quantiles(away, (0.5,))[0]) if len(away) else 1.0, gp.encoding.knee)

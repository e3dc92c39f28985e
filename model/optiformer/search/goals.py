"""Surrogates of several objectives and of constraints.

Each objective and each constraint has a plain GP. Expected hypervolume improvement takes the place of expected
improvement, and every acquisition is multiplied by the probability that all constraints are fulfilled. The network,
which predicts one value, sees a scalarization of the objectives with random weights, others at every ask (Knowles,
2006, "ParEGO").
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optiformer.gp.acquisition import Acquisition, Feasibility
from optiformer.gp.hypervolume_improvement import HypervolumeImprovement
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Kinds
from optiformer.surrogate.features import ScoreTransform
from optiformer.surrogate.goals import Goals
from optiformer.surrogate.gp_surrogate import ConditionedGP
from optiformer.surrogate.history import History, subsample
from optiformer.surrogate.interface import ConditionedSurrogate, Surrogate
from optiformer.surrogate.observed import Observed

#: Output warpings of several objectives: without the logarithmic one, which hides what a trade-off is worth.
HEADS = (1, 2, 3)


def condition(
    surrogate: Surrogate, kinds: Kinds, history: History, *, evaluations: int, rng: np.random.Generator
) -> ConditionedSurrogate:
    """Condition a surrogate on a history of one value, or of several objectives and constraints.

    Args:
        surrogate: The network, or what stands in its place.
        kinds: Types of the parameters.
        history: The history.
        evaluations: Number of evaluations of the marginal likelihood that fit each GP.
        rng: For the weights of the objectives.
    """
    observed, goals = Observed(history.position, history.active, history.value, history.failed), history.goals
    if goals is None:
        return surrogate.condition(kinds, observed, evaluations=evaluations)
    rows = subsample(history.value, history.failed, surrogate.gp.max_trials)
    goals = Goals(goals.values[rows], goals.constraints[rows], goals.failed[rows])
    several = goals.values.shape[1] > 1
    weights = rng.dirichlet(np.ones(goals.values.shape[1])) if several else np.ones(1)
    trials = observed.position[rows], observed.active[rows]
    return ConditionedGoals(surrogate, kinds, trials, goals, weights, evaluations)


@dataclass(frozen=True, eq=False)
class ConditionedGoals:
    """GPs of all objectives and constraints, and the surrogate of a scalarization.

    Attributes:
        surrogate: The network, or what stands in its place.
        kinds: Types of the parameters.
        trials: Positions of the trials and their activity, (n, S) each.
        goals: Their objectives and constraints.
        weights: Weights of the objectives, (M,).
        evaluations: Number of evaluations of the marginal likelihood that fit each GP.
    """

    surrogate: Surrogate
    kinds: Kinds
    trials: tuple[Array, Mask]
    goals: Goals
    weights: Array
    evaluations: int

    @functools.cached_property
    def scalarized(self) -> ConditionedSurrogate:
        """The surrogate of the one objective, or of the weighted objectives."""
        several = len(self.weights) > 1
        value = self.goals.scalarized(self.weights) if several else self.goals.values[:, 0]
        return self.surrogate.condition(self.kinds, self._observed(value), evaluations=self.evaluations)

    @functools.cached_property
    def objectives(self) -> list[ConditionedGP]:
        """A plain GP of each objective, if there are several."""
        gp = self.surrogate.gp.of_heads(HEADS)
        return [
            gp.condition(self.kinds, self._observed(value), evaluations=self.evaluations)
            for value in self.goals.values.T
        ]

    @functools.cached_property
    def feasibility(self) -> Feasibility | None:
        """That of the constraints, if there are any."""
        failed, knee = self.goals.failed, self.surrogate.gp.encoding.knee
        found = []
        for value in self.goals.constraints.T:
            away = np.abs(value[~failed & (value != 0)])
            unit = ScoreTransform(0.0, float(np.median(away)) if len(away) else 1.0, knee)
            observed = Observed(*self.trials, value, failed)
            found.append(
                self.surrogate.gp.condition(self.kinds, observed, evaluations=self.evaluations, transform=unit)
            )
        return Feasibility([each.predictor for each in found]) if found else None

    @functools.cached_property
    def expected_improvement(self) -> Acquisition:
        """Expected improvement, or hypervolume improvement, times the probability of feasibility."""
        if len(self.weights) == 1:
            return self.scalarized.expected_improvement.times(self.feasibility)
        first, feasible = self.objectives[0], self.goals.feasible[~self.goals.failed]
        predictors = [each.predictor for each in self.objectives]
        return HypervolumeImprovement(first.coordinates, predictors, feasible, self.feasibility)

    def probability_of_improvement(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """Probability of a feasible improvement of the scalarization, (m,)."""
        found = self.scalarized.probability_of_improvement(position, active, margin=margin, temperature=temperature)
        return found * self.expected_improvement.probability_of_feasibility(position, active)

    def prior_correlation(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """Prior correlations of the objectives at configurations (m, S) and at others (n, S), their mean, (m, n)."""
        found = [each.prior_correlation(position, active, others, others_active) for each in self._models]
        return np.asarray(np.mean(found, 0))

    def prior_correlation_rows(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """A function from a row to the prior correlations of that configuration with all (m, S), (m,)."""
        rows = [each.prior_correlation_rows(position, active) for each in self._models]
        return lambda row: np.mean([each(row) for each in rows], 0)

    @property
    def _models(self) -> list[ConditionedSurrogate]:
        return [self.scalarized] if len(self.weights) == 1 else [*self.objectives]

    def _observed(self, value: Array) -> Observed:
        return Observed(*self.trials, value, self.goals.failed, self.goals.infeasible)

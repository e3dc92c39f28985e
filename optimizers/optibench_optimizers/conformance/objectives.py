"""The part of :mod:`optibench_optimizers.conformance.suite` for several objectives and constraints; others skip it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from optibench_optimizers.base import Fidelity, Observation, Optimizer, OptimizerError
from optibench_optimizers.conformance.fidelity import FidelityConformance
from optibench_optimizers.conformance.spaces import bowl, check_valid, conditional, line, mixed
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Outcome = Callable[[Config, SearchSpace], tuple[tuple[float, ...], tuple[float, ...]]]


def two_bowls(config: Config, view: SearchSpace) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Two objectives with different minima, without constraints."""
    unit = view.to_unit(config)
    return (bowl(config, view), float(np.mean((unit - 0.8) ** 2))), ()


def constrained_bowl(config: Config, view: SearchSpace) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One objective, infeasible on one side of its minimum."""
    return (bowl(config, view),), (0.4 - float(np.mean(view.to_unit(config))),)


def both(config: Config, view: SearchSpace) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Two objectives and two constraints, the second always fulfilled."""
    return two_bowls(config, view)[0], (*constrained_bowl(config, view)[1], -1.0)


def told(config: Config, view: SearchSpace, outcome: Outcome) -> Observation:
    """The observation of an evaluation; numbers that are not finite are a failure."""
    values, constraints = outcome(config, view)
    if not all(map(math.isfinite, (*values, *constraints))):
        return Observation(config, math.nan, "failed")
    infeasible = any(number > 0.0 for number in constraints)
    value = values[0] if len(values) == 1 and not infeasible else math.nan
    return Observation(config, value, "infeasible" if infeasible else "ok", values=values, constraints=constraints)


class ObjectivesConformance(FidelityConformance):
    """The tests of optimizers that take several objectives or constraints."""

    learns: ClassVar[bool] = True

    def create(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        fidelity: Fidelity | None = None,
        n_objectives: int = 1,
        n_constraints: int = 0,
    ) -> Optimizer:
        """Build the optimizer."""
        raise NotImplementedError

    def inapplicable(self) -> dict[str, str]:
        """The tests that do not apply to this optimizer, each with the reason; pytest skips them."""
        found, able = super().inapplicable(), self.capabilities
        mine = [name for name in vars(ObjectivesConformance) if name.startswith("test_")]
        if not able.objectives:
            found |= {name: "takes one objective" for name in mine if "objective" in name}
        if not able.constraints:
            found |= {name: "takes no constraints" for name in mine if "constrain" in name or "feasible" in name}
        if not self.learns:
            found["test_it_prefers_feasible_configurations"] = "does not learn from observations"
        if not able.lacks(2, 1):
            found["test_what_it_does_not_take_is_refused"] = "takes several objectives and constraints"
        return found

    def run_objectives(
        self,
        outcome: Outcome,
        counts: tuple[int, int],
        *,
        make: Callable[[], ConfigurationSpace] = mixed,
        n: int = 3,
        observed: Sequence[Observation] | None = None,
    ) -> list[Config]:
        """Tell ten random configurations (or ``observed``), then ask, check and tell ``n`` times."""
        space = make()
        view = SearchSpace(space)
        if observed is None:
            observed = [told(config, view, outcome) for config in view.sample(10, np.random.RandomState(7))]
        found: list[Config] = []
        sizes: dict[str, Any] = dict(zip(("n_objectives", "n_constraints"), counts, strict=True))
        with closing(self.create(space, seed=3, n_trials=len(observed) + n, **sizes)) as optimizer:
            optimizer.tell(observed)
            for _ in range(n):
                (suggestion,) = optimizer.ask()
                check_valid(suggestion.config, view)
                found.append(dict(suggestion.config))
                optimizer.tell([told(found[-1], view, outcome)])
        return found

    def test_several_objectives_give_valid_suggestions_that_a_replay_repeats(self) -> None:
        for make in (mixed, conditional):
            once, again = (self.run_objectives(two_bowls, (2, 0), make=make) for _ in range(2))
            assert once == again or not self.capabilities.replay

    def test_a_constraint_gives_valid_suggestions_that_a_replay_repeats(self) -> None:
        once, again = (self.run_objectives(constrained_bowl, (1, 1)) for _ in range(2))
        assert once == again or not self.capabilities.replay

    def test_several_objectives_and_constraints_work_together(self) -> None:
        self.run_objectives(both, (2, 2))

    def test_it_survives_objectives_that_are_constant_or_fail(self) -> None:
        self.run_objectives(lambda config, view: ((1.0, 1.0), ()), (2, 0), n=1)
        self.run_objectives(lambda config, view: ((1.0, bowl(config, view)), ()), (2, 0), n=1)
        red_fails: Outcome = lambda config, view: ((math.nan if config["c"] == "red" else 1.0, 0.5), ())  # noqa: E731
        self.run_objectives(red_fails, (2, 0), n=1)

    def test_it_survives_when_nothing_is_feasible(self) -> None:
        found = self.run_objectives(lambda config, view: ((bowl(config, view),), (1.0,)), (1, 1), n=2)
        assert found[0] != found[1], "the same infeasible configuration again"

    def test_it_prefers_feasible_configurations(self) -> None:
        """The best value is infeasible: where a constraint rules out one half, suggestions lie in the other."""

        def median(low: bool) -> float:
            def outcome(config: Config, view: SearchSpace) -> tuple[tuple[float, ...], tuple[float, ...]]:
                return (0.0,), ((config["x"] - 0.5) if low else (0.5 - config["x"]),)

            view = SearchSpace(line())
            observed = [told({"x": (i + 0.5) / 12}, view, outcome) for i in range(12)]
            found = self.run_objectives(outcome, (1, 1), make=line, n=3, observed=observed)
            return float(np.median([config["x"] for config in found]))

        low, high = median(True), median(False)
        assert low < 0.5 < high, f"feasible below and above 0.5, median suggestions at {low} and {high}"

    def test_what_it_does_not_take_is_refused(self) -> None:
        with pytest.raises(OptimizerError, match="does not take"):
            self.create(mixed(), seed=1, n_trials=12, n_objectives=2, n_constraints=1)

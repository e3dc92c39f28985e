"""The shipped sampler tests on Optuna's samplers, and on broken ones."""

from __future__ import annotations

import inspect
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import optuna
import pytest
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, create_trial

from optibench_optimizers.conformance.samplers import ConstraintsFunc, SamplerConformance
from optiformer import OptiFormerSampler


class TestTPE(SamplerConformance):
    sampler: ClassVar[type[BaseSampler]] = TPESampler
    settings: ClassVar[dict[str, Any]] = {}

    def create(self, *, seed: int, constraints_func: ConstraintsFunc | None = None) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # a deprecated argument
            return self.sampler(seed=seed, constraints_func=constraints_func, **self.settings)  # type: ignore[call-arg]


class TestUnivariateTPE(TestTPE):
    settings: ClassVar = {"multivariate": False}


class TestGP(TestTPE):
    sampler = GPSampler
    varying_constraints = False


class TestOptiFormer(TestTPE):
    sampler = OptiFormerSampler


class TestGPPrior(TestTPE):
    sampler = OptiFormerSampler
    settings: ClassVar = {"surrogate": "gp-prior"}


class Broken(TPESampler):
    """Samples from a study that subclasses change, trial by trial."""

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        return super().sample_relative(self.other(study), trial, search_space)

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return super().sample_independent(self.other(study), trial, name, distribution)

    def other(self, study: Any) -> Any:
        found = optuna.create_study(directions=self.directions(study))
        found.add_trials([self.changed(t) for t in study.get_trials(deepcopy=False) if t.state.is_finished()])
        return found

    def directions(self, study: Any) -> Any:
        return study.directions

    def changed(self, trial: FrozenTrial) -> FrozenTrial:
        return create_trial(
            state=trial.state,
            values=trial.values,
            params=trial.params,
            distributions=trial.distributions,
            constraints=self.constraints(dict(trial.constraints)),
        )

    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        return found


class IgnoresTrials(RandomSampler):
    def __init__(self, *, seed: int, constraints_func: Any) -> None:
        super().__init__(seed)


class IgnoresConstraints(Broken):
    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        return {}


class IgnoresTheSizeOfViolations(Broken):
    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        return {name: float(number > 0.0) for name, number in found.items()}


class CountsZeroAsBroken(Broken):
    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        return {name: number + 0.5 * (number >= 0.0) for name, number in found.items()}


class SeesTheFirstConstraint(Broken):
    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        return dict(list(found.items())[:1])


class TakesInfinityForMissing(Broken):
    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        return {name: -1.0 if number == float("inf") else number for name, number in found.items()}


class WantsTheSameNames(Broken):
    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        if "sometimes" in found:
            raise KeyError("sometimes")
        return found


class WantsPlainNames(Broken):
    def constraints(self, found: dict[str, float]) -> dict[str, float]:
        return {name: number for name, number in found.items() if name.isalpha() and int(name) >= 0}


class NeedsConstraintsOfFailures(Broken):
    def changed(self, trial: FrozenTrial) -> FrozenTrial:
        if not trial.constraints:
            raise RuntimeError("no constraints")
        return super().changed(trial)


class MinimizesAll(Broken):
    def directions(self, study: Any) -> Any:
        return ["minimize"] * len(study.directions)


class ForgetsConstraintsFunc(TPESampler):
    def __init__(self, *, seed: int, constraints_func: Any) -> None:
        super().__init__(seed=seed)


class CannotBePickled(TPESampler):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.lock = threading.Lock()


class OtherNumbersOncePickled(TPESampler):
    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.reseed_rng()


class OneThread(TPESampler):
    inside = False

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        if self.inside:
            raise RuntimeError("not for two threads")
        self.inside = True
        time.sleep(0.05)
        self.inside = False
        return super().infer_relative_search_space(study, trial)


def run(sampler: type[BaseSampler], test: Callable[..., None], **arguments: Any) -> None:
    """One of the shipped tests on a sampler."""

    class Suite(TestTPE):
        pass

    Suite.sampler = sampler
    given = {"api": "set_constraint", "n_objectives": 1, **arguments}
    test(Suite(), **{key: given[key] for key in list(inspect.signature(test).parameters)[1:]})


S = SamplerConformance
FEASIBLE = S.test_feasible_trials_are_preferred_to_better_infeasible_ones


@pytest.mark.parametrize(
    ("sampler", "test", "arguments"),
    [
        (IgnoresTrials, FEASIBLE, {}),
        (IgnoresTrials, S.test_it_looks_for_smaller_violations_while_nothing_is_feasible, {}),
        (IgnoresTrials, S.test_several_objectives_are_followed_in_their_directions, {}),
        (IgnoresTrials, S.test_three_objectives, {}),
        (IgnoresConstraints, FEASIBLE, {}),
        (IgnoresConstraints, S.test_several_objectives_and_constraints_work_together, {}),
        (IgnoresConstraints, S.test_several_objectives_without_a_feasible_trial, {}),
        (IgnoresTheSizeOfViolations, S.test_it_looks_for_smaller_violations_while_nothing_is_feasible, {}),
        (CountsZeroAsBroken, S.test_a_constraint_that_is_0_is_fulfilled, {}),
        (SeesTheFirstConstraint, S.test_each_of_several_constraints_counts, {}),
        (TakesInfinityForMissing, S.test_a_violation_without_bound_is_a_violation, {}),
        (WantsTheSameNames, S.test_constraint_names_come_and_go, {}),
        (WantsPlainNames, S.test_names_of_constraints_may_be_anything_and_in_any_order, {}),
        (NeedsConstraintsOfFailures, S.test_a_nan_constraint_is_a_failed_trial, {}),
        (NeedsConstraintsOfFailures, S.test_a_failed_or_pruned_trial_needs_no_constraints, {}),
        (MinimizesAll, S.test_several_objectives_are_followed_in_their_directions, {}),
        (ForgetsConstraintsFunc, FEASIBLE, {"api": "constraints_func"}),
        (ForgetsConstraintsFunc, S.test_both_ways_to_give_constraints_give_the_same_suggestions, {}),
        (ForgetsConstraintsFunc, S.test_a_nan_from_constraints_func_is_refused, {}),
        (CannotBePickled, S.test_a_pickled_copy_suggests_the_same, {}),
        (OtherNumbersOncePickled, S.test_a_pickled_copy_suggests_the_same, {}),
        (OneThread, S.test_two_threads_share_it, {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_sampler_is_caught(
    sampler: type[BaseSampler], test: Callable[..., None], arguments: dict[str, Any]
) -> None:
    run(TPESampler, test, **arguments)  # passes
    with pytest.raises((AssertionError, KeyError, RuntimeError, TypeError, ValueError, pytest.fail.Exception)):
        run(sampler, test, **arguments)


def test_a_sampler_that_says_that_it_refuses_a_changing_number_of_constraints_must(monkeypatch: Any) -> None:
    monkeypatch.setattr(TestTPE, "varying_constraints", False)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        run(TPESampler, S.test_constraint_names_come_and_go)

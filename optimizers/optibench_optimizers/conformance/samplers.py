"""Tests of Optuna samplers with several objectives and constraints, as a class for pytest: subclass it in a test file.

    from optibench_optimizers.conformance.samplers import SamplerConformance

    class TestMine(SamplerConformance):
        def create(self, *, seed, constraints_func=None):
            return MySampler(seed=seed, constraints_func=constraints_func)

Optuna ships test classes of its own for everything else (``optuna.testing.pytest_samplers``).
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

ConstraintsFunc = Callable[[FrozenTrial], Sequence[float]]
N_OBSERVED, N_SUGGESTED = 15, 6
NEAR = 0.05
"""How far beyond its half a suggestion may lie: at the edge, a constraint is uncertain and better values are near."""
KEY = "constraints of the trial"
APIS = pytest.mark.parametrize("api", ["set_constraint", "constraints_func"])


def stored(trial: FrozenTrial) -> Sequence[float]:
    """A ``constraints_func`` that returns what :class:`Problem` kept in the trial."""
    found: Sequence[float] = trial.user_attrs[KEY]
    return found


@dataclass(frozen=True)
class Problem:
    """An objective over ``x`` in the unit interval.

    Attributes:
        values: The objectives at ``x``.
        constraints: The constraints at ``x``, by name.
        mirrored: Whether ``x`` is replaced by ``1 - x``.
        api: How the constraints reach Optuna: ``set_constraint`` or ``constraints_func``.
    """

    values: Callable[[float], Sequence[float]]
    constraints: Callable[[float], dict[str, float]] = lambda x: {}
    mirrored: bool = False
    api: str = "set_constraint"

    def __call__(self, trial: optuna.Trial) -> Sequence[float]:
        x = trial.suggest_float("x", 0.0, 1.0)
        x = 1.0 - x if self.mirrored else x
        constraints = self.constraints(x)
        if self.api == "constraints_func":
            trial.set_user_attr(KEY, list(constraints.values()))
        else:
            for name, number in constraints.items():
                trial.set_constraint(name, number)
        return self.values(x)


class Crash(Exception):
    """An error of an objective."""


def bait(x: float) -> tuple[float, ...]:
    """A bowl around .25, and better values than that on the other, infeasible side."""
    return ((x - 0.25) ** 2 - (x > 0.5),)


def left(x: float) -> dict[str, float]:
    """Feasible in the left half."""
    return {"left": x - 0.5}


def two_values(x: float) -> tuple[float, ...]:
    """To be minimized and maximized; the front lies between .15 and .3."""
    return abs(x - 0.15), -abs(x - 0.3)


class SamplerConformance:
    """What a sampler must do with several objectives and constraints; subclasses say how to build it.

    To see whether a sampler learns, the same seed runs a problem and its mirror image, and the suggestions must follow
    to the other side. A sampler that ignores the trials suggests the same in both, so it always fails.

    Attributes:
        several_objectives: Whether it takes several objectives; if not, their tests are skipped.
        varying_constraints: Whether the number of constraints may differ between trials. If not, the sampler has to
            refuse such a study with a ``ValueError`` that mentions the constraints.
        constraints_func: Whether it has that argument, Optuna's only way to give constraints before version 5.
    """

    several_objectives: ClassVar[bool] = True
    varying_constraints: ClassVar[bool] = True
    constraints_func: ClassVar[bool] = True

    def create(self, *, seed: int, constraints_func: ConstraintsFunc | None = None) -> BaseSampler:
        """Build the sampler; it must use a model after ``N_OBSERVED`` trials."""
        raise NotImplementedError

    def study(self, api: str = "set_constraint", *, n_objectives: int = 1) -> optuna.Study:
        """An empty study with a new sampler; of several objectives, every second one is maximized."""
        if n_objectives > 1 and not self.several_objectives:
            pytest.skip("takes one objective")
        if api == "constraints_func" and not self.constraints_func:
            pytest.skip("has no constraints_func")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = self.create(seed=0, constraints_func=stored if api == "constraints_func" else None)
        directions = [StudyDirection.MAXIMIZE if i % 2 else StudyDirection.MINIMIZE for i in range(n_objectives)]
        return optuna.create_study(sampler=sampler, directions=directions)

    def suggested(self, problem: Problem, *, n_objectives: int = 1) -> list[float]:
        """What the sampler suggests in :meth:`optimized`."""
        study = self.optimized(problem, n_objectives=n_objectives)
        assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
        return [trial.params["x"] for trial in study.trials[N_OBSERVED:]]

    def optimized(
        self, problem: Problem, *, n_objectives: int = 1, catch: tuple[type[Exception], ...] = ()
    ) -> optuna.Study:
        """A study of ``N_OBSERVED`` trials on a grid and ``N_SUGGESTED`` that the sampler suggested."""
        study = self.study(problem.api, n_objectives=n_objectives)
        for i in range(N_OBSERVED):
            study.enqueue_trial({"x": (i + 0.5) / N_OBSERVED})
        study.optimize(problem, N_OBSERVED + N_SUGGESTED, catch=catch)
        return study

    def follows(
        self,
        values: Callable[[float], Sequence[float]],
        constraints: Callable[[float], dict[str, float]] = lambda x: {},
        api: str = "set_constraint",
        *,
        n_objectives: int = 1,
    ) -> None:
        """Check that most suggestions lie in the left half, or :data:`NEAR` it, and so in the mirror image."""
        for mirrored in (False, True):
            found = self.suggested(Problem(values, constraints, mirrored, api), n_objectives=n_objectives)
            good = sum((1.0 - x if mirrored else x) < 0.5 + NEAR for x in found)
            where = f"above {0.5 - NEAR}" if mirrored else f"below {0.5 + NEAR}"
            assert good > 0.6 * N_SUGGESTED, f"{good} of {N_SUGGESTED} suggestions lie {where}: {found}"

    # Constraints -------------------------------------------------------------------------------------------------

    @APIS
    def test_feasible_trials_are_preferred_to_better_infeasible_ones(self, api: str) -> None:
        self.follows(bait, left, api)

    @APIS
    def test_it_looks_for_smaller_violations_while_nothing_is_feasible(self, api: str) -> None:
        self.follows(lambda x: (1.0,), lambda x: {"c": 0.1 + abs(x - 0.2)}, api)

    def test_a_constraint_that_is_0_is_fulfilled(self) -> None:
        self.follows(bait, lambda x: {"left": float(x > 0.5)})

    def test_each_of_several_constraints_counts(self) -> None:
        self.follows(bait, lambda x: {"first": -1.0, "broken": x - 0.5, "last": -1.0})

    def test_a_violation_without_bound_is_a_violation(self) -> None:
        self.follows(bait, lambda x: {"left": math.inf if x > 0.8 else x - 0.5})

    def test_both_ways_to_give_constraints_give_the_same_suggestions(self) -> None:
        new, old = (self.suggested(Problem(bait, left, api=api)) for api in ("set_constraint", "constraints_func"))
        assert new == old

    def test_constraint_names_come_and_go(self) -> None:
        """As where a branch of the search space has a constraint that others lack, or a user adds one later."""

        def constraints(x: float) -> dict[str, float]:
            return left(x) | ({"sometimes": -x} if round(1000 * x) % 2 else {})

        if self.varying_constraints:
            self.follows(bait, constraints)
            return
        with pytest.raises(ValueError, match="constraints"):
            self.suggested(Problem(bait, constraints))

    def test_names_of_constraints_may_be_anything_and_in_any_order(self) -> None:
        def constraints(x: float) -> dict[str, float]:
            named = {"": x - 0.5, "0": x - 0.5, "memory: MB, \u2264 200": x - 0.5}
            return dict(sorted(named.items(), reverse=round(1000 * x) % 2 == 1))

        self.follows(bait, constraints)

    def test_a_nan_constraint_is_a_failed_trial(self) -> None:
        """Optuna raises in the objective; the failed trial has neither values nor that constraint."""

        def constraints(x: float) -> dict[str, float]:
            return {"left": math.nan} if 0.4 < x < 0.6 else left(x)

        study = self.optimized(Problem(bait, constraints), catch=(ValueError,))
        for trial in study.trials:
            failed = 0.4 < trial.params["x"] < 0.6
            assert trial.state == (TrialState.FAIL if failed else TrialState.COMPLETE)
            assert set(trial.constraints) == (set() if failed else {"left"})
        found = [trial.params["x"] for trial in study.trials[N_OBSERVED:]]
        assert len(set(found)) == N_SUGGESTED, f"the same configuration again: {found}"

    def test_a_nan_from_constraints_func_is_refused(self) -> None:
        study = self.study("constraints_func")
        with pytest.raises(ValueError, match="NaN"):
            study.optimize(Problem(bait, lambda x: {"left": math.nan}, api="constraints_func"), 1)

    def test_a_failed_or_pruned_trial_needs_no_constraints(self) -> None:
        def constraints(x: float) -> dict[str, float]:
            if x > 0.9:
                raise optuna.TrialPruned
            if x > 0.8:
                raise Crash
            return left(x)

        study = self.optimized(Problem(bait, constraints), catch=(Crash,))
        assert {TrialState.PRUNED, TrialState.FAIL} < {trial.state for trial in study.trials}
        assert len(study.trials) == N_OBSERVED + N_SUGGESTED

    # Several objectives ------------------------------------------------------------------------------------------

    def test_several_objectives_are_followed_in_their_directions(self) -> None:
        self.follows(lambda x: (0.0, -abs(x - 0.2)), n_objectives=2)  # the second is maximized

    @APIS
    def test_several_objectives_and_constraints_work_together(self, api: str) -> None:
        def values(x: float) -> tuple[float, ...]:
            better = float(x > 0.5)  # what breaks the constraint dominates everything else
            first, second = two_values(x)
            return first - 2.0 * better, second + 2.0 * better

        self.follows(values, left, api, n_objectives=2)

    def test_several_objectives_without_a_feasible_trial(self) -> None:
        self.follows(lambda x: (1.0, 1.0), lambda x: {"c": 0.1 + abs(x - 0.2)}, n_objectives=2)

    def test_three_objectives(self) -> None:
        self.follows(lambda x: (*two_values(x), abs(x - 0.2)), n_objectives=3)

    # In users' studies -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("n_objectives", [1, 2])
    def test_two_threads_share_it(self, n_objectives: int) -> None:
        problem = Problem(bait if n_objectives == 1 else two_values, left)
        study = self.study(n_objectives=n_objectives)
        study.optimize(problem, 2 * N_SUGGESTED, n_jobs=2)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2 * N_SUGGESTED
        for trial in study.trials:
            assert trial.constraints == left(trial.params["x"])
        assert np.unique([trial.params["x"] for trial in study.trials]).size > N_SUGGESTED

    @APIS
    def test_a_pickled_copy_suggests_the_same(self, api: str) -> None:
        """Also after it has learned; Optuna pickles samplers into processes, users keep them beside a storage."""
        study = self.study(api)
        problem = Problem(bait, left, api=api)
        study.optimize(problem, N_OBSERVED)
        copy = pickle.loads(pickle.dumps(study.sampler))
        found = []
        for sampler in (study.sampler, copy):
            other = optuna.create_study(sampler=sampler)
            other.add_trials(study.trials)
            other.optimize(problem, 2)
            found.append([trial.params["x"] for trial in other.trials[N_OBSERVED:]])
        assert found[0] == found[1]

"""Tests that every benchmark must pass, as a class for pytest: subclass it in a test file.

    from optibench_benchmarks.conformance import BenchmarkConformance

    class TestForest(BenchmarkConformance):
        name = "forest/wine"

The task must be registered (by an entry point or ``optibench_benchmarks.register``), or the class overrides
:meth:`BenchmarkConformance.create`. The rules are in :mod:`optibench_benchmarks.base`; ``docs/how-to/plugins.md``
lists them.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace
from ConfigSpace.hyperparameters import CategoricalHyperparameter, Constant, OrdinalHyperparameter

import optibench_benchmarks
from optibench_benchmarks.base import Benchmark, Evaluation, MissingDataError
from optibench_benchmarks.declarations import flaw
from optibench_benchmarks.hypervolume import normalised, volume

PLAIN = (int, float, str, bool)
FIDELITY_TESTS = (
    "test_no_fidelity_means_the_highest",
    "test_every_end_of_every_fidelity_can_be_evaluated",
    "test_an_unknown_fidelity_is_refused",
)


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Active parameters and plain Python values, as a benchmark receives them."""
    return {name: value if type(value) in PLAIN else value.item() for name, value in dict(config).items()}


def sample(space: ConfigurationSpace, n: int) -> list[dict[str, Any]]:
    """The default configuration and ``n`` random ones, the same on each call; the space's random state is restored."""
    own = deepcopy(space)
    own.seed(11)
    drawn = own.sample_configuration(n + 1)[:n]
    return [plain(config) for config in (own.get_default_configuration(), *drawn)]


def ends(hp: Any) -> list[Any]:
    """A parameter's choices, or the lowest and the highest of its values; none for a constant."""
    if isinstance(hp, Constant):
        return []
    if isinstance(hp, CategoricalHyperparameter):
        return list(hp.choices)
    return [hp.sequence[0], hp.sequence[-1]] if isinstance(hp, OrdinalHyperparameter) else [hp.lower, hp.upper]


def attempt(task: Benchmark, config: Mapping[str, Any], *, seed: int) -> Evaluation | str:
    """An evaluation, or the text of a declared failure."""
    try:
        return task.evaluate(dict(config), seed=seed)
    except task.failures as error:
        return f"{type(error).__name__}: {error}"


def outcome(task: Benchmark, config: Mapping[str, Any], *, seed: int) -> tuple[float, ...] | str:
    """The objectives and constraints of :func:`attempt`, or the failure."""
    found = attempt(task, config, seed=seed)
    return found if isinstance(found, str) else numbers(task, found)


def numbers(task: Benchmark, evaluation: Evaluation) -> tuple[float, ...]:
    """The objectives and constraints of an evaluation."""
    values, constraints = task.numbers(evaluation)
    return (*values, *constraints)


def edges(space: ConfigurationSpace) -> Iterator[dict[str, Any]]:
    """Configurations with one parameter at an end of its range, or at one of its choices.

    They start from the default and from random configurations, so that conditional parameters are covered too;
    forbidden configurations are left out.
    """
    starts = sample(space, 20)
    for name, hp in space.items():
        for value in ends(hp):
            for start in starts:
                if name in start and (found := _changed(space, start, name, value)) is not None:
                    yield found
                    break


def _changed(space: ConfigurationSpace, config: Mapping[str, Any], name: str, value: Any) -> dict[str, Any] | None:
    """The configuration with another value of one parameter; ``None`` if the space has no such configuration."""
    try:
        return plain(Configuration(space, values={**config, name: value}))
    except Exception:  # a condition or a forbidden clause rules it out
        return None


class BenchmarkConformance:
    """Every benchmark's tests.

    Attributes:
        name: The task's registered name.
        n: Random configurations in most tests; lower it for a task that trains.
        tolerance: Allowed difference between an evaluation and its repetition in a batch, relative to the values'
            spread.
    """

    name: ClassVar[str]
    n: ClassVar[int] = 30
    tolerance: ClassVar[float] = 1e-5

    def create(self) -> Benchmark:
        """Build the task; override for one that is not registered."""
        return optibench_benchmarks.create(self.name)

    def inapplicable(self, task: Benchmark) -> dict[str, str]:
        """The tests that do not apply to this task, each with the reason; pytest skips them."""
        found = {}
        if type(self).create is not BenchmarkConformance.create:
            found["test_its_name_makes_it_again"] = "not made by the registry"
        if task.reference is None:
            found["test_its_references_agree_with_its_direction"] = "has no reference"
        if task.front is None:
            found["test_no_random_configuration_is_beyond_its_front"] = "has one objective"
        if task.fidelity_space is None:
            found |= dict.fromkeys(FIDELITY_TESTS, "has no fidelities")
        if not task.failures:
            found["test_most_configurations_can_be_evaluated"] = "declares no failures"
        if not task.has_cost:
            found["test_a_known_cost_is_the_same_each_time"] = "does not know what an evaluation costs"
        return found

    @pytest.fixture
    def task(self, request: pytest.FixtureRequest) -> Benchmark:
        try:
            task = self.create()
        except MissingDataError as error:
            pytest.skip(str(error))
        if reason := self.inapplicable(task).get(request.function.__name__):
            pytest.skip(reason)
        return task

    @pytest.fixture(autouse=True)
    def _no_leftovers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        yield
        left = list(here.iterdir())
        assert not left, f"files are left in the working directory: {left}"

    def repeats(self, task: Benchmark, one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        """Whether the numbers of one configuration are equal up to the arithmetic of a batch."""
        scale = 1.0 if task.reference is None else abs(task.reference.f_ref - task.reference.f_best)
        within = {"rel_tol": self.tolerance, "abs_tol": self.tolerance * scale}
        return len(one) == len(other) and all(
            a == b or math.isclose(a, b, **within) for a, b in zip(one, other, strict=True)
        )

    # Declarations ------------------------------------------------------------------------------

    def test_it_describes_itself(self, task: Benchmark) -> None:
        wrong = flaw(task)
        assert wrong is None, wrong

    def test_its_space_can_be_written_down(self, task: Benchmark) -> None:
        text = json.dumps(task.space.to_serialized_dict())
        assert ConfigurationSpace.from_serialized_dict(json.loads(text)) == task.space
        for config in sample(task.space, self.n):
            assert json.loads(json.dumps(config)) == config

    def test_its_name_makes_it_again(self, task: Benchmark) -> None:
        again = optibench_benchmarks.create(task.name)
        assert (again.name, again.space, again.direction) == (task.name, task.space, task.direction)
        assert (again.objectives, again.constraints) == (task.objectives, task.constraints)
        assert (again.reference, again.front, again.data_version) == (task.reference, task.front, task.data_version)
        assert optibench_benchmarks.expand([self.name]) == [task.name], (
            "another spelling must come back as the registered one"
        )

    def test_its_references_agree_with_its_direction(self, task: Benchmark) -> None:
        """Half of all feasible random configurations are better than ``f_ref``, and none is better than ``f_best``."""
        assert task.reference is not None
        maximized = task.reference.f_best > task.reference.f_ref
        assert maximized == (task.direction == "maximize"), f"{task.direction}, and the reference is {task.reference}"
        if task.sampling == "noisy":
            return  # the reference has no noise, the values have
        configs = sample(task.space, max(self.n, 30))
        found = [outcome(task, config, seed=0) for config in configs]
        worst = task.reference.f_worst  # the value of a failed trial
        counted = [one for one in found if isinstance(one, str) or all(number <= 0.0 for number in one[1:])]
        regrets = [task.reference.regret(worst if isinstance(one, str) else one[0]) for one in counted]
        assert min(regrets, default=1.0) >= -self.tolerance, f"a random configuration beats f_best: {min(regrets)}"
        if len(counted) >= 30:
            assert min(regrets) <= 1.0 <= max(regrets), "all random configurations are on one side of f_ref, the median"

    def test_no_random_configuration_is_beyond_its_front(self, task: Benchmark) -> None:
        """One that is dominates points of the front; the front itself has the hypervolume that it says."""
        assert task.front is not None
        box = task.front.ideal, task.front.reference_point
        if task.sampling == "noisy":
            return
        found = [attempt(task, config, seed=0) for config in sample(task.space, max(self.n, 30))]
        both = [task.numbers(one) for one in found if not isinstance(one, str)]
        feasible = [values for values, constraints in both if all(number <= 0.0 for number in constraints)]
        known = volume(normalised(task.front.points, *box))
        assert known <= task.front.hypervolume + self.tolerance, f"the points of the front dominate {known}"
        mine = volume(normalised(feasible, *box))
        assert mine <= task.front.hypervolume + self.tolerance, f"random configurations dominate {mine}"

    # Evaluations -------------------------------------------------------------------------------------------------

    def test_evaluations_are_plain_numbers(self, task: Benchmark) -> None:
        for config in sample(task.space, self.n):
            evaluation = attempt(task, config, seed=0)
            if isinstance(evaluation, str):
                continue
            assert isinstance(evaluation, Evaluation)
            assert type(evaluation.value) is float, f"the value is a {type(evaluation.value)}"
            found = (*evaluation.values, *evaluation.constraints)
            assert all(type(number) is float for number in found), f"objectives and constraints are {found}"
            assert bool(evaluation.values) == bool(task.objectives), "`values` are for several objectives"
            task.numbers(evaluation)
            assert type(evaluation.cost_seconds) is float
            assert math.isfinite(evaluation.cost_seconds)
            assert evaluation.cost_seconds >= 0.0
            assert all(type(value) in (int, float, str) for value in evaluation.info.values())

    def test_most_configurations_can_be_evaluated(self, task: Benchmark) -> None:
        """The default and more than half of all succeed, so that the median is a value; the others fail as declared."""
        default, *others = sample(task.space, self.n)
        found = outcome(task, default, seed=0)
        assert not isinstance(found, str), f"the default configuration fails: {found}"
        failed = [one for config in others if isinstance(one := outcome(task, config, seed=0), str)]
        assert 2 * len(failed) <= len(others), f"{len(failed)} of {len(others)} random configurations fail: {failed[0]}"

    def test_every_end_of_every_parameter_can_be_evaluated(self, task: Benchmark) -> None:
        for config in edges(task.space):
            value = outcome(task, config, seed=0)
            assert isinstance(value, str) or all(map(math.isfinite, value)), f"not finite at {config}"

    def test_the_same_seed_gives_the_same_value_also_to_a_task_built_anew(self, task: Benchmark) -> None:
        configs = sample(task.space, self.n)
        values = [outcome(task, config, seed=5) for config in configs]
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        other = self.create()
        again = [outcome(other, dict(reversed(config.items())), seed=5) for config in reversed(configs)]
        assert again[::-1] == values, "the value depends on the order of evaluations, of parameters, or on global state"

    def test_other_seeds_differ_only_where_it_is_noisy(self, task: Benchmark) -> None:
        configs = sample(task.space, self.n)
        one, other = ([outcome(task, config, seed=seed) for config in configs] for seed in (1, 2))
        assert (one == other) == (task.sampling == "deterministic"), f"sampling is declared {task.sampling}"

    def test_a_batch_gives_what_single_evaluations_give(self, task: Benchmark) -> None:
        tried = [(config, outcome(task, config, seed=3)) for config in sample(task.space, self.n)]
        alone = [(config, value) for config, value in tried if not isinstance(value, str)]
        batch = task.evaluate_batch([config for config, _ in alone], seed=3)
        assert len(batch) == len(alone)
        for (_, single), evaluation in zip(alone, batch, strict=True):
            together = numbers(task, evaluation)
            assert self.repeats(task, together, single), f"{together} in a batch, {single} alone"
        assert task.evaluate_batch([], seed=3) == []

    def test_nothing_global_and_nothing_it_is_given_is_changed(self, task: Benchmark) -> None:
        space, (default, other) = task.space, sample(task.space, 1)
        config = default if isinstance(outcome(task, other, seed=0), str) else other
        before = space.to_serialized_dict(), repr(space.random.get_state()), dict(config)
        task.evaluate(config, seed=0)  # imports and caches first
        states = _global_states()
        task.evaluate(config, seed=0)
        assert states == _global_states(), "a random number was drawn from, or a seed set on, a global generator"
        assert space.to_serialized_dict() == before[0], "the space was changed"
        assert repr(space.random.get_state()) == before[1], "the space's own random state was used"
        assert config == before[2], "the configuration was changed"

    # Fidelities --------------------------------------------------------------------------------------------------

    def test_no_fidelity_means_the_highest(self, task: Benchmark) -> None:
        assert task.fidelity_space is not None
        highest = plain({name: ends(hp)[-1] for name, hp in task.fidelity_space.items()})
        for config in sample(task.space, 3):
            full = outcome(task, config, seed=0)
            if isinstance(full, str):
                continue
            for fidelity in ({}, highest):
                assert self.repeats(task, numbers(task, task.evaluate(config, seed=0, fidelity=fidelity)), full)

    def test_every_end_of_every_fidelity_can_be_evaluated(self, task: Benchmark) -> None:
        assert task.fidelity_space is not None
        (config, *_) = sample(task.space, 1)
        for name, hp in task.fidelity_space.items():
            for value in ends(hp):
                evaluation = task.evaluate(config, seed=0, fidelity=plain({name: value}))
                assert all(map(math.isfinite, numbers(task, evaluation))), f"not finite at {name} = {value}"

    def test_an_unknown_fidelity_is_refused(self, task: Benchmark) -> None:
        assert task.fidelity_space is not None
        (config, *_) = sample(task.space, 1)
        with pytest.raises(Exception, match="fidelit"):
            task.evaluate(config, seed=0, fidelity={"no such fidelity": 1})

    def test_its_main_fidelity_can_be_varied(self, task: Benchmark) -> None:
        if task.fidelity_space is None:
            assert task.main_fidelity is None, "a main fidelity, and no fidelities"
            return
        assert task.main_fidelity or len(task.fidelity_space) == 1, "several fidelities, and none is its main_fidelity"
        parameter: Any = task.fidelity_space[task.main_fidelity or next(iter(task.fidelity_space))]
        assert 0 <= parameter.lower < parameter.upper, "it must be a number with a lowest and a highest value"

    def test_a_known_cost_is_the_same_each_time(self, task: Benchmark) -> None:
        configs = [c for c in sample(task.space, self.n) if not isinstance(outcome(task, c, seed=0), str)]
        costs = [[self.create().evaluate(config, seed=0).cost_seconds for config in configs] for _ in range(2)]
        assert costs[0] == costs[1], "has_cost=True, and the cost of an evaluation changes"
        assert max(costs[0]) > 0, "has_cost=True, and every evaluation costs nothing"


def _global_states() -> tuple[Any, ...]:
    torch = sys.modules.get("torch")
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    states = (random.getstate(), name, np.asarray(keys).tobytes(), *rest)
    return states if torch is None else (*states, torch.get_rng_state().numpy().tobytes())

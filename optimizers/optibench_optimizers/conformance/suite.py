"""Tests that every optimizer must pass, as a class for pytest: subclass it in a test file.

    from optibench_optimizers.conformance.suite import OptimizerConformance

    class TestMine(OptimizerConformance):
        spec = "mine"

The optimizer must be registered (by an entry point or ``optibench_optimizers.register``), or the class overrides
:meth:`OptimizerConformance.create`. The rules are in :mod:`optibench_optimizers.base`; ``docs/how-to/plugins.md``
lists them.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

import optibench_optimizers
from optibench_optimizers.base import Capabilities, Fidelity, Observation, Optimizer
from optibench_optimizers.conformance.objectives import ObjectivesConformance
from optibench_optimizers.conformance.reduced import heard_from, listening, reduced
from optibench_optimizers.conformance.spaces import SPACES, bowl, check_valid, conditional, four, line, mixed
from optibench_optimizers.spaces import SearchSpace

Loss = Callable[[Mapping[str, Any], SearchSpace], float]
N_INITIAL = 10
"""Observations before the first ask, as many as the harness's shared initial design has: model-based optimizers start
to model after them."""


def initial_design(space: SearchSpace, n: int = N_INITIAL, loss: Loss = bowl) -> list[Observation]:
    """Random configurations and their values, the same on each call; a loss that is not finite is a failure."""
    return [observe(config, space, loss) for config in space.sample(n, np.random.RandomState(7))]


def observe(config: Mapping[str, Any], space: SearchSpace, loss: Loss) -> Observation:
    value = loss(config, space)
    return Observation(config, value, "ok" if math.isfinite(value) else "failed")


def random_state(space: ConfigurationSpace) -> bytes:
    """The state of the space's own generator."""
    state: Any = space.random.get_state()
    return bytes(state[1].tobytes()) + repr(state[2:]).encode()


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _draw_everything() -> tuple[float, ...]:
    torch = sys.modules.get("torch")
    drawn = (random.random(), float(np.random.random()))  # noqa: NPY002
    return drawn if torch is None else (*drawn, float(torch.rand(())))


@contextmanager
def no_leftovers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Optimizers must delete every file that they write, in the working directory or a temporary one."""
    temporary, here = folder / "temporary", folder / "here"
    for new in (temporary, here):
        new.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(here)
    yield
    left = [*temporary.iterdir(), *here.iterdir()]
    assert not left, f"files are left behind after close(): {left}"


class OptimizerConformance(ObjectivesConformance):
    """Every optimizer's tests.

    Attributes:
        spec: The optimizer, as ``name`` or ``name:key=value``.
        learns: Whether observations change its suggestions.
        own_workers: Whether it starts threads or processes. The harness gives a cell one core, so most must not.
        spaces: Builders of the search spaces to test it on, by name; leave out those it does not support.
        marks: Marks for the tests of some spaces, by the space's name: ``{"fifty": pytest.mark.slow}``.
        own_design_trials: The budget without an initial design; must exceed the length of its own.
    """

    spec: ClassVar[str]
    learns: ClassVar[bool] = True
    own_workers: ClassVar[bool] = False
    spaces: ClassVar[Mapping[str, Callable[[], ConfigurationSpace]]] = SPACES
    marks: ClassVar[Mapping[str, pytest.MarkDecorator]] = {}
    own_design_trials: ClassVar[int] = 12

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
        """Build the optimizer; override for one that is not registered.

        The override needs ``fidelity`` if it is multi-fidelity, and the counts if it takes several objectives or
        constraints.
        """
        return optibench_optimizers.create(
            self.spec,
            space,
            seed=seed,
            n_trials=n_trials,
            fidelity=fidelity,
            n_objectives=n_objectives,
            n_constraints=n_constraints,
        )

    @property
    def capabilities(self) -> Capabilities:
        """Its capabilities; override for one that is not registered."""
        return optibench_optimizers.parse(self.spec)[0].capabilities

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test that takes ``space_name`` on each of the class's spaces."""
        if "space_name" in metafunc.fixturenames and metafunc.cls is not None:
            cls = metafunc.cls
            values = [pytest.param(name, marks=cls.marks.get(name, ())) for name in cls.spaces]
            metafunc.parametrize("space_name", values)

    def inapplicable(self) -> dict[str, str]:
        """The tests that do not apply to this optimizer, each with the reason; pytest skips them."""
        found = super().inapplicable()
        if not self.learns:
            found["test_it_minimizes"] = "does not learn from observations"
        if self.own_workers:
            found["test_it_starts_no_threads_and_no_processes"] = "declares workers of its own"
        if type(self).create is not OptimizerConformance.create:
            found["test_the_entry_says_what_the_class_says"] = "not made by the registry"
            found["test_what_it_does_not_take_is_refused"] = "not made by the registry"
        return found

    @pytest.fixture(autouse=True)
    def _applies(self, request: pytest.FixtureRequest) -> None:
        if reason := self.inapplicable().get(request.function.__name__):
            pytest.skip(reason)

    @pytest.fixture(autouse=True)
    def _no_leftovers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with no_leftovers(tmp_path, monkeypatch):
            yield

    def search(
        self,
        space: ConfigurationSpace,
        *,
        observed: Sequence[Observation] | None = None,
        n: int = 2,
        loss: Loss = bowl,
        seed: int = 3,
        n_trials: int | None = None,
        before_each: Callable[[], None] = lambda: None,
        recorded: Sequence[Observation] = (),
    ) -> list[Observation]:
        """Tell ``observed`` (random configurations if ``None``), then ask, check and tell ``n`` times.

        Observations in ``recorded`` replace the evaluations here, as in a resumed cell.
        """
        view = SearchSpace(space)
        observed = initial_design(view, loss=loss) if observed is None else observed
        found = []
        with closing(self.create(space, seed=seed, n_trials=n_trials or len(observed) + n)) as optimizer:
            optimizer.tell(observed)
            for index in range(n):
                before_each()
                (suggestion,) = optimizer.ask()
                check_valid(suggestion.config, view)
                assert not suggestion.fidelity, "a fidelity, and it was given none to vary"
                observation = observe(dict(suggestion.config), view, loss)
                before_each()
                optimizer.tell([recorded[index] if recorded else observation])
                found.append(observation)
        return found

    # What the harness relies on ----------------------------------------------------------------------------------

    def test_suggestions_are_valid_and_a_replay_repeats_them(self, space_name: str) -> None:
        """After a replay of the journal (JSON), it suggests the same, whatever the global random states.

        So it does with a larger budget, if it says that it ignores the budget.
        """

        def disturb() -> None:
            _seed_everything(int(counter.integers(1000)))

        counter = np.random.default_rng(0)
        first = self.search(self.spaces[space_name]())
        journal = [Observation(json.loads(json.dumps(o.config)), o.value, o.state) for o in first]
        budget = 500 if self.capabilities.ignores_budget else None
        again = self.search(self.spaces[space_name](), before_each=disturb, recorded=journal, n_trials=budget)
        if self.capabilities.replay:
            assert [o.config for o in again] == [o.config for o in first]

    def test_the_global_random_states_are_left_alone(self) -> None:
        space = mixed()
        with closing(self.create(space, seed=1, n_trials=N_INITIAL + 1)) as optimizer:
            _seed_everything(5)
            optimizer.tell(initial_design(SearchSpace(space)))
            optimizer.ask()
            after = _draw_everything()
        _seed_everything(5)
        assert after == _draw_everything(), "a random number was drawn from, or a seed set on, a global generator"

    def test_the_space_is_left_as_it_was(self) -> None:
        space = conditional()
        before = random_state(space), space.to_serialized_dict()
        self.search(space, n=1)
        assert random_state(space) == before[0], "the space's own random state was used"
        assert space.to_serialized_dict() == before[1], "the space was changed"

    def test_seeds_differ(self) -> None:
        one, other = (self.search(mixed(), seed=seed, observed=[], n=4) for seed in (1, 2))
        assert [o.config for o in one] != [o.config for o in other], "two seeds gave the same four suggestions"

    def test_its_own_initial_design_works_and_repeats(self) -> None:
        n = self.own_design_trials
        budgets = (None, 10 * n if self.capabilities.ignores_budget else None)
        one, other = (self.search(conditional(), observed=[], n=n, n_trials=budget) for budget in budgets)
        assert not self.capabilities.replay or [o.config for o in one] == [o.config for o in other]

    def test_it_minimizes(self) -> None:
        def median(best: float) -> float:
            observed = [Observation({"x": (i + 0.5) / 12}, abs(i / 12 - best)) for i in range(12)]
            found = self.search(line(), observed=observed, n=3, loss=lambda config, space: abs(config["x"] - best))
            return float(np.median([o.config["x"] for o in found]))

        low, high = median(0.1), median(0.9)
        assert low < 0.5 < high, f"minima at 0.1 and 0.9, median suggestions at {low} and {high}"

    def test_a_batch_is_valid_repeats_and_is_told_in_any_order(self) -> None:
        space = conditional()
        view = SearchSpace(space)

        def batches() -> list[list[dict[str, Any]]]:
            suggested = []
            with closing(self.create(space, seed=1, n_trials=N_INITIAL + 4)) as optimizer:
                optimizer.tell(initial_design(view))
                for n in (3, 1):
                    suggestions = optimizer.ask(n)
                    assert len(suggestions) == n
                    for suggestion in suggestions:
                        check_valid(suggestion.config, view)
                    suggested.append([dict(suggestion.config) for suggestion in suggestions])
                    optimizer.tell([observe(s.config, view, bowl) for s in reversed(suggestions)])
            return suggested

        first = batches()
        again = batches()
        assert first == again or not self.capabilities.replay
        if self.capabilities.batch:
            different = {json.dumps(config, sort_keys=True) for batch in first for config in batch}
            assert len(different) == 4, "it declares batch=True and suggested the same configuration twice in a batch"

    def test_it_can_be_asked_again_before_it_is_told(self) -> None:
        """With parallel workers, evaluations are observed in the order they finish."""
        view = SearchSpace(mixed())
        with closing(self.create(mixed(), seed=2, n_trials=N_INITIAL + 3)) as optimizer:
            optimizer.tell(initial_design(view))
            first, second = (optimizer.ask()[0] for _ in range(2))
            optimizer.tell([observe(second.config, view, bowl)])
            (third,) = optimizer.ask()
            optimizer.tell([observe(one.config, view, bowl) for one in (third, first)])
        for one in (first, second, third):
            check_valid(one.config, view)
        if self.capabilities.batch:
            assert first.config != second.config, "it declares batch=True and forgot what it was waiting for"

    def test_it_starts_no_threads_and_no_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(worker: Any, *args: Any, **kwargs: Any) -> None:
            started.append(worker)
            raise RuntimeError("the harness gives a cell one core")

        started: list[Any] = []
        monkeypatch.setattr("threading.Thread.start", refuse)
        monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
        monkeypatch.setattr("subprocess.Popen.__init__", refuse)
        self.search(mixed(), n=1)
        assert not started, f"it started {started}"

    # Edge cases of real runs --------------------------------------------------------------------

    def test_it_survives_failures_only(self) -> None:
        found = self.search(mixed(), loss=lambda config, space: math.nan)
        assert found[0].config != found[1].config, "the same failing configuration again and again"

    def test_it_survives_failures_among_successes(self) -> None:
        def red_fails(config: Mapping[str, Any], space: SearchSpace) -> float:
            return math.nan if config["c"] == "red" else bowl(config, space)

        observed = initial_design(SearchSpace(mixed()), loss=red_fails)
        observed = [Observation(o.config, o.value, "timeout" if o.state == "failed" else "ok") for o in observed]
        assert {o.state for o in observed} == {"timeout", "ok"}
        self.search(mixed(), observed=observed, loss=red_fails)

    def test_an_infinite_value_counts_as_failed(self) -> None:
        observed = initial_design(SearchSpace(mixed()))
        observed[3] = Observation(observed[3].config, math.inf)
        observed[4] = Observation(observed[4].config, -math.inf)
        self.search(mixed(), observed=observed)

    @pytest.mark.parametrize(("slope", "offset"), [(0.0, 0.0), (0.0, -1e12), (1e-200, 0.0), (1e200, 0.0), (1e-3, 1e12)])
    def test_it_survives_values_that_are_constant_tiny_or_huge(self, slope: float, offset: float) -> None:
        self.search(mixed(), n=1, loss=lambda config, space: slope * bowl(config, space) + offset)

    def test_it_survives_duplicates(self) -> None:
        observed = initial_design(SearchSpace(mixed()), 5)
        worse = [Observation(o.config, o.value + 1.0) for o in observed]  # as with a noisy objective
        self.search(mixed(), observed=observed + worse)

    def test_it_goes_on_when_every_configuration_has_been_tried(self) -> None:
        self.search(four(), observed=initial_design(SearchSpace(four()), 8), n=3)

    # Whether it runs as published -------------------------------------------------------------------

    def test_its_libraries_say_nothing_of_a_reduced_mode(self) -> None:
        """No fallback, no slower code, no random draws instead of a model: this space has no conditions."""
        if type(self).create is OptimizerConformance.create:
            said = heard_from(self.spec)
        else:
            with listening() as said:
                self.search(mixed())
        assert not reduced(said), f"it runs in a reduced mode: {reduced(said)}"

    # Its entry in the registry --------------------------------------------------------------------------------

    def test_the_entry_says_what_the_class_says(self) -> None:
        entry, _ = optibench_optimizers.parse(self.spec)
        assert not entry.problems(), f"{entry.name} does not run as it should: {entry.problems()}"
        assert entry.capabilities == entry.load().capabilities, "Entry.capabilities and the class's own differ"
        missing = [package for package, version in entry.versions().items() if version == "missing"]
        assert not missing, f"Entry.packages names distributions that are not installed: {missing}"

"""What every registered optimizer must do, whatever library it wraps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenInClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrConjunction,
    OrdinalHyperparameter,
)
from ConfigSpace.util import check_configuration

import optimizers
from optimizers import Observation, OptimizerError
from optimizers.spaces import SearchSpace

NAMES = sorted(optimizers.entries())
N_TRIALS = 12
N_INITIAL = 10  # the shared initial design's size; the model-based ones start to model after it


def mixed() -> ConfigurationSpace:
    return ConfigurationSpace(
        {"x": (-2.0, 3.0), "n": (1, 7), "c": ["red", "green", "blue"], "flag": [True, False], "fixed": 4.5}
    )


def conditional() -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    booster, depth, rate, drop, skip = (
        Categorical("booster", ["tree", "linear", "dart"]),
        Integer("depth", (1, 12)),
        Float("rate", (1e-4, 1.0), log=True),
        Float("drop", (0.0, 1.0)),
        Float("skip", (0.0, 1.0)),
    )
    space.add(booster, depth, rate, drop, skip)
    space.add(
        InCondition(depth, booster, ["tree", "dart"]),
        AndConjunction(EqualsCondition(drop, booster, "dart"), GreaterThanCondition(drop, depth, 3)),
        OrConjunction(EqualsCondition(skip, booster, "linear"), GreaterThanCondition(skip, rate, 0.1)),
    )
    return space


def categories() -> ConfigurationSpace:
    return ConfigurationSpace({"a": ["x", "y", "z"], "b": [1, 2, 3, 4], "c": ["only"]})


def line() -> ConfigurationSpace:
    return ConfigurationSpace({"x": (0.0, 1.0)})


def scales() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        Float("tiny", (1e-12, 1e-3), log=True),
        Float("huge", (1e3, 1e18), log=True),
        Integer("n", (1, 10**6), log=True),
        Float("thin", (1.0, 1.0 + 1e-6)),
    )
    return space


def grid() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        OrdinalHyperparameter("units", [16, 32, 64, 128, 512]),
        OrdinalHyperparameter("rate", [1e-5, 1e-3, 0.1]),
        OrdinalHyperparameter("size", ["S", "M", "L"]),
        Integer("depth", (1, 3)),
    )
    return space


def forbidden() -> ConfigurationSpace:
    space = ConfigurationSpace({"x": (0.0, 1.0), "n": (1, 4)})
    space.add(Categorical("a", ["p", "q", "r"], default="r"))  # the default must be allowed
    space.add(
        ForbiddenAndConjunction(ForbiddenEqualsClause(space["a"], "p"), ForbiddenInClause(space["n"], [1, 2])),
        ForbiddenEqualsClause(space["a"], "q"),
    )
    return space


SPACES: dict[str, Callable[[], ConfigurationSpace]] = {
    make.__name__: make for make in (mixed, conditional, categories, line, scales, grid, forbidden)
}


def loss(config: Any, space: SearchSpace) -> float:
    """A smooth bowl in the unit cube, off the centre."""
    return float(np.mean((space.to_unit(config) - 0.3) ** 2))


def check_valid(config: Any, space: SearchSpace) -> None:
    """Active parameters only, plain Python values, each legal, no forbidden clause broken."""
    for name, value in config.items():
        assert type(value) in (int, float, str, bool), f"{name} is a {type(value)}"
        hp = space.space[name]
        assert hp.legal_value(value), f"{value!r} is not legal for {hp}"
    check_configuration(space.space, space.vector(config))


def initial_design(space: SearchSpace, n: int = N_INITIAL) -> list[Observation]:
    configs = space.sample(n, np.random.RandomState(7))
    return [Observation(config, loss(config, space)) for config in configs]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that a test's optimizers write must be gone when they are closed."""
    temporary, here = tmp_path / "temporary", tmp_path / "here"
    for folder in (temporary, here):
        folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(here)
    yield
    assert not list(temporary.iterdir())
    assert not list(here.iterdir())


def run(
    name: str,
    space: ConfigurationSpace,
    *,
    seed: int = 3,
    n_trials: int = N_TRIALS,
    objective: Callable[[Any, SearchSpace], float] = loss,
    told: list[Observation] | None = None,
    disturb: Callable[[], None] = lambda: None,
) -> list[Any]:
    """The configurations that were asked for; each is checked."""
    view = SearchSpace(space)
    told = initial_design(view) if told is None else told
    asked = []
    with closing(optimizers.create(name, space, seed=seed, n_trials=n_trials)) as optimizer:
        optimizer.tell(told)
        for _ in range(n_trials - len(told)):
            disturb()
            (suggestion,) = optimizer.ask()
            check_valid(suggestion.config, view)
            asked.append(dict(suggestion.config))
            value = objective(suggestion.config, view)
            state = "ok" if math.isfinite(value) else "failed"
            disturb()
            optimizer.tell([Observation(suggestion.config, value, state)])
    return asked


# A suggestion of these takes up to a second; the first three spaces hold most of what can go wrong.
SLOW = {"gp-botorch", "gp-optuna", "gp-skopt", "smac-gp", "smac-rf"}
PAIRS = [
    pytest.param(name, space, marks=[pytest.mark.heavy] if name in SLOW and i > 2 else [])
    for name in NAMES
    for i, space in enumerate(SPACES)
]


@pytest.mark.parametrize(("name", "space"), PAIRS)
def test_suggestions_are_valid_and_repeat_exactly_whatever_the_global_random_states(name: str, space: str) -> None:
    def disturb() -> None:
        import torch

        random.seed(int(counter.integers(1000)))
        np.random.seed(counter.integers(1000))  # noqa: NPY002
        torch.manual_seed(int(counter.integers(1000)))

    counter = np.random.default_rng(0)
    first = run(name, SPACES[space]())
    assert first == run(name, SPACES[space](), disturb=disturb)


def test_the_global_random_states_are_left_alone(name: str) -> None:
    import torch

    with closing(optimizers.create(name, mixed(), seed=1, n_trials=N_TRIALS)) as optimizer:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)
        optimizer.tell(initial_design(SearchSpace(mixed())))
        optimizer.ask()
        after = random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    assert after == (random.random(), float(np.random.random()), float(torch.rand(())))  # noqa: NPY002


def test_the_space_is_left_as_it_was(name: str) -> None:
    space = conditional()
    before = space.random.get_state()[1].copy(), space.to_serialized_dict()
    run(name, space, n_trials=N_INITIAL + 1)
    assert np.array_equal(space.random.get_state()[1], before[0])
    assert space.to_serialized_dict() == before[1]


def test_seeds_differ(name: str) -> None:
    assert run(name, mixed(), seed=1, told=[], n_trials=4) != run(name, mixed(), seed=2, told=[], n_trials=4)


def test_its_own_initial_design_works_too(name: str) -> None:
    n_trials = 5 if name.startswith("smac") else 12  # SMAC's own design is a quarter of the trials, the others' is 10
    asked = run(name, conditional(), told=[], n_trials=n_trials)
    assert asked == run(name, conditional(), told=[], n_trials=n_trials)


def test_it_survives_failures_only(name: str) -> None:
    view = SearchSpace(mixed())
    told = [Observation(o.config, math.nan, "failed") for o in initial_design(view)]
    asked = run(name, mixed(), told=told, objective=lambda config, space: math.nan)
    assert len({str(config) for config in asked}) > 1, "the same failing configuration again and again"


def test_it_survives_failures_among_successes(name: str) -> None:
    def sometimes(config: Any, space: SearchSpace) -> float:
        return math.nan if config["c"] == "red" else loss(config, space)

    view = SearchSpace(mixed())
    told = [
        Observation(o.config, sometimes(o.config, view), "timeout" if o.config["c"] == "red" else "ok")
        for o in initial_design(view)
    ]
    assert any(o.state == "timeout" for o in told)
    run(name, mixed(), told=told, objective=sometimes)


def test_an_infinite_value_counts_as_failed(name: str) -> None:
    told = initial_design(SearchSpace(mixed()))
    told[3] = Observation(told[3].config, math.inf)
    told[4] = Observation(told[4].config, -math.inf)
    run(name, mixed(), told=told, n_trials=N_INITIAL + 2)


@pytest.mark.parametrize("value", [0.0, -1e12])
def test_it_survives_a_constant_objective(name: str, value: float) -> None:
    view = SearchSpace(mixed())
    told = [Observation(o.config, value) for o in initial_design(view)]
    run(name, mixed(), told=told, objective=lambda config, space: value)


def test_it_survives_duplicates(name: str) -> None:
    told = initial_design(SearchSpace(mixed()), 5)
    run(name, mixed(), told=told + told, n_trials=N_INITIAL + 3)


def test_it_goes_on_when_every_configuration_has_been_tried(name: str) -> None:
    space = ConfigurationSpace({"a": ["x", "y"], "n": (1, 2)})
    run(name, space, told=initial_design(SearchSpace(space), 8))


def test_a_batch_is_valid_and_told_in_any_order(name: str) -> None:
    space = conditional()
    view = SearchSpace(space)

    def batches() -> list[Any]:
        asked = []
        with closing(optimizers.create(name, space, seed=1, n_trials=N_INITIAL + 4)) as optimizer:
            optimizer.tell(initial_design(view))
            for n in (3, 1):
                suggestions = optimizer.ask(n)
                assert len(suggestions) == n
                for suggestion in suggestions:
                    check_valid(suggestion.config, view)
                asked.append([dict(suggestion.config) for suggestion in suggestions])
                optimizer.tell([Observation(s.config, loss(s.config, view)) for s in reversed(suggestions)])
        return asked

    first = batches()
    assert first == batches()
    if optimizers.entries()[name].capabilities.batch:
        assert len({str(config) for batch in first for config in batch}) == 4


def test_it_starts_no_threads_and_no_processes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(worker: Any, *args: Any) -> None:
        started.append(worker)
        raise RuntimeError("the harness gives a cell one core")

    started: list[Any] = []
    monkeypatch.setattr("threading.Thread.start", refuse)
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    monkeypatch.setattr("subprocess.Popen.__init__", refuse)
    run(name, mixed(), n_trials=N_INITIAL + 1)
    assert not started


def test_told_observations_steer_it(name: str) -> None:
    if optimizers.entries()[name].capabilities.failed.startswith("nothing"):
        pytest.skip("does not learn")
    view = SearchSpace(line())
    designs = [[Observation({"x": (i + 0.5) / 12}, abs(i / 12 - best)) for i in range(12)] for best in (0.1, 0.9)]
    low, high = (
        np.median([c["x"] for c in run(name, view.space, told=told, n_trials=15, objective=bowl)])
        for told, bowl in zip(designs, (_near(0.1), _near(0.9)), strict=True)
    )
    assert low < 0.5 < high


def _near(best: float) -> Callable[[Any, SearchSpace], float]:
    return lambda config, space: abs(float(config["x"]) - best)


def test_a_configuration_of_another_space_is_refused(name: str) -> None:
    if optimizers.entries()[name].capabilities.failed.startswith("nothing"):
        pytest.skip("does not look at what it is told")
    for config in ({"x": 0.5, "y": 1.0}, {"x": 2.0}, {"x": "high"}):
        with (
            closing(optimizers.create(name, line(), seed=1, n_trials=N_TRIALS)) as optimizer,
            pytest.raises(OptimizerError, match="space"),
        ):
            optimizer.tell([Observation(config, 1.0)])


def test_the_catalog_repeats_the_class(name: str) -> None:
    entry = optimizers.entries()[name]
    assert entry.capabilities == entry.load().capabilities
    assert "missing" not in entry.versions().values()
    assert entry.summary.endswith(".")
    assert entry.install.startswith("pip install ")

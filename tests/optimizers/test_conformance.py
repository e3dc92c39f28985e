"""The shipped suite on every registered optimizer, and further tests of the built-in ones."""

from __future__ import annotations

import inspect
import logging
import random
import tempfile
import threading
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace.exceptions import IllegalValueError, InactiveHyperparameterSetError

import optibench_optimizers
from optibench_optimizers import Capabilities, Fidelity, Observation, Optimizer, OptimizerError, Suggestion
from optibench_optimizers.adapters.random_search import RandomSearch
from optibench_optimizers.conformance.fidelity import EPOCHS
from optibench_optimizers.conformance.spaces import SPACES, line
from optibench_optimizers.conformance.suite import OptimizerConformance, no_leftovers
from optibench_optimizers.entry import settings_of
from optibench_optimizers.history import succeeded
from optibench_optimizers.spaces import SearchSpace

NAMES = sorted(optibench_optimizers.entries())
# A suggestion of these takes up to a second; these spaces cover most errors.
SLOW = {"gp-botorch", "gp-optuna", "gp-skopt", "smac-gp", "smac-hb", "smac-rf"}
QUICK_SPACES = ("mixed", "conditional", "categories", "scales")
HEAVY = {name: pytest.mark.heavy for name in SPACES if name not in QUICK_SPACES}


def _looks(name: str) -> bool:
    """Whether it learns from observations."""
    return not optibench_optimizers.entries()[name].capabilities.failed.startswith("nothing")


def conformance(name: str) -> type[OptimizerConformance]:
    """The test class of one registered optimizer."""
    attributes: dict[str, Any] = {
        "spec": name,
        # observations decide Hyperband's next fidelity, not its configurations; NSGA mutates a single parameter always;
        # three trials are less than a generation of pycma, whose first one is spread around the best trial
        "learns": name not in ("hyperband", "nsga2", "nsga3", "pycma") and _looks(name),
        "marks": HEAVY if name in SLOW else {},
        # SMAC's own design is a quarter of the trials, that of the others 10.
        "own_design_trials": 5 if name.startswith("smac") else 12,
        "__module__": __name__,
    }
    return type(f"Test_{name.replace('-', '_')}", (OptimizerConformance,), attributes)


# One class per optimizer, so that its library is imported once.
globals().update({cls.__name__: cls for cls in map(conformance, NAMES)})


@pytest.mark.parametrize("name", [name for name in NAMES if _looks(name)])
def test_a_configuration_of_another_space_is_refused(name: str) -> None:
    for config in ({"x": 0.5, "y": 1.0}, {"x": 2.0}, {"x": "high"}):
        with (
            closing(optibench_optimizers.create(name, line(), seed=1, n_trials=12)) as optimizer,
            pytest.raises(OptimizerError, match="space"),
        ):
            optimizer.tell([Observation(config, 1.0)])


@pytest.mark.parametrize(
    "name", [name for name in NAMES if getattr(optibench_optimizers.entries()[name].startup, "setting", "")]
)
def test_the_startup_trials_are_the_constructors_default(name: str) -> None:
    entry = optibench_optimizers.entries()[name]
    assert entry.startup is not None
    default = settings_of(entry.load())[entry.startup.setting].default
    assert default in (entry.startup.trials, -1)  # -1 stands for the library's own


@pytest.mark.parametrize("name", NAMES)
def test_the_catalog_is_readable(name: str) -> None:
    entry = optibench_optimizers.entries()[name]
    assert entry.summary.endswith(".")
    assert entry.install.startswith("pip install ")


class Good(RandomSearch):
    """Random search around the best value of the first parameter; every broken optimizer below changes one thing."""

    def __init__(self, space: Any, *, seed: int, n_trials: int) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials)
        self.view, self.seed, self.best = SearchSpace(space), seed, Observation({}, float("inf"))
        self.told: list[Observation] = []

    def ask(self, n: int = 1) -> list[Suggestion]:
        suggestions = super().ask(n)
        if "x" not in self.best.config:
            return suggestions
        return [Suggestion({**s.config, "x": 0.9 * self.best.config["x"] + 0.1 * s.config["x"]}) for s in suggestions]

    def tell(self, observations: Sequence[Observation]) -> None:
        self.told += observations
        self.best = min([self.best, *filter(succeeded, observations)], key=lambda o: o.value)


class OutOfRange(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        return [Suggestion({**s.config, **({"x": 17.0} if "x" in s.config else {})}) for s in super().ask(n)]


class InactiveToo(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        defaults = dict(self.view.space.get_default_configuration())
        return [Suggestion({**defaults, **s.config}) for s in super().ask(n)]


class GlobalRandom(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        return random.sample(super().ask(n + 4), n)


class Unseeded(Good):
    def __init__(self, space: Any, *, seed: int, n_trials: int) -> None:
        super().__init__(space, seed=0, n_trials=n_trials)


class CannotReplay(Good):
    asked = 0

    def ask(self, n: int = 1) -> list[Suggestion]:
        CannotReplay.asked += 1
        return super().ask(n + self.asked)[-n:]


class Maximizes(Good):
    def tell(self, observations: Sequence[Observation]) -> None:
        super().tell([Observation(o.config, -o.value, o.state) for o in observations])


class StuckOnFailure(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        failed = self.told and not succeeded(self.told[-1])
        return [Suggestion(self.told[-1].config)] * n if failed else super().ask(n)


class DiesOfInfinity(Good):
    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            if observation.state == "ok":
                int(observation.value)


class OneBatch(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        return super().ask(1) * n


class Threads(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        return super().ask(n)


class Litters(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        tempfile.mkdtemp()
        return super().ask(n)


class FidelityUnasked(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        return [Suggestion(s.config, {"epochs": 3}) for s in super().ask(n)]


class FallsBack(Good):
    """Whatever its verbosity and filters."""

    def ask(self, n: int = 1) -> list[Suggestion]:
        logging.getLogger("library").setLevel(logging.CRITICAL)
        logging.getLogger("library").warning("No %s: falling back to a slower search", "compiler")
        return super().ask(n)


class DrawsAtRandom(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn("The parameter `x` is sampled independently", stacklevel=2)
        return super().ask(n)


class UsesTheSpace(Good):
    def ask(self, n: int = 1) -> list[Suggestion]:
        self.view.space.sample_configuration()
        return super().ask(n)


class Rungs(Good):
    """Every third suggestion is the best so far, in full; every broken optimizer below changes one thing."""

    def __init__(self, space: Any, *, seed: int, n_trials: int, fidelity: Fidelity | None = None) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials)
        self.fidelity, self.turn = fidelity, 0
        self.cheap: list[Observation] = []

    def level(self, fidelity: Fidelity) -> float:
        return fidelity.low if self.turn % 3 else fidelity.high

    def ask(self, n: int = 1) -> list[Suggestion]:
        found = []
        for suggestion in super().ask(n):
            self.turn += 1
            if self.fidelity is None:
                found.append(suggestion)
                continue
            chosen = self.fidelity.at(self.level(self.fidelity))
            full = chosen[self.fidelity.name] == self.fidelity.high and bool(self.cheap)
            config = min(self.cheap, key=lambda o: o.value).config if full else suggestion.config
            found.append(Suggestion(config, chosen))
        return found

    def tell(self, observations: Sequence[Observation]) -> None:
        super().tell(observations)
        self.cheap += [o for o in observations if succeeded(o) and o.fidelity and self.turn > 2]


class NeverFull(Rungs):
    def level(self, fidelity: Fidelity) -> float:
        return fidelity.low


class AlwaysFull(Rungs):
    def level(self, fidelity: Fidelity) -> float:
        return fidelity.high


class FractionOfAnEpoch(Rungs):
    def ask(self, n: int = 1) -> list[Suggestion]:
        half = {name: value / 2 for name, value in {"epochs": 3.0}.items()}
        return [Suggestion(s.config, half if s.fidelity else None) for s in super().ask(n)]


class PromotesTheWorst(Rungs):
    def tell(self, observations: Sequence[Observation]) -> None:
        super().tell([Observation(o.config, -o.value, o.state, o.fidelity) for o in observations])


def check(cls: type[Optimizer], folder: Path) -> None:
    """Run every test of the suite on an optimizer that is not registered."""

    class Suite(OptimizerConformance):
        capabilities = Capabilities(batch=True, multi_fidelity=issubclass(cls, Rungs))  # type: ignore[assignment]

        def create(self, space: Any, *, seed: int, n_trials: int, fidelity: Any = None) -> Optimizer:
            if issubclass(cls, Rungs):
                return cls(space, seed=seed, n_trials=n_trials, fidelity=fidelity)
            return cls(space, seed=seed, n_trials=n_trials)

    suite = Suite()
    arguments = {"slope": 0.0, "offset": 0.0, "fidelity": EPOCHS}
    for name in (name for name in dir(suite) if name.startswith("test_") and name not in suite.inapplicable()):
        test = getattr(suite, name)
        names = list(inspect.signature(test).parameters)
        for space in SPACES if "space_name" in names else [""]:
            with pytest.MonkeyPatch.context() as patch, no_leftovers(folder / name / space, patch):
                given = {**arguments, "space_name": space, "monkeypatch": patch}
                test(**{key: given[key] for key in names})


@pytest.mark.parametrize("good", [Good, Rungs])
def test_a_good_optimizer_passes(good: type[Optimizer], tmp_path: Path) -> None:
    check(good, tmp_path)


@pytest.mark.parametrize(
    "broken", [cls for cls in (*Good.__subclasses__(), *Rungs.__subclasses__()) if cls is not Rungs]
)
def test_a_broken_optimizer_is_caught(broken: type[Optimizer], tmp_path: Path) -> None:
    with pytest.raises(
        (AssertionError, IllegalValueError, InactiveHyperparameterSetError, OverflowError, RuntimeError)
    ):
        check(broken, tmp_path)

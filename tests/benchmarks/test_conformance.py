"""The shipped suite on a few tasks of every registered family, and on all tasks if time allows."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Float, Integer

import optibench_benchmarks
from optibench_benchmarks import Benchmark, BenchmarkError, Config, Direction, Evaluation, Reference, Sampling
from optibench_benchmarks.conformance import BenchmarkConformance

# Of each family: plain, odd and wrapped tasks. Of a family that is not here: its first task.
CHOSEN = {
    "synthetic": (
        "synthetic/ackley-1d",
        "synthetic/branin-2d",
        "synthetic/hartmann6-6d",
        "synthetic/rotated/levy-5d/3",
        "synthetic/sphere-50d",
        "synthetic/ackley-2d+unused=2+monotone=log+noise=0.1",
    ),
    "hpobench": ("hpobench/nn/car", "hpobench/nn/vehicle+seeds=sampled"),
    "hpolib": ("hpolib/protein_structure",),
    "nasbench201": ("nasbench201/cifar10",),
    "hpob": ("hpob/5636/146064", "hpob/5891/3492", "hpob/5965/3903", "hpob/5971/43", "hpob/6766/3903+noise=0.1"),
    "bbob": ("bbob/f1-2d/i1", "bbob/f5-3d/i2", "bbob/f17-10d/i15+unused=2", "bbob/f24-40d/i1"),
    "yahpo": ("yahpo/lcbench/3945", "yahpo/rbv2_xgboost/12", "yahpo/rbv2_xgboost/1489/auc"),
}


def _is_quick(name: str) -> bool:
    """Whether a task trains nothing; `test_training*.py` run the suite on those that train."""
    return name.partition("/")[0] in CHOSEN and not name.startswith("hpobench/ml/")


def conformance(name: str, **attributes: Any) -> type[BenchmarkConformance]:
    """The test class of one task."""
    words = re.sub(r"\W+", "_", name)
    needed = "hpob" if name.startswith("hpob/") else "/".join(name.split("/")[:2]) if name.startswith("yahpo/") else ""
    marks = [pytest.mark.data(needed)] if needed else []
    attributes |= {"name": name, "pytestmark": marks, "__module__": __name__}
    return type(f"Test_{words}", (BenchmarkConformance,), attributes)


globals().update({cls.__name__: cls for names in CHOSEN.values() for cls in map(conformance, names)})


def passes(tests: BenchmarkConformance, task: Benchmark) -> None:
    """Run every test of the suite that applies."""
    for name in (name for name in dir(tests) if name.startswith("test_") and name not in tests.inapplicable(task)):
        getattr(tests, name)(task)


@pytest.mark.heavy
@pytest.mark.parametrize("name", [name for name in optibench_benchmarks.names() if _is_quick(name)])
def test_every_task_conforms(name: str) -> None:
    passes(conformance(name)(), optibench_benchmarks.create(name))


@pytest.mark.heavy
@pytest.mark.parametrize("family", [family for family in optibench_benchmarks.families() if family not in CHOSEN])
def test_the_first_task_of_every_other_family_conforms(family: str) -> None:
    """Tasks that train, and plug-ins that are installed here: few evaluations, and not in `make test`."""
    provider = optibench_benchmarks.families()[family].provider()
    first = next(iter(provider.names()), None)
    if first is None:
        pytest.skip(provider.missing() or f"{family} has no task")
    tests, task = conformance(first, n=1)(), optibench_benchmarks.create(first)
    tests.test_it_describes_itself(task)
    tests.test_its_space_can_be_written_down(task)
    tests.test_its_name_makes_it_again(task)
    tests.test_evaluations_are_plain_numbers(task)
    tests.test_the_same_seed_gives_the_same_value_also_to_a_task_built_anew(task)
    if task.fidelity_space is not None:
        tests.test_every_end_of_every_fidelity_can_be_evaluated(task)
        tests.test_an_unknown_fidelity_is_refused(task)


class Good(Benchmark):
    """Every broken task below changes one thing of this one."""

    sampling: Sampling = "deterministic"
    reference = Reference(f_best=0.0, f_ref=0.25, f_worst=1.0, source="analytic")

    def __init__(self) -> None:
        self.name, self.space = "good", ConfigurationSpace({"x": (-1.0, 1.0), "c": ["a", "b"]})
        self.fidelity_space = ConfigurationSpace({"epochs": Integer("epochs", (1, 10), default=10)})

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        if set(fidelity or {}) - {"epochs"}:
            raise BenchmarkError("no such fidelity")
        return Evaluation(config["x"] ** 2)


class WrongDirection(Good):
    direction: Direction = "maximize"


class BeatsItsBest(Good):
    reference = Reference(f_best=0.1, f_ref=0.25, f_worst=1.0, source="guess")


class NotTheMedian(Good):
    reference = Reference(f_best=0.0, f_ref=0.999, f_worst=1.0, source="guess")


class SaysNotThatItIsNoisy(Good):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return Evaluation(config["x"] ** 2 + seed)


class OfItsOwnClock(Good):
    count = 0

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        OfItsOwnClock.count += 1
        return Evaluation(config["x"] ** 2 + self.count)


class GlobalRandom(Good):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        random.seed(seed)
        return Evaluation(config["x"] ** 2)


class NotPlain(Good):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return Evaluation(np.float64(config["x"] ** 2))


class NaNAtTheEnd(Good):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return Evaluation(math.nan if config["x"] == 1.0 else config["x"] ** 2)


class OtherBatch(Good):
    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int, fidelity: Config | None = None
    ) -> list[Evaluation]:
        return [Evaluation(config["x"] ** 2 + 0.01) for config in configs]


class LowestFidelity(Good):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return Evaluation(config["x"] ** 2 + 1 / (fidelity or {}).get("epochs", 1))


class AnyFidelity(Good):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return Evaluation(config["x"] ** 2)


class NoMainFidelity(Good):
    def __init__(self) -> None:
        super().__init__()
        self.fidelity_space.add(Float("part", (0.1, 1.0), default=1.0))

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        known = {name: value for name, value in (fidelity or {}).items() if name != "part"}
        return super().evaluate(config, seed=seed, fidelity=known)


class CostsNothing(Good):
    has_cost = True


class MeasuresItsCost(Good):
    has_cost, clock = True, 0.0

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        MeasuresItsCost.clock += 1.0
        return Evaluation(super().evaluate(config, seed=seed, fidelity=fidelity).value, self.clock)


class FailsAsDeclared(Good):
    """As scikit-learn fails at times; an undeclared exception is a bug."""

    failures = (ArithmeticError,)

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        if self.fails(config):
            raise ZeroDivisionError("refused")
        return super().evaluate(config, seed=seed, fidelity=fidelity)

    def fails(self, config: Config) -> bool:
        return bool(config["x"] > 0.5)


class FailsMostly(FailsAsDeclared):
    def fails(self, config: Config) -> bool:
        return config["x"] not in (-1.0, 0.0, 1.0)


class FailsByDefault(FailsAsDeclared):
    def fails(self, config: Config) -> bool:
        return bool(config["x"] == 0.0)


class FailsUndeclared(FailsAsDeclared):
    failures = (LookupError,)  # type: ignore[assignment]


class FailsBySeed(FailsAsDeclared):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        if self.fails(config):
            raise ZeroDivisionError(f"refused by {seed}")
        return super().evaluate(config, seed=seed, fidelity=fidelity)


class ChangesTheConfig(Good):
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return Evaluation(config.pop("x") ** 2)  # type: ignore[attr-defined]


def check(cls: type[Benchmark]) -> None:
    suite = type("Suite", (BenchmarkConformance,), {"create": lambda self: cls()})
    passes(suite(), cls())


@pytest.mark.parametrize("good", [Good, FailsAsDeclared])
def test_a_good_task_passes(good: type[Benchmark]) -> None:
    check(good)


@pytest.mark.parametrize(
    "broken", [cls for cls in (*Good.__subclasses__(), *FailsAsDeclared.__subclasses__()) if cls is not FailsAsDeclared]
)
def test_a_broken_task_is_caught(broken: type[Benchmark]) -> None:
    with pytest.raises(BaseException) as caught:
        check(broken)
    expected = AssertionError | KeyError | ZeroDivisionError | pytest.fail.Exception
    assert isinstance(caught.value, expected), caught.value

"""What all tasks that train have in common: checked input, splits, progress and the plan of their reference search."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Direction, Evaluation, Reference, Sampling
from optibench_benchmarks.fidelities import complete

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

OnStep = Callable[[int, int, Mapping[str, float]], None]
"""Told of each step of a training: how many are done, of how many, and the metrics then."""


class DivergedError(BenchmarkError):
    """A training whose loss stopped being a number; the runner makes it a failed trial with this text."""


@dataclass(frozen=True)
class ReferencePlan:
    """How many evaluations the search for a task's reference takes (see
    :mod:`optibench_benchmarks.references.search_training`).

    Attributes:
        random: Random configurations, an odd number; their median is ``f_ref``.
        local: Configurations tried near the best ones.
        finalists: The best configurations, which are trained again.
        repeats: With how many other seeds each; the best mean is ``f_best``.
    """

    random: int = 41
    local: int = 40
    finalists: int = 3
    repeats: int = 5

    @property
    def evaluations(self) -> int:
        """All trainings that the search takes."""
        return self.random + self.local + self.finalists * self.repeats


@dataclass(frozen=True)
class Split:
    """Rows to train on, to optimize on and to report.

    Attributes:
        train, validation, test: ``(inputs, targets)`` each; arrays whose first axis is the rows.
    """

    train: tuple[NDArray[Any], NDArray[Any]]
    validation: tuple[NDArray[Any], NDArray[Any]]
    test: tuple[NDArray[Any], NDArray[Any]]

    def part(self, fraction: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """The first ``fraction`` of the training rows, at least one: smaller fractions are parts of larger ones."""
        rows = max(1, round(fraction * len(self.train[1])))
        return self.train[0][:rows], self.train[1][:rows]


@dataclass
class Curve:
    """Collects the metrics of a training step by step.

    Attributes:
        step: The name of what is counted.
        total: How many steps there will be.
        on_step: Told of each.
        columns: The values so far, by metric, ``step`` first.
    """

    step: str
    total: int
    on_step: OnStep | None = None
    columns: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one step's metrics."""
        for name, value in {self.step: step, **metrics}.items():
            self.columns.setdefault(name, []).append(value)
        if self.on_step is not None:
            self.on_step(step, self.total, metrics)

    def last(self, metric: str) -> float:
        """A metric's latest value."""
        return self.columns[metric][-1]


class TrainingBenchmark(Benchmark):
    """A task whose every evaluation trains a model.

    Subclasses set ``name``, ``space`` and, if there is one, ``fidelity_space``, and implement :meth:`train`. The split
    of the data is part of the task: it depends on no seed.

    Attributes:
        reference_plan: The size of the search for the frozen reference.
        on_step: Set it to watch trainings; not called in other processes.
    """

    direction: Direction = "maximize"
    sampling: Sampling = "noisy"
    failures: tuple[type[Exception], ...] = (DivergedError,)
    reference_plan = ReferencePlan()
    on_step: OnStep | None = None

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]  # read when first asked for
        from optibench_benchmarks.references.table import lookup

        return lookup(self.name, data_version=self.data_version)

    @abstractmethod
    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        """Train and score; ``config`` is legal and ``fidelity`` complete.

        Raises:
            DivergedError: The loss is no longer finite.
        """

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        """Train one configuration on one thread.

        Raises:
            DivergedError: The loss is no longer finite.
            BenchmarkError: The configuration or the fidelity is not legal.
            MissingDataError: The data has gone since the task was built.
        """
        from ConfigSpace import Configuration

        all_fidelities = self.fidelities(fidelity)
        try:
            Configuration(self.space, values=dict(config))
        except Exception as error:
            raise BenchmarkError(f"{self.name} cannot train {dict(config)}: {_one_line(error)}.") from None
        return self.train(config, seed, all_fidelities)

    def fidelities(self, given: Config | None) -> dict[str, Any]:
        """All fidelities: those given, the others at their highest.

        Raises:
            BenchmarkError: One is unknown or out of its range.
        """
        return complete(self.name, self.fidelity_space, given)


def fidelity_space(**ranges: tuple[float, float]) -> ConfigurationSpace:
    """A fidelity space of whole numbers or fractions, each with its highest value as the default."""
    from ConfigSpace import ConfigurationSpace, Float, Integer

    kinds: dict[type, Any] = {int: Integer, float: Float}
    return ConfigurationSpace(
        space=[kinds[type(low)](name, (low, high), default=high) for name, (low, high) in ranges.items()]
    )


def split_rows(rows: int, sizes: Sequence[int], seed: int) -> list[NDArray[np.int64]]:
    """Shuffle rows into parts of the given sizes.

    Args:
        rows: How many there are.
        sizes: How many each part gets; no more than ``rows`` together.
        seed: Of the shuffle: part of a task's definition, not of an evaluation.
    """
    ends = np.cumsum(sizes)
    if ends[-1] > rows:
        raise ValueError(f"{rows} rows cannot be split into {list(sizes)}")
    return np.split(np.random.default_rng(seed).permutation(rows)[: ends[-1]], ends[:-1])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__

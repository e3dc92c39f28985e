"""The benchmark contract.

A benchmark is a search space, an objective over it and the metadata that makes a result comparable: the direction,
whether the objective is noisy, an optional fidelity space and frozen reference values.

Configurations are plain mappings of *active* parameters to Python values (``int``, ``float``, ``str``, ``bool``), never
``ConfigSpace.Configuration``: evaluation stays cheap, and an objective can run in another process.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Config = Mapping[str, Any]
Direction = Literal["minimize", "maximize"]
Sampling = Literal["deterministic", "exact", "noisy"]


class BenchmarkError(Exception):
    """A mistake the user can fix; the message says in one sentence what is wrong, where, and how to fix it."""


class MissingDataError(BenchmarkError):
    """The data of a task is not on this machine; the message names the ``optibench data fetch`` command."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of evaluating a configuration.

    Attributes:
        value: The objective in the benchmark's own direction and unit. May be NaN or infinite: the runner turns that
            into a failed trial.
        cost_seconds: The cost of a real evaluation in seconds (the training time that a surrogate predicts or a table
            recorded); 0.0 if it is unknown or nothing.
        info: Further numbers or words worth keeping (other metrics, an epoch count); stored with the trial.
        curve: The learning curve of a training: by quantity, one number for each step, all of the same length. The
            first quantity is the step itself (``epoch``, ``n_estimators``). Empty where nothing was trained in steps.
    """

    value: float
    cost_seconds: float = 0.0
    info: Mapping[str, float | str] = field(default_factory=dict)
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """Frozen values that turn an objective value into a normalised regret.

    All three are in the benchmark's own direction, at full fidelity and without noise.

    Attributes:
        f_best: The best possible value where it is known exactly, otherwise the best value of a dedicated search.
        f_ref: The median over random configurations, so that a random configuration has a median regret of 1.
        f_worst: The worst value among those random configurations; a failed trial counts as this one.
        source: How the values were obtained, in a few words ("analytic", "complete table", "evolutionary search ...").
        version: Increases whenever a value changes; results of different versions are not comparable.
    """

    f_best: float
    f_ref: float
    f_worst: float
    source: str
    version: int = 1

    def __post_init__(self) -> None:
        values = (self.f_best, self.f_ref, self.f_worst)
        if not all(map(math.isfinite, values)) or self.f_best == self.f_ref:
            raise ValueError(f"f_best, f_ref and f_worst must be finite and f_best != f_ref, not {values}")
        if (self.f_ref - self.f_best) * (self.f_worst - self.f_ref) < 0:
            raise ValueError(f"f_worst must not be better than f_ref: {values}")

    def regret(self, value: float) -> float:
        """Normalised regret ``(value - f_best) / (f_ref - f_best)``: 0 at the best value, 1 at a median random one.

        Not clipped: a value better than ``f_best`` gives a negative number, which the report clips and counts.
        """
        return (value - self.f_best) / (self.f_ref - self.f_best)


class Benchmark(ABC):
    """One task: something to minimize or maximize over a ConfigSpace.

    Subclasses set the attributes below in ``__init__`` and implement :meth:`evaluate`.

    Attributes:
        name: The registered name, e.g. ``yahpo/lcbench/3945``.
        space: The search space, conditions and forbidden clauses included. Fidelities and the task's own identity
            (an instance, a data set) are not part of it.
        direction: Whether ``value`` is to be minimized or maximized.
        sampling: ``deterministic`` (or ``exact``) if the value does not depend on ``seed``, ``noisy`` otherwise.
        fidelity_space: The parameters that make an evaluation cheaper (epochs, a data fraction); ``None`` if there
            are none.
        main_fidelity: The one that a multi-fidelity optimizer varies while the others stay at their highest; ``None``
            if :attr:`fidelity_space` has only one.
        has_cost: Whether ``cost_seconds`` is the reproducible cost of a real evaluation. Budgets can then be in
            seconds, and parallel evaluation can be simulated.
        reference: Frozen reference values; ``None`` if there are none (such a task has no regret).
        data_version: Identifies the data behind the task (a checksum or a package version): part of a cell's key.
        metrics: The numbers in ``info`` that can be reported, with the direction of each.
        left_out: Why headline tables leave the task out, in a few words (random configurations reach its best value);
            empty if they do not. A rule says so that looks at no optimizer.
        failures: Exceptions of :meth:`evaluate` for valid configurations that cannot be evaluated (a library rejects
            the combination, a training diverges); any other exception is a bug.
    """

    name: str
    space: ConfigurationSpace
    direction: Direction = "minimize"
    sampling: Sampling = "deterministic"
    fidelity_space: ConfigurationSpace | None = None
    main_fidelity: str | None = None
    has_cost: bool = False
    reference: Reference | None = None
    data_version: str = "1"
    metrics: Mapping[str, Direction] = MappingProxyType({})
    left_out: str = ""
    failures: tuple[type[Exception], ...] = ()

    @abstractmethod
    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        """Evaluate one configuration.

        Args:
            config: The active parameters and their values; valid in :attr:`space`.
            seed: Seeds every random generator of the evaluation. No effect if ``sampling`` is ``deterministic``.
            fidelity: Values for the parameters of :attr:`fidelity_space`; the ones left out (all, if ``None``) are at
                their highest fidelity.

        Raises:
            Exception: Anything; the runner records the trial as failed with the exception's text.
        """

    def measure_reference(self) -> Reference:
        """Measure the reference values, for `optibench references`; override if the benchmark can.

        Raises:
            BenchmarkError: It cannot.
        """
        raise BenchmarkError(
            f"No reference can be made for {self.name}: its benchmark does not implement `measure_reference`."
        )

    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int, fidelity: Config | None = None
    ) -> list[Evaluation]:
        """Evaluate several configurations; override if that is cheaper than one at a time."""
        return [self.evaluate(config, seed=seed, fidelity=fidelity) for config in configs]

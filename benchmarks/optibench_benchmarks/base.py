"""The benchmark contract.

A benchmark is a search space, one or more objectives over it, any number of constraints, and the metadata that makes a
result comparable: the directions, whether the objectives are noisy, an optional fidelity space and frozen reference
values.

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
MAX_NUMBER = 1e300
"""Bound of the numbers of a front, whose differences must be finite."""


class BenchmarkError(Exception):
    """A mistake the user can fix; the message says in one sentence what is wrong, where, and how to fix it."""


class MissingDataError(BenchmarkError):
    """The data of a task is not on this machine; the message names the ``optibench data fetch`` command."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of evaluating a configuration.

    Attributes:
        value: The objective in the benchmark's own direction and unit. May be NaN or infinite: the runner turns that
            into a failed trial. Left out where the benchmark has several objectives.
        cost_seconds: The cost of a real evaluation in seconds (the training time that a surrogate predicts or a table
            recorded); 0.0 if it is unknown or nothing.
        info: Further numbers or words worth keeping (other metrics, an epoch count); stored with the trial.
        curve: The learning curve of a training: by quantity, one number for each step, all of the same length. The
            first quantity is the step itself (``epoch``, ``n_estimators``). Empty where nothing was trained in steps.
        values: Where the benchmark has several objectives, all of them, in the order of :attr:`Benchmark.objectives`.
        constraints: The constraints, in the order of :attr:`Benchmark.constraints`; fulfilled where they are <= 0.
    """

    value: float = math.nan
    cost_seconds: float = 0.0
    info: Mapping[str, float | str] = field(default_factory=dict)
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    values: Sequence[float] = ()
    constraints: Sequence[float] = ()


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


@dataclass(frozen=True, slots=True)
class Front:
    """Frozen values that turn several objectives into a normalised hypervolume regret.

    Each point has one number for each objective, in its own direction, at full fidelity and without noise.

    Attributes:
        ideal: The best value of each objective on the front.
        reference_point: What a configuration must beat in every objective to count. A rule chooses it that looks at no
            optimizer.
        hypervolume: The volume that the whole front dominates, as a share of the box between ``ideal`` and
            ``reference_point``.
        points: The front: all of it where it is finite, a sample where it is not.
        source: How the values were obtained, in a few words ("complete table", "analytic").
        version: Increases whenever a value changes; results of different versions are not comparable.
    """

    ideal: tuple[float, ...]
    reference_point: tuple[float, ...]
    hypervolume: float
    points: tuple[tuple[float, ...], ...]
    source: str
    version: int = 1

    def __post_init__(self) -> None:
        numbers = (*self.ideal, *self.reference_point, *(number for point in self.points for number in point))
        sizes = {len(self.ideal), len(self.reference_point), *map(len, self.points)}
        if len(sizes) != 1 or not all(abs(number) <= MAX_NUMBER for number in numbers):
            raise ValueError(
                "ideal, reference_point and points must have one finite number for each objective, of at most "
                f"{MAX_NUMBER:g}"
            )
        if any(best == last for best, last in zip(self.ideal, self.reference_point, strict=True)):
            raise ValueError(f"the reference point {self.reference_point} must be worse than the ideal {self.ideal}")
        if not 0.0 < self.hypervolume <= 1.0:
            raise ValueError(f"the hypervolume must be above 0 and at most 1, not {self.hypervolume}")

    @property
    def reference(self) -> Reference:
        """The reference of the hypervolume: a regret of 0 for the front, 1 for nothing, a share of it in between."""
        return Reference(self.hypervolume, 0.0, 0.0, self.source, self.version)


class Benchmark(ABC):
    """One task: something to minimize or maximize over a ConfigSpace.

    Subclasses set the attributes below in ``__init__`` and implement :meth:`evaluate`.

    Attributes:
        name: The registered name, e.g. ``yahpo/lcbench/3945``.
        space: The search space, conditions and forbidden clauses included. Fidelities and the task's own identity
            (an instance, a data set) are not part of it.
        direction: Whether ``value`` is to be minimized or maximized.
        objectives: The objectives of a task that has several, with the direction of each; empty if ``value`` is the
            only one.
        constraints: The names of the constraints; a configuration is feasible if all of them are <= 0.
        sampling: ``deterministic`` (or ``exact``) if the value does not depend on ``seed``, ``noisy`` otherwise.
        fidelity_space: The parameters that make an evaluation cheaper (epochs, a data fraction); ``None`` if there
            are none.
        main_fidelity: The one that a multi-fidelity optimizer varies while the others stay at their highest; ``None``
            if :attr:`fidelity_space` has only one.
        has_cost: Whether ``cost_seconds`` is the reproducible cost of a real evaluation. Budgets can then be in
            seconds, and parallel evaluation can be simulated.
        reference: Frozen reference values; ``None`` if there are none (such a task has no regret). With constraints,
            they are those of feasible configurations.
        front: The same for several objectives; a grid needs it.
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
    objectives: Mapping[str, Direction] = MappingProxyType({})
    constraints: tuple[str, ...] = ()
    sampling: Sampling = "deterministic"
    fidelity_space: ConfigurationSpace | None = None
    main_fidelity: str | None = None
    has_cost: bool = False
    reference: Reference | None = None
    front: Front | None = None
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

    def numbers(self, evaluation: Evaluation) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The objectives and the constraints of an evaluation, one number for each that is declared.

        Raises:
            ValueError: There are more or fewer than declared, or something else than numbers.
        """
        parts: list[tuple[float, ...]] = []
        for what, found, names in (
            (
                "objectives",
                evaluation.values if self.objectives else (evaluation.value,),
                tuple(self.objectives) or ("value",),
            ),
            ("constraints", evaluation.constraints, self.constraints),
        ):
            try:
                parts.append(tuple(map(float, found)))
            except (TypeError, ValueError):
                raise ValueError(
                    f"it returned {found!r:.200} for the {what} {', '.join(names)}, not a number for each"
                ) from None
            if len(parts[-1]) != len(names):
                raise ValueError(f"it returned {len(parts[-1])} {what}, and declares {len(names)}: {', '.join(names)}")
        return parts[0], parts[1]

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

"""A task in a plan, as it is stored in ``tasks.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from optibench.own import is_own

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark

Number = int | float
"""A number that keeps its type: it is part of a hash, in which ``1`` and ``1.0`` differ."""


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task's frozen values; see :class:`optibench_benchmarks.Reference`."""

    f_best: Number
    f_ref: Number
    f_worst: Number
    source: str
    version: int = 1

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.f_best, self.f_ref, self.f_worst))) or self.f_best == self.f_ref:
            raise ValueError("f_best, f_ref and f_worst are finite, and f_best is not f_ref")


class Fidelity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fidelity that multi-fidelity optimizers vary; see :class:`optibench_optimizers.Fidelity`."""

    name: str
    low: Number
    high: Number
    whole: bool


class RandomValues(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The median and the worst value of ``n`` random configurations, and how many of them failed."""

    f_ref: Number
    f_worst: Number
    n: int
    failed: int


NOT_IN_KEY = ("metrics", "own", "random", "left_out", "front", "constants")
"""Fields of a task that are not part of a cell's key."""


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What determines the results on a task; ``metrics`` may be shown in reports, ``fidelity`` may be varied.

    ``own`` means that it is an object passed to a Python call; ``random`` is the median and the worst value of random
    configurations, if they were measured for this run folder. Without a reference a task has no regret. ``constants``
    is the number of parameters with one possible value, in grids whose ``trials`` are a multiple of the others'. For
    the other fields see :class:`optibench_benchmarks.Benchmark`.

    If it has several objectives, ``direction`` and ``reference`` are those of the hypervolume that trials dominate, and
    ``ideal``, ``reference_point`` and ``front`` come from its :class:`optibench_benchmarks.Front`.
    """

    direction: Literal["minimize", "maximize"]
    sampling: str
    dimensions: int
    data_version: str
    reference: Reference | None
    metrics: Mapping[str, str] = {}  # msgspec copies it
    fidelity: Fidelity | None = None
    own: bool = False
    random: RandomValues | None = None
    left_out: str = ""
    objectives: Mapping[str, Literal["minimize", "maximize"]] = {}
    constraints: tuple[str, ...] = ()
    ideal: tuple[Number, ...] = ()
    reference_point: tuple[Number, ...] = ()
    front: tuple[tuple[Number, ...], ...] = ()
    constants: int = 0

    @classmethod
    def of(cls, benchmark: Benchmark, fidelity: Fidelity | None = None, *, constants: int = 0) -> Task:
        """Describe a benchmark."""
        import optibench_benchmarks

        front = benchmark.front
        found = benchmark.reference if front is None else front.reference
        return cls(
            direction="maximize" if benchmark.objectives else benchmark.direction,
            sampling=benchmark.sampling,
            dimensions=len(benchmark.space),
            data_version=benchmark.data_version,
            reference=None
            if found is None
            else Reference(found.f_best, found.f_ref, found.f_worst, found.source, found.version),
            metrics=dict(benchmark.metrics),
            fidelity=fidelity,
            own=is_own(optibench_benchmarks.families().get(benchmark.name.partition("/")[0])),
            random=getattr(benchmark, "random_values", None),
            left_out=benchmark.left_out,
            objectives=dict(benchmark.objectives),
            constraints=tuple(benchmark.constraints),
            ideal=() if front is None else front.ideal,
            reference_point=() if front is None else front.reference_point,
            front=() if front is None else front.points,
            constants=constants,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """The part that a cell's key covers, as JSON."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name not in NOT_IN_KEY}

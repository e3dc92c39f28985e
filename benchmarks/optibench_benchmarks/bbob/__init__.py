"""BBOB's functions: ``bbob/f<1-24>-<D>d/i<k>`` with D in 2, 3, 5, 10, 20, 40 and instances from 1.

Two further families have constraints or two objectives: ``bbob-constrained/f<1-54>-<D>d/i<k>`` and
``bbob-biobj/f<1-55>-<D>d/i<k>``, with D in 2, 5, 10 and instances 1 to 15.

The functions are those of the package ``coco-experiment``; ``docs/reference/tasks.md`` lists their groups. Listed are
instance 1 of each function in each dimension, and the kept tasks; of ``bbob-constrained`` the functions with 1 or 3
constraints and, in 2 dimensions, those with 9; of ``bbob-biobj`` those of which a front is frozen.

Source: N. Hansen et al., "Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless Functions Definitions",
INRIA RR-6829; "COCO: A Platform for Comparing Continuous Optimizers in a Black-Box Setting", 2021; P. Dufossé et al.,
"Building scalable test problems for benchmarking constrained optimizers", 2022; T. Tušar et al., "COCO: The
Bi-objective Black Box Optimization Benchmarking (bbob-biobj) Test Suite", arXiv:1604.00359.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Sequence

from optibench_benchmarks import kept
from optibench_benchmarks.base import Benchmark, BenchmarkError, MissingDataError
from optibench_benchmarks.family import UnknownBenchmarkError, unknown
from optibench_benchmarks.references import fronts
from optibench_benchmarks.wrappers import apply, parse, split

__all__ = ["DIMENSIONS", "biobjective", "constrained", "provider"]

DIMENSIONS = (2, 3, 5, 10, 20, 40)
FEW_DIMENSIONS = (2, 5, 10)
MAX_INSTANCE, FEW_INSTANCES = 10_000, 15
_SIZES = re.compile(r"f(?P<function>[1-9][0-9]*)-(?P<dimension>[1-9][0-9]*)d/i(?P<instance>[1-9][0-9]*)")


class _Provider:
    """One of the package's suites.

    Args:
        family: The first part of the tasks' names.
        functions: How many functions there are.
        dimensions: Their numbers of parameters.
        instances: How many instances there are.
        listed: The listed tasks; ``create`` builds any other one too.
    """

    def __init__(
        self,
        family: str,
        functions: int,
        dimensions: Sequence[int],
        instances: int,
        listed: Sequence[str],
    ) -> None:
        self.family, self.listed = family, list(listed)
        self._known = (
            (range(1, functions + 1), f"functions 1 to {functions}"),
            (dimensions, f"dimensions {', '.join(map(str, dimensions))}"),
            (range(1, instances + 1), f"instances 1 to {instances:,}"),
        )

    def names(self) -> list[str]:
        """The listed tasks; ``create`` builds any instance."""
        return [] if self.missing() else self.listed

    def create(self, name: str) -> Benchmark:
        """Build one task.

        Raises:
            UnknownBenchmarkError: The name has another form.
            MissingDataError: The package ``coco-experiment`` is not installed.
            BenchmarkError: There is no such function, dimension or instance, or an unknown suffix.
        """
        arguments, suffixes = self._parse(name)
        if reason := self.missing():
            raise MissingDataError(reason)
        return apply(self._class()(*arguments), suffixes, name)

    def _class(self) -> Callable[[int, int, int], Benchmark]:
        from optibench_benchmarks.bbob import functions, further

        classes: dict[str, Callable[[int, int, int], Benchmark]] = {
            "bbob": functions.BbobBenchmark,
            "bbob-constrained": further.ConstrainedBbob,
            "bbob-biobj": further.BiobjectiveBbob,
        }
        return classes[self.family]

    def check(self, name: str) -> None:
        """Raises as :meth:`create`, but does not need the package."""
        _, suffixes = self._parse(name)
        parse(suffixes, name)

    def absent(self) -> dict[str, str]:
        """All listed tasks, if the package is missing."""
        reason = self.missing()
        return dict.fromkeys(self.listed, reason) if reason else {}

    def missing(self) -> str | None:
        """How to install the package, if it is missing."""
        if importlib.util.find_spec("cocoex"):
            return None
        return "BBOB needs the package coco-experiment; `pip install 'optiformer-bench[bbob]'` brings it."

    def _parse(self, name: str) -> tuple[tuple[int, int, int], list[str]]:
        """Function, dimension and instance, and the suffixes."""
        plain, suffixes = split(name)
        family, _, sizes = plain.partition("/")
        match = _SIZES.fullmatch(sizes)
        if match is None or family != self.family:
            raise UnknownBenchmarkError(unknown("benchmark", plain, self.listed, "optibench list benchmarks"))
        function, dimension, instance = (int(number) for number in match.groups())
        for number, (known, what) in zip((function, dimension, instance), self._known, strict=True):
            if number not in known:
                of = self.family.replace("bbob", "BBOB")
                raise BenchmarkError(f"There is no {plain!r}: {of} has the {what}, not {number}.")
        return (function, dimension, instance), suffixes


def _first_instances(family: str, functions: Iterable[int], dimensions: Iterable[int]) -> list[str]:
    dimensions = list(dimensions)
    return [f"{family}/f{function}-{dimension}d/i1" for function in functions for dimension in dimensions]


provider = _Provider(
    *("bbob", 24, DIMENSIONS, MAX_INSTANCE),
    list(
        dict.fromkeys(
            [
                *_first_instances("bbob", range(1, 25), DIMENSIONS),
                *(name for name in kept.names() if name.startswith("bbob/")),
            ]
        )
    ),
)
constrained = _Provider(
    *("bbob-constrained", 54, FEW_DIMENSIONS, FEW_INSTANCES),
    # Six functions in a row differ in the number of constraints; with 9, few points are feasible in many dimensions.
    [
        *_first_instances("bbob-constrained", (f for f in range(1, 55) if f % 6 in (1, 2)), FEW_DIMENSIONS),
        *_first_instances("bbob-constrained", range(3, 55, 6), FEW_DIMENSIONS[:1]),
    ],
)
biobjective = _Provider(
    *("bbob-biobj", 55, FEW_DIMENSIONS, FEW_INSTANCES),
    [name for name in fronts.names() if name.startswith("bbob-biobj/")],
)

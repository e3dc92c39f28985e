"""BBOB's functions: ``bbob/f<1-24>-<D>d/i<k>`` with D in 2, 3, 5, 10, 20, 40 and instances from 1.

The functions are those of the package ``coco-experiment``; ``docs/reference/tasks.md`` lists their groups. Listed are
instance 1 of each function in each dimension, and the kept tasks.

Source: N. Hansen et al., "Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless Functions Definitions",
INRIA RR-6829; "COCO: A Platform for Comparing Continuous Optimizers in a Black-Box Setting", 2021.
"""

from __future__ import annotations

import importlib.util
import re

from optibench_benchmarks import kept
from optibench_benchmarks.base import Benchmark, BenchmarkError, MissingDataError
from optibench_benchmarks.registry import UnknownBenchmarkError, unknown
from optibench_benchmarks.wrappers import apply, parse, split

__all__ = ["DIMENSIONS", "provider"]

DIMENSIONS = (2, 3, 5, 10, 20, 40)
MAX_INSTANCE = 10_000
_NAME = re.compile(r"bbob/f(?P<function>[1-9][0-9]*)-(?P<dimension>[1-9][0-9]*)d/i(?P<instance>[1-9][0-9]*)")
_LISTED = [f"bbob/f{function}-{dimension}d/i1" for function in range(1, 25) for dimension in DIMENSIONS]


class _Provider:
    def names(self) -> list[str]:
        """Instance 1 of each function in each dimension, and the kept tasks; ``create`` builds any instance."""
        return [] if self.missing() else self._listed()

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
        from optibench_benchmarks.bbob.functions import BbobBenchmark

        return apply(BbobBenchmark(*arguments), suffixes, name)

    def check(self, name: str) -> None:
        """Raises as :meth:`create`, but does not need the package."""
        _, suffixes = self._parse(name)
        parse(suffixes, name)

    def absent(self) -> dict[str, str]:
        """All listed tasks, if the package is missing."""
        reason = self.missing()
        return dict.fromkeys(self._listed(), reason) if reason else {}

    def missing(self) -> str | None:
        """How to install the package, if it is missing."""
        if importlib.util.find_spec("cocoex"):
            return None
        return "BBOB needs the package coco-experiment; `pip install 'optiformer-bench[bbob]'` brings it."

    def _listed(self) -> list[str]:
        return list(dict.fromkeys([*_LISTED, *(name for name in kept.names() if name.startswith("bbob/"))]))

    def _parse(self, name: str) -> tuple[tuple[int, int, int], list[str]]:
        """Function, dimension and instance, and the suffixes."""
        plain, suffixes = split(name)
        match = _NAME.fullmatch(plain)
        if match is None:
            raise UnknownBenchmarkError(unknown("benchmark", plain, _LISTED, "optibench list benchmarks"))
        function, dimension, instance = (int(number) for number in match.groups())
        for number, known, what in (
            (function, range(1, 25), "functions 1 to 24"),
            (dimension, DIMENSIONS, f"dimensions {', '.join(map(str, DIMENSIONS))}"),
            (instance, range(1, MAX_INSTANCE + 1), f"instances 1 to {MAX_INSTANCE:,}"),
        ):
            if number not in known:
                raise BenchmarkError(f"There is no {plain!r}: BBOB has the {what}, not {number}.")
        return (function, dimension, instance), suffixes


provider = _Provider()

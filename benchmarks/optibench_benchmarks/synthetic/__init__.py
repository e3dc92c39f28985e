"""Analytic test functions by name.

``synthetic/<function>-<D>d[/<instance>]`` and ``synthetic/rotated/<function>-<D>d[/<instance>]``, in any dimension from
1 to 1000 in which the function exists (rotated: from 2). The instance number, from 1, moves the optimum; a name without
one *is* instance 1, and ``synthetic/branin`` is ``synthetic/branin-2d`` (likewise ``hartmann3`` and ``hartmann6``).
Suffixes such as ``+noise=0.1`` wrap the task: see :mod:`optibench_benchmarks.wrappers`.
"""

from __future__ import annotations

import re

from optibench_benchmarks.base import Benchmark
from optibench_benchmarks.family import UnknownBenchmarkError, unknown
from optibench_benchmarks.synthetic.functions import FUNCTIONS, refuse
from optibench_benchmarks.wrappers import apply, parse, split

__all__ = ["FUNCTIONS", "provider"]

_NAME = re.compile(
    r"synthetic/(?P<rotated>rotated/)?(?P<function>.+?)(?:-(?P<dimension>[1-9][0-9]*)d)?(?:/(?P<instance>[0-9]+))?"
)
_LISTED_DIMENSIONS = (2, 5, 10)
_LARGE = ("sphere", "rastrigin", "rosenbrock", "ackley", "levy")  # listed in 20 dimensions too


class _Provider:
    def names(self) -> list[str]:
        """The listed tasks: each function at 2, 5 and 10 dimensions (some at 20), and rotated at 5.

        ``create`` builds many more: any dimension, any instance. A rotated sphere is only another shifted one, so it is
        not listed.
        """
        shifted, rotated = [], []
        for name, function in FUNCTIONS.items():
            least, most = function.dimensions
            dimensions = (least,) if least == most else _LISTED_DIMENSIONS + (20,) * (name in _LARGE)
            shifted += [f"synthetic/{name}-{dimension}d" for dimension in dimensions]
            if least != most and name != "sphere":
                rotated.append(f"synthetic/rotated/{name}-5d")
        return shifted + rotated

    def create(self, name: str) -> Benchmark:
        """Build one task; see the module for the names.

        Raises:
            UnknownBenchmarkError: The name has another form, or names no function.
            BenchmarkError: A dimension in which the function does not exist, or an unknown suffix.
        """
        from optibench_benchmarks.synthetic.instances import Synthetic

        arguments, suffixes = self._parse(name)
        return apply(Synthetic(*arguments), suffixes, name)

    def check(self, name: str) -> None:
        """Raises as :meth:`create`, without the import of ConfigSpace."""
        arguments, suffixes = self._parse(name)
        refuse(*arguments)
        parse(suffixes, name)

    def _parse(self, name: str) -> tuple[tuple[str, int, int, bool], list[str]]:
        """The arguments of :class:`~optibench_benchmarks.synthetic.instances.Synthetic`, and the suffixes."""
        plain, suffixes = split(name)
        match = _NAME.fullmatch(plain)
        function = FUNCTIONS.get(match["function"]) if match else None
        if match is None or function is None:
            raise UnknownBenchmarkError(unknown("benchmark", plain, self.names(), "optibench list benchmarks"))
        least, most = function.dimensions
        if match["dimension"] is None and least != most:
            example = f"synthetic/{match['rotated'] or ''}{match['function']}-5d"
            raise UnknownBenchmarkError(f"Benchmark {plain!r} lacks its dimension: write, for example, {example!r}.")
        dimension = int(match["dimension"] or least)
        return (match["function"], dimension, int(match["instance"] or 1), bool(match["rotated"])), suffixes

    def missing(self) -> None:
        """Nothing: the functions need no data."""


provider = _Provider()

"""One BBOB function as a benchmark, evaluated by ``cocoex``."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from cocoex import BareProblem
from ConfigSpace import ConfigurationSpace, Float

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Evaluation, Reference
from optibench_benchmarks.synthetic.instances import frozen_random

LOW, HIGH = -5.0, 5.0
REFERENCE_SAMPLES = 2001
"""Random configurations behind ``f_ref`` and ``f_worst``; odd, so that the median is one of the values."""
_KEY = int.from_bytes(b"bbob", "big")  # of the generator, together with function, dimension and instance


class BbobBenchmark(Benchmark):
    """An instance of a function, to be minimized over [-5, 5]^D.

    The optimum is known. The other references are the median and the worst of 2,001 random configurations from a fixed
    seed, evaluated when the task is built, in 1 to 50 ms.

    Regret is normalised as everywhere, ``(value - f_best) / (f_ref - f_best)``. Many of these functions span orders of
    magnitude, so a regret of 1e-3 may be far from the optimum or close to it; it compares optimizers on one task and
    is no measure of difficulty. BBOB's own reports count evaluations until fixed differences from the optimum
    instead.

    Args:
        function: 1 to 24.
        dimension: 2, 3, 5, 10, 20 or 40, the number of parameters ``x0``, ``x1``, ...
        instance: From 1; another shift and rotation, and another best value.
    """

    def __init__(self, function: int, dimension: int, instance: int) -> None:
        self.name = f"bbob/f{function}-{dimension}d/i{instance}"
        self.direction, self.sampling = "minimize", "deterministic"
        self.data_version = f"coco-experiment {version('coco-experiment')}"
        self._arguments = (function, dimension, instance)
        self._problem = BareProblem("bbob", function, dimension, instance)
        self._parameters = [f"x{place}" for place in range(dimension)]
        self._values: Callable[[Config], Any] = operator.itemgetter(*self._parameters)
        self.reference = _reference(function, dimension, instance)

    def __reduce__(self) -> tuple[Callable[[int, int, int], Benchmark], tuple[int, int, int]]:
        """The function itself lies in memory that does not pickle."""
        return BbobBenchmark, self._arguments

    @functools.cached_property
    def space(self) -> ConfigurationSpace:  # type: ignore[override]  # built on first use
        """One uniform float for each coordinate."""
        space = ConfigurationSpace(name=self.name)
        space.add([Float(parameter, (LOW, HIGH)) for parameter in self._parameters])
        return space

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        if fidelity:
            raise BenchmarkError(f"{self.name} has no fidelity, so {', '.join(fidelity)} cannot be set.")
        return Evaluation(self._problem(np.array(self._values(config), dtype=float)))

    def measure_reference(self) -> Reference:
        """The values of :attr:`reference`, computed again."""
        return _reference.__wrapped__(*self._arguments)


@functools.lru_cache(maxsize=256)
def _reference(function: int, dimension: int, instance: int) -> Reference:
    problem = BareProblem("bbob", function, dimension, instance)
    share = frozen_random(_KEY, function, dimension, instance).random_sample((REFERENCE_SAMPLES, dimension))
    values = problem(LOW + share * (HIGH - LOW))
    source = f"f_best analytic; f_ref and f_worst over {REFERENCE_SAMPLES} random configurations"
    return Reference(float(problem.best_value()), float(np.median(values)), float(values.max()), source)

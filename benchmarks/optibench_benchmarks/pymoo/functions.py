"""One test function of pymoo as a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Evaluation, Front
from optibench_benchmarks.hypervolume import Floats
from optibench_benchmarks.pymoo.fronts import front_points, rest
from optibench_benchmarks.references.fronts import lookup, measured

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

SAMPLES = 2001
"""Random configurations behind a reference point; odd, so that the median is one of the values."""


class PymooBenchmark(Benchmark):
    """A function of pymoo; its parameters ``x0``, ``x1``, ... are floats in the usual box.

    Args:
        name: The task's name.
        function: pymoo's name of the function.
        objectives, dimension: Their numbers.
    """

    data_version = "1"

    def __init__(self, name: str, function: str, objectives: int, dimension: int) -> None:
        from pymoo.problems import get_problem

        self.name, self.function = name, function
        sizes: dict[str, int] = {"n_var": dimension, "n_obj": objectives}
        if function.startswith("zdt"):
            del sizes["n_obj"]
        elif function.startswith("wfg"):
            sizes["k"] = 4
        self._problem: Any = get_problem(function, **({} if function in ("bnh", "srn", "tnk") else sizes))
        self.objectives = {f"f{i + 1}": "minimize" for i in range(objectives)}
        self.constraints = tuple(f"g{i + 1}" for i in range(self._problem.n_ieq_constr))
        self.parameters = [f"x{i}" for i in range(dimension)]
        if (self._problem.n_var, self._problem.n_obj) != (dimension, objectives):
            raise BenchmarkError(f"{name} has {self._problem.n_var} parameters in this version of pymoo.")
        self.front = lookup(name, self.data_version) or self.measure_front()

    def __reduce__(self) -> tuple[type[PymooBenchmark], tuple[str, str, int, int]]:
        """Pickled as its arguments: pymoo's objects do not all pickle."""
        return PymooBenchmark, (self.name, self.function, len(self.objectives), len(self.parameters))

    @property
    def space(self) -> ConfigurationSpace:  # type: ignore[override]
        """One uniform float for each parameter."""
        if not hasattr(self, "_space"):
            from ConfigSpace import ConfigurationSpace, Float

            self._space = ConfigurationSpace(name=self.name)
            bounds = zip(self.parameters, self._problem.xl.tolist(), self._problem.xu.tolist(), strict=True)
            self._space.add([Float(name, (low, high)) for name, low, high in bounds])
        return self._space

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return self.evaluate_batch([config], seed=seed, fidelity=fidelity)[0]

    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int, fidelity: Config | None = None
    ) -> list[Evaluation]:
        if fidelity:
            raise BenchmarkError(f"{self.name} has no fidelity, so {', '.join(fidelity)} cannot be set.")
        points = np.array([[config[name] for name in self.parameters] for config in configs], dtype=float)
        values, constraints = self.outcomes(points.reshape(-1, len(self.parameters)))
        return [
            Evaluation(values=tuple(one), constraints=tuple(other))
            for one, other in zip(values.tolist(), constraints.tolist(), strict=True)
        ]

    def outcomes(self, points: Floats) -> tuple[Floats, Floats]:
        """The objectives and constraints of points (n, D): (n, M) and (n, number of constraints)."""
        if not len(points):
            return np.empty((0, len(self.objectives))), np.empty((0, len(self.constraints)))
        values, constraints = self._problem.evaluate(points, return_values_of=["F", "G"])
        return np.asarray(values, dtype=float), np.asarray(constraints, dtype=float).reshape(len(points), -1)

    def measure_front(self) -> Front:
        """The front by its formula, and the medians of random configurations for the reference point."""
        random = np.random.RandomState(SAMPLES).random_sample((SAMPLES, len(self.parameters)))
        values, _ = self.outcomes(self._problem.xl + random * (self._problem.xu - self._problem.xl))
        found = front_points(self.function, len(self.objectives))
        return measured(found, np.median(values, axis=0), rest(self.function, len(self.objectives)), "analytic front")

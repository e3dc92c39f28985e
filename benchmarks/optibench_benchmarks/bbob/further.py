"""BBOB's functions with constraints and its pairs of functions, evaluated by ``cocoex``.

Both are tasks over [-5, 5]^D, as the functions of ``bbob`` are.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from cocoex import Suite
from ConfigSpace import ConfigurationSpace, Float

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Evaluation, Front, Reference
from optibench_benchmarks.bbob.functions import HIGH, LOW
from optibench_benchmarks.hypervolume import Bools, Floats
from optibench_benchmarks.references import fronts
from optibench_benchmarks.references.table import MAX_NEAR_BEST, NEAR_BEST, Entry, find
from optibench_benchmarks.synthetic.instances import frozen_random

SAMPLES = 20_001
"""Random configurations behind the references of constrained functions."""
MIN_FEASIBLE = 11
"""Fewer feasible ones among them have no median worth the name."""
_BEST_FILE = "._bbob_problem_best_parameter.txt"
_PRINT_BEST = """
import sys
from cocoex import Suite
suite = Suite(sys.argv[1], "", f"dimensions: {sys.argv[3]} instance_indices: {sys.argv[4]}")
suite.get_problem_by_function_dimension_instance(*map(int, sys.argv[2:]))._best_parameter("print")
"""


@functools.lru_cache(maxsize=64)
def _suite(family: str, dimension: int, instance: int) -> Any:
    """A suite must outlive its problems."""
    return Suite(family, "", f"dimensions: {dimension} instance_indices: {instance}")


class _Further(Benchmark):
    """A problem of one of these suites.

    Args:
        function, dimension, instance: As in the name.
    """

    family: str

    def __init__(self, function: int, dimension: int, instance: int) -> None:
        self.name = f"{self.family}/f{function}-{dimension}d/i{instance}"
        self.data_version = f"coco-experiment {version('coco-experiment')}"
        self.arguments = (function, dimension, instance)
        suite = _suite(self.family, dimension, instance)
        self._problem = suite.get_problem_by_function_dimension_instance(*self.arguments)
        self.parameters = [f"x{place}" for place in range(dimension)]

    def __reduce__(self) -> tuple[Callable[..., Benchmark], tuple[int, int, int]]:
        """The function itself lies in memory that does not pickle."""
        return type(self), self.arguments

    @functools.cached_property
    def space(self) -> ConfigurationSpace:  # type: ignore[override]  # built on first use
        """One uniform float for each coordinate."""
        space = ConfigurationSpace(name=self.name)
        space.add([Float(parameter, (LOW, HIGH)) for parameter in self.parameters])
        return space

    def point(self, config: Config, fidelity: Config | None) -> Floats:
        """A configuration as a vector, (D,)."""
        if fidelity:
            raise BenchmarkError(f"{self.name} has no fidelity, so {', '.join(fidelity)} cannot be set.")
        return np.array([config[name] for name in self.parameters], dtype=float)

    def random_points(self, n: int) -> Floats:
        """Random points, (n, D), always the same."""
        key = int.from_bytes(self.family.encode()[-4:], "big")
        share = frozen_random(key, *self.arguments).random_sample((n, len(self.parameters)))
        return np.asarray(LOW + share * (HIGH - LOW))


class _FewFeasibleError(BenchmarkError):
    """Random configurations are hardly ever feasible."""


class ConstrainedBbob(_Further):
    """A function with 1 to 54 linear or transformed constraints, to be minimized; the optimum is the package's.

    The other references are the median and the worst of the feasible ones among 20,001 random configurations. Where
    fewer than 11 are feasible, there is no reference.
    """

    family = "bbob-constrained"

    def __init__(self, function: int, dimension: int, instance: int) -> None:
        super().__init__(function, dimension, instance)
        self.constraints = tuple(f"g{i + 1}" for i in range(self._problem.number_of_constraints))

    @functools.cached_property
    def _entry(self) -> Entry | None:
        try:
            return find(self.name, data_version=self.data_version) or self.measure()
        except _FewFeasibleError:
            return None

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]  # read when first asked for
        """The committed reference, or else measured now."""
        return None if self._entry is None else self._entry.reference

    @property
    def left_out(self) -> str:  # type: ignore[override]
        """Random configurations come too close to the optimum."""
        near = 0.0 if self._entry is None else self._entry.near_best or 0.0
        few = near <= MAX_NEAR_BEST
        return "" if few else f"{near:.1%} of random configurations are feasible and have a regret below {NEAR_BEST}"

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        point = self.point(config, fidelity)
        return Evaluation(float(self._problem(point)), constraints=tuple(map(float, self._problem.constraint(point))))

    def outcomes(self, points: Floats) -> tuple[Floats, Bools]:
        """The values, (n,), of points, (n, D), and which of them are feasible, (n,)."""
        feasible = np.array([np.max(self._problem.constraint(point)) <= 0.0 for point in points])
        return np.array([float(self._problem(point)) for point in points]), feasible

    def optimum(self) -> Floats:
        """The best configuration, (D,), as the package prints it: into the working folder, here a temporary one."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", _PRINT_BEST, self.family, *map(str, self.arguments)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            path = Path(folder) / _BEST_FILE
            if done.returncode or not path.exists():
                last = (done.stderr.strip().splitlines() or ["it wrote no file"])[-1]
                raise BenchmarkError(f"coco-experiment does not tell the optimum of {self.name}: {last}.")
            return np.array(path.read_text(encoding="utf-8").replace("*", " ").split(), dtype=float)

    def measure(self) -> Entry:
        """That of :meth:`_measure`, once in a process."""
        return _measured(*self.arguments)

    def _measure(self) -> Entry:
        """The reference, with the optimum and the share of random configurations near it.

        Raises:
            BenchmarkError: Too few random configurations are feasible, or the optimum is not.
        """
        best = self.optimum()
        f_best, constraints = float(self._problem(best)), self._problem.constraint(best)
        if np.max(constraints) > 1e-8:
            raise BenchmarkError(f"The optimum of {self.name} breaks a constraint by {np.max(constraints):g}.")
        values, feasible = self.outcomes(self.random_points(SAMPLES))
        found = values[feasible]
        if len(found) < MIN_FEASIBLE:
            raise _FewFeasibleError(
                f"{self.name} has no reference: {len(found)} of {SAMPLES} random configurations are feasible."
            )
        source = f"f_best of the package; {len(found)} feasible of {SAMPLES} random configurations"
        reference = Reference(f_best, float(np.median(found)), float(found.max()), source)
        near = float((np.array([reference.regret(value) for value in found]) < NEAR_BEST).sum() / SAMPLES)
        config = dict(zip(self.parameters, best.tolist(), strict=True))
        return Entry(self.name, reference, self.data_version, config, 0, near)

    def measure_reference(self) -> Reference:
        """That of :meth:`measure`."""
        return self.measure().reference


@functools.lru_cache(maxsize=256)
def _measured(function: int, dimension: int, instance: int) -> Entry:
    return ConstrainedBbob(function, dimension, instance)._measure()


class BiobjectiveBbob(_Further):
    """Two functions of BBOB at once, both to be minimized.

    The package knows no front; the frozen ones are those of a search (:mod:`optibench_benchmarks.references`), best
    known. The package searches [-100, 100]^D; here it is [-5, 5]^D, in which both single optima lie.
    """

    family = "bbob-biobj"

    def __init__(self, function: int, dimension: int, instance: int) -> None:
        super().__init__(function, dimension, instance)
        self.objectives = {"f1": "minimize", "f2": "minimize"}
        found = fronts.find(self.name, self.data_version)
        self.front: Front | None = None if found is None else found.front
        self.left_out = "" if found is None else found.left_out

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return Evaluation(values=tuple(map(float, self._problem(self.point(config, fidelity)))))

    def outcomes(self, points: Floats) -> Floats:
        """The objectives, (n, 2), of points, (n, D)."""
        return np.array([self._problem(point) for point in points]).reshape(-1, 2)

"""Test functions with their optimum moved: the benchmark class behind every ``synthetic/`` name."""

from __future__ import annotations

import functools
import operator
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace, Float
from numpy.random import MT19937, RandomState, SeedSequence

from optibench_benchmarks.base import Benchmark, Config, Evaluation, Reference
from optibench_benchmarks.synthetic.functions import FUNCTIONS, Array, refuse

REFERENCE_SAMPLES = 20_001  # odd, so that the median is one of the values
_CHUNK = 1_000_000  # coordinates in one batch of the reference's sample: bounds its memory


def frozen_random(*key: int) -> RandomState:
    """A generator whose numbers NumPy guarantees never to change.

    ``numpy.random.Generator`` may change what it draws from one NumPy version to the next, which would move every
    optimum; ``RandomState`` is frozen.
    """
    return RandomState(MT19937(SeedSequence(key)))


class Synthetic(Benchmark):
    """A test function whose global minimum lies at a random place of its box, known exactly.

    With ``f`` the usual function, ``x*`` its usual minimizer and ``o`` the moved one, the objective is
    ``f(x* + R (x - o))`` over the usual box; ``R`` is the identity, or, for a rotated task, a random orthogonal matrix.
    The minimum stays ``f(x*)``, because it is the minimum of ``f`` over all of R^D (:mod:`functions
    <optibench_benchmarks.synthetic.functions>` gives the reason for each).

    Two functions, schwefel and michalewicz, have their known minimum in their box only. A point that leaves it is
    reflected at the wall and pays ``amplitude * (2 d / width)^2`` for each coordinate that is ``d`` outside:
    continuous, never below the minimum, and with one minimizer (the idea of a boundary penalty is that of Schwefel's
    function in N. Hansen et al., "Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless Functions
    Definitions", INRIA RR-6829).

    Each coordinate of ``o`` is drawn from the box's 10-40% or 60-90%: neither at the centre, which some optimizers try
    first, nor at a wall or corner. Function, dimension, instance and ``rotated`` determine ``o`` and ``R``, whatever
    the NumPy version.

    Attributes:
        optimum: The moved minimizer as a configuration.
        f_best: The value there, analytic.
    """

    def __init__(self, function: str, dimension: int, instance: int = 1, rotated: bool = False) -> None:
        """Build one instance.

        Args:
            function: A name in :data:`optibench_benchmarks.synthetic.functions.FUNCTIONS`.
            dimension: The number of parameters, ``x0`` to ``x<dimension - 1>``.
            instance: From 1; 1 is what a name without an instance number means.
            rotated: Also rotate the function about its optimum.

        Raises:
            BenchmarkError: The function does not exist in that dimension, or an instance number below 1.
        """
        refuse(function, dimension, instance, rotated)
        self.function = FUNCTIONS[function]
        self._arguments = (function, dimension, instance, rotated)
        self.name = f"synthetic/{'rotated/' if rotated else ''}{function}-{dimension}d"
        if instance != 1:
            self.name += f"/{instance}"
        self.rotated = rotated
        self._key = (zlib.crc32(function.encode()), dimension, instance, int(rotated))
        self._low, self._high = self.function.bounds(dimension)
        self._usual = self.function.optimum(dimension)
        share = frozen_random(*self._key, 0).random_sample(dimension)
        share = 0.1 + 0.6 * share + 0.2 * (share >= 0.5)
        self._moved = self._low + share * (self._high - self._low)
        self._shift = self._moved - self._usual
        self.f_best = self.function.minimum(dimension)
        self._parameters = [f"x{i}" for i in range(dimension)]
        self._values: Callable[[Config], Any] = operator.itemgetter(*self._parameters)
        self.optimum: dict[str, float] = dict(zip(self._parameters, self._moved.tolist(), strict=True))
        self._reference: Reference | None = None

    def __reduce__(self) -> tuple[type[Synthetic], tuple[str, int, int, bool]]:
        """Pickled as its arguments: formulas do not pickle."""
        return Synthetic, self._arguments

    @functools.cached_property
    def space(self) -> ConfigurationSpace:  # type: ignore[override]  # built on first use: slow in 1000 dimensions
        """One uniform float for each coordinate, in the usual box."""
        space = ConfigurationSpace(name=self.name)
        bounds = zip(self._parameters, self._low.tolist(), self._high.tolist(), strict=True)
        space.add([Float(parameter, (low, high)) for parameter, low, high in bounds])
        return space

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]
        """The committed reference; for a dimension or instance without one, it is measured the same way now."""
        if self._reference is None:
            from optibench_benchmarks.references.table import lookup

            self._reference = lookup(self.name, data_version=self.data_version) or self.measure_reference()
        return self._reference

    @functools.cached_property
    def _rotation(self) -> Array:
        """Uniform over the orthogonal matrices of shape ``(D, D)`` (F. Mezzadri, Notices of the AMS 54, 2007)."""
        dimension = len(self._parameters)
        q, r = np.linalg.qr(frozen_random(*self._key, 1).standard_normal((dimension, dimension)))
        rotation: Array = q * np.sign(np.diagonal(r))
        return rotation

    def objective(self, x: Array) -> Array:
        """The objective over points in the box's own units: shape ``(..., D)`` to ``(...)``, free of any checks."""
        z = self._usual + (x - self._moved) @ self._rotation if self.rotated else x - self._shift
        if self.function.amplitude is None:
            return self.function.formula(z)
        inside = np.minimum(np.maximum(z, self._low), self._high)
        outside = z - inside
        reflected = np.minimum(np.maximum(inside - outside, self._low), self._high)
        share = outside * (2.0 / (self._high - self._low))
        penalty: Array = self.function.amplitude * np.vecdot(share, share)
        return self.function.formula(reflected) + penalty

    def evaluate(self, config: Config, *, seed: int = 0, fidelity: Config | None = None) -> Evaluation:
        """See :meth:`Benchmark.evaluate <optibench_benchmarks.base.Benchmark.evaluate>`; the seed has no effect."""
        return Evaluation(float(self.objective(np.array(self._values(config), dtype=float, ndmin=1))))

    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int = 0, fidelity: Config | None = None
    ) -> list[Evaluation]:
        """All configurations in one array operation; equal to one at a time up to rounding."""
        points = np.array([self._values(config) for config in configs], dtype=float)
        values = self.objective(points.reshape(len(configs), len(self._parameters)))
        return [Evaluation(value) for value in values.tolist()]

    def measure_reference(self, samples: int = REFERENCE_SAMPLES) -> Reference:
        """The analytic best value, and the median and worst of ``samples`` uniformly random configurations.

        The sample is the same whatever the machine; an odd ``samples`` makes the median one of its values.
        """
        random = frozen_random(*self._key, 2)
        dimension = len(self._parameters)
        rows = max(1, _CHUNK // dimension)
        values = np.concatenate(
            [
                self.objective(
                    self._low + random.random_sample((min(rows, samples - start), dimension)) * (self._high - self._low)
                )
                for start in range(0, samples, rows)
            ]
        )
        source = f"f_best analytic; f_ref and f_worst over {samples} random configurations"
        return Reference(self.f_best, float(np.median(values)), float(values.max()), source)

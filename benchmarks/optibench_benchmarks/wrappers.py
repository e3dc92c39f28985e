"""Wrappers of benchmarks: noise, monotone transformations, unused dimensions, further objectives, constraints.

Wrappers compose, in code (``Noisy(UnusedDimensions(task, 2), 0.1)``) and in names: suffixes are applied from left to
right, so that ``synthetic/ackley-5d+unused=2+monotone=log+noise=0.1`` transforms first and then adds noise in units of
the transformed values.

| suffix | wrapper |
|---|---|
| ``+noise=STD`` | :class:`Noisy`, Gaussian, in units of ``abs(f_ref - f_best)`` |
| ``+monotone=NAME`` | :class:`Monotone`, with a name in :data:`TRANSFORMATIONS` |
| ``+unused=N`` | :class:`UnusedDimensions` |
| ``+objective=NAME`` | :class:`FurtherObjective`, with a quantity that its evaluations return |
| ``+max_NAME=BOUND``, ``+min_NAME=BOUND`` | :class:`Bounded`, a constraint on such a quantity |
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Evaluation, Reference
from optibench_benchmarks.quantities import Bounded, FurtherObjective, Wrapper

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def uniforms(seed: int, config: Config) -> tuple[float, float]:
    """Two independent uniform numbers in (0, 1], a function of the seed and the configuration alone.

    A hash rather than a generator: cheap, the same on every machine, and different configurations of one batch get
    different numbers although they share the seed.
    """
    text = f"{seed}|" + "|".join([f"{name}={config[name]}" for name in sorted(config)])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    first, second = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
    return ((first >> 11) + 1) * 2.0**-53, ((second >> 11) + 1) * 2.0**-53


class Noisy(Wrapper):
    """Adds Gaussian noise to the value, drawn by the seed and the configuration.

    The reference stays that of the base: regret is measured against noise-free values.
    """

    def __init__(self, base: Benchmark, std: float) -> None:
        """Wrap ``base``.

        Args:
            base: The benchmark to make noisy.
            std: The noise's standard deviation, in units of ``abs(f_ref - f_best)`` where the base has a reference,
                in those of its values otherwise. A median random configuration thus has a regret of 1 +- ``std``.

        Raises:
            BenchmarkError: ``std`` is not a positive number of at most a million.
        """
        if isinstance(std, bool) or not isinstance(std, int | float) or not 0.0 < std <= 1e6:
            raise BenchmarkError(
                f"The noise of {base.name} must be a number above 0 and at most 1,000,000, not {std!r}."
            )
        super().__init__(base, f"noise={float(std)!r}")
        self._refuse_several("+noise")
        self.sampling = "noisy"
        self.std = std
        self._scaled: float | None = None

    def _change(self, evaluation: Evaluation, config: Config, seed: int) -> Evaluation:
        if self._scaled is None:
            reference = self.reference
            self._scaled = self.std * (1.0 if reference is None else abs(reference.f_ref - reference.f_best))
        first, second = uniforms(seed, config)
        # Box and Muller's transformation of two uniform numbers to a normal one.
        noise = self._scaled * math.sqrt(-2.0 * math.log(first)) * math.cos(2.0 * math.pi * second)
        return replace(evaluation, value=evaluation.value + noise)


TRANSFORMATIONS: Mapping[str, Callable[[float], float]] = {
    "log": lambda value: math.copysign(math.log1p(abs(value)), value),
    "sqrt": lambda value: math.copysign(math.sqrt(abs(value)), value),
    "square": lambda value: value * abs(value),
    "cube": lambda value: value * value * value,
}
"""Strictly increasing functions on the real numbers; odd, so that the order of negative values is kept."""


class Monotone(Wrapper):
    """Applies a strictly increasing function to the value: ranks stay, distances change.

    All three reference values are transformed too (exactly: a median of an odd number of values commutes with an
    increasing function).
    """

    def __init__(self, base: Benchmark, transform: str) -> None:
        """Wrap ``base``.

        Args:
            base: The benchmark whose values to transform.
            transform: A name in :data:`TRANSFORMATIONS`.

        Raises:
            BenchmarkError: There is no transformation of that name.
        """
        if transform not in TRANSFORMATIONS:
            raise BenchmarkError(
                f"There is no monotone transformation {transform!r} for {base.name}; there are "
                f"{', '.join(TRANSFORMATIONS)}."
            )
        super().__init__(base, f"monotone={transform}")
        self._refuse_several("+monotone")
        self.transform = transform
        self._transform = TRANSFORMATIONS[transform]
        try:
            self.reference  # noqa: B018
        except ValueError as error:
            raise BenchmarkError(f"+monotone={transform} leaves {base.name} no reference: {error}") from error

    def __reduce__(self) -> tuple[type[Monotone], tuple[Benchmark, str]]:
        """Pickled as its arguments: the transformations do not pickle."""
        return Monotone, (self.base, self.transform)

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]
        base = self.base.reference
        if base is None:
            return None
        f_best, f_ref, f_worst = (self._transform(value) for value in (base.f_best, base.f_ref, base.f_worst))
        return replace(base, f_best=f_best, f_ref=f_ref, f_worst=f_worst)

    def _change(self, evaluation: Evaluation, config: Config, seed: int) -> Evaluation:
        return replace(evaluation, value=self._transform(evaluation.value))


class UnusedDimensions(Wrapper):
    """Adds float parameters ``z0``, ``z1``, ... in [0, 1] that have no effect; the reference is the base's."""

    def __init__(self, base: Benchmark, n: int) -> None:
        """Wrap ``base`` with ``n`` more parameters.

        Raises:
            BenchmarkError: ``n`` is below 1 or above 1000, or the base already has a parameter of one of the names.
        """
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 1000:
            raise BenchmarkError(f"The number of unused dimensions of {base.name} must be 1 to 1000, not {n!r}.")
        super().__init__(base, f"unused={n}")
        self._unused = {f"z{i}": None for i in range(n)}  # an ordered set
        self._space: ConfigurationSpace | None = None
        taken = [name for name in self._unused if name in base.space]
        if taken:
            raise BenchmarkError(f"{base.name} already has a parameter {taken[0]!r}; give all unused ones at once.")

    @property
    def space(self) -> ConfigurationSpace:  # type: ignore[override]
        if self._space is None:
            from copy import deepcopy

            from ConfigSpace import Float

            self._space = deepcopy(self.base.space)
            self._space.add([Float(name, (0.0, 1.0)) for name in self._unused])
        return self._space

    def _used(self, config: Config) -> Config:
        return {name: value for name, value in config.items() if name not in self._unused}

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return self.base.evaluate(self._used(config), seed=seed, fidelity=fidelity)

    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int, fidelity: Config | None = None
    ) -> list[Evaluation]:
        return self.base.evaluate_batch([self._used(config) for config in configs], seed=seed, fidelity=fidelity)


def split(name: str) -> tuple[str, list[str]]:
    """A task's name without its suffixes, and the suffixes without their ``+``."""
    plain, *suffixes = name.split("+")
    return plain, suffixes


def apply(benchmark: Benchmark, suffixes: Sequence[str], name: str) -> Benchmark:
    """Wrap a benchmark by its name's suffixes, the first one innermost.

    Args:
        benchmark: The task of the name without suffixes.
        suffixes: ``key=value`` each, in order.
        name: The whole name, for the error.

    Raises:
        BenchmarkError: An unknown key, or a value that its wrapper does not take.
    """
    wrappers: dict[str, Callable[[Benchmark, Any], Benchmark]]
    wrappers = {"noise": Noisy, "unused": UnusedDimensions, "monotone": Monotone, "objective": FurtherObjective}
    for key, value in parse(suffixes, name):
        if key in wrappers:
            benchmark = wrappers[key](benchmark, value)
        else:
            end, _, quantity = key.partition("_")
            benchmark = Bounded(benchmark, quantity, float(value), upper=end == "max")
    return benchmark


def parse(suffixes: Sequence[str], name: str) -> list[tuple[str, float | int | str]]:
    """The key of each suffix and its value.

    Raises:
        BenchmarkError: An unknown key, or a value of another kind; the message has the whole name.
    """
    found: list[tuple[str, float | int | str]] = []
    kinds = {"noise": float, "unused": int, "monotone": str, "objective": str}
    for suffix in suffixes:
        key, _, value = suffix.partition("=")
        if key not in kinds and not key.startswith(("max_", "min_")):
            raise BenchmarkError(
                f"Benchmark {name!r} has an unknown suffix '+{suffix}'; its family takes "
                "+noise=STD, +monotone=NAME, +unused=N, +objective=NAME, +max_NAME=BOUND and +min_NAME=BOUND."
            )
        try:
            found.append((key, kinds.get(key, float)(value)))
        except ValueError as error:
            kind = "a whole number" if key == "unused" else "a number"
            raise BenchmarkError(f"Benchmark {name!r} needs {kind} in '+{suffix}', not {value!r}.") from error
    return found

"""The search distributions of the ``cmaes`` library, over the unit cube."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from cmaes import CMA, CatCMAwM

from optibench_optimizers.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An integer with more values than this is treated as a float and rounded: the margin would matter little.
MAX_LISTED_VALUES = 64


class Engine(Protocol):
    """A search distribution over the unit cube."""

    @property
    def population_size(self) -> int: ...

    def ask(self) -> tuple[Any, NDArray[np.float64]]:
        """A handle for ``tell`` and a point of shape ``(d,)`` in the unit cube."""
        ...

    def tell(self, solutions: list[tuple[Any, float]]) -> None: ...

    def should_stop(self) -> bool: ...


class Numbers:
    """Plain CMA-ES; whole numbers are rounded."""

    def __init__(self, mean: NDArray[np.float64], sigma: float, popsize: int | None, seed: int) -> None:
        bounds = np.tile([0.0, 1.0], (len(mean), 1))
        self._cma = CMA(mean=mean, sigma=sigma, bounds=bounds, population_size=popsize, seed=seed)

    @property
    def population_size(self) -> int:
        return int(self._cma.population_size)

    def ask(self) -> tuple[Any, NDArray[np.float64]]:
        point = self._cma.ask()
        return point, point

    def tell(self, solutions: list[tuple[Any, float]]) -> None:
        self._cma.tell(solutions)

    def should_stop(self) -> bool:
        return bool(self._cma.should_stop())


class Mixed:
    """CatCMA with margin: floats and long integers as numbers, short integers and ranks as steps, else categories."""

    def __init__(
        self, parameters: Sequence[Parameter], mean: NDArray[np.float64], sigma: float, popsize: int | None, seed: int
    ) -> None:
        def group(parameter: Parameter) -> str:
            if parameter.kind == "categorical" or parameter.size == 2:
                return "c"
            return "x" if parameter.size > MAX_LISTED_VALUES else "z"

        groups = [group(parameter) for parameter in parameters]
        self._x, self._z, self._c = ([i for i, g in enumerate(groups) if g == name] for name in "xzc")
        steps = [[p.to_unit(p.low + i) for i in range(int(p.size))] for p in (parameters[i] for i in self._z)]
        self._sizes = [int(parameters[i].size) for i in self._c]
        gaussian = self._x + self._z
        self._cma = CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._x) or None,
            z_space=steps or None,
            c_space=self._sizes or None,
            mean=mean[gaussian] if gaussian else None,
            sigma=sigma,
            cov=np.eye(len(gaussian)) if gaussian else None,
            population_size=popsize,
            seed=seed,
        )
        self._dimensions = len(parameters)

    @property
    def population_size(self) -> int:
        return int(self._cma.population_size)

    def ask(self) -> tuple[Any, NDArray[np.float64]]:
        solution = self._cma.ask()
        point = np.empty(self._dimensions)
        if self._x:
            point[self._x] = solution.x
        if self._z:
            point[self._z] = solution.z
        if self._c:
            chosen = np.argmax(solution.c, axis=1)
            point[self._c] = [(code + 0.5) / size for code, size in zip(chosen, self._sizes, strict=True)]
        return solution, point

    def tell(self, solutions: list[tuple[Any, float]]) -> None:
        self._cma.tell(solutions)

    def should_stop(self) -> bool:
        return bool((self._x or self._z) and self._cma.should_stop())

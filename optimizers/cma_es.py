"""CMA-ES with the ``cmaes`` library: CMA-ES (Hansen 2016) for numbers, CatCMA with margin for mixed spaces.

CatCMA with margin (Hamano et al. 2025, arXiv:2504.07884) keeps integers and categories from freezing at one value.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from cmaes import CMA, CatCMAwM

from optimizers.base import Capabilities, Observation, Optimizer, Suggestion
from optimizers.history import Pending, Values, succeeded
from optimizers.settings import library_seed, number, truth, whole
from optimizers.spaces import Config, Parameter, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

MAX_REJECTIONS = 100
# An integer of more values than this moves like a float and is rounded: the margin would matter little.
MOST_LISTED_VALUES = 64
FLATTENING = (
    "inactive parameters keep their coordinates in the search distribution and are dropped from what is suggested"
)


class _Engine(Protocol):
    """A search distribution over the unit cube."""

    @property
    def population_size(self) -> int: ...

    def ask(self) -> tuple[Any, NDArray[np.float64]]:
        """A handle to tell, and a point of shape ``(d,)`` in the unit cube."""
        ...

    def tell(self, solutions: list[tuple[Any, float]]) -> None: ...

    def should_stop(self) -> bool: ...


class _Numbers:
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


class _Mixed:
    """CatCMA with margin: floats and long integers as numbers, short integers and ranks as steps, else categories."""

    def __init__(
        self, parameters: Sequence[Parameter], mean: NDArray[np.float64], sigma: float, popsize: int | None, seed: int
    ) -> None:
        def group(parameter: Parameter) -> str:
            if parameter.kind == "categorical" or parameter.size == 2:
                return "c"
            return "x" if parameter.size > MOST_LISTED_VALUES else "z"

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


class CMAES(Optimizer):
    """CMA-ES in the unit cube, restarted with a doubled population when it has converged (IPOP).

    The mean starts at the best trial told before the first ask, at the centre if there is none; trials that were told
    later and never asked for have no place in the distribution's update and are left out. (Optuna's ``CmaEsSampler``
    leaves out all of them, the initial design included.) A failed trial ranks with the worst success so far. Points
    that a forbidden clause rules out are drawn again, at most ``MAX_REJECTIONS`` times; then a random valid
    configuration is evaluated.

    Args:
        space, seed, n_trials: See :class:`~optimizers.base.Optimizer`.
        sigma0: Initial standard deviation, as a share of each parameter's range (1/6 as in Optuna).
        popsize: Trials a generation; 0 for the library's 4 + 3 ln d.
        margin: In a space without categories, use CatCMA's margins for integers too instead of rounding.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        conditional=FLATTENING, batch=True, failed="counts as the worst success so far"
    )

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        sigma0: float = 1 / 6,
        popsize: int = 0,
        margin: bool = True,
    ) -> None:
        self._space = SearchSpace(space)
        self._rng = np.random.RandomState(library_seed(seed))
        self._sigma0 = number("sigma0", sigma0, above=0.0)
        self._popsize = whole("popsize", popsize, least=0)
        if self._popsize == 1:
            self._popsize = whole("popsize", popsize, least=2)
        kinds = {parameter.kind for parameter in self._space.parameters}
        stepwise = truth("margin", margin) and kinds != {"float"}
        self._mixed = "categorical" in kinds or stepwise
        self._mean = np.full(len(self._space), 0.5)
        self._engine: _Engine | None = None
        self._pending: Pending[tuple[_Engine, Any]] = Pending()
        self._generation: list[tuple[Any, Observation]] = []
        self._values = Values()

    def ask(self, n: int = 1) -> list[Suggestion]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # CatCMAwM on a constant objective
            if self._engine is None:
                self._engine = self._start(self._mean, self._popsize or None)
            return [Suggestion(self._ask_one(self._engine)) for _ in range(n)]

    def _start(self, mean: NDArray[np.float64], popsize: int | None) -> _Engine:
        seed = int(self._rng.randint(2**31 - 1))
        if self._mixed:
            return _Mixed(self._space.parameters, mean, self._sigma0, popsize, seed)
        return _Numbers(mean, self._sigma0, popsize, seed)

    def _ask_one(self, engine: _Engine) -> Config:
        for _ in range(MAX_REJECTIONS):
            handle, point = engine.ask()
            config = self._space.from_unit(point)
            if self._space.is_allowed(config):
                self._pending.add(config, (engine, handle))
                return config
        return self._space.sample(1, self._rng)[0]

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            asked = self._pending.pop(observation.config)
            if self._engine is None and succeeded(observation) and observation.value < self._values.best:
                self._mean = self._space.to_unit(observation.config)
            self._values.add(observation)
            if asked is None or asked[0] is not self._engine:
                continue  # foreign, or of before a restart
            engine, handle = asked
            self._generation.append((handle, observation))
            self._update(engine)

    def _update(self, engine: _Engine) -> None:
        size = engine.population_size
        if len(self._generation) < size:
            return
        penalty = self._values.worst if self._values.any_succeeded else 0.0
        solutions = [(handle, o.value if succeeded(o) else penalty) for handle, o in self._generation]
        self._generation.clear()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)
            engine.tell(solutions)
            if engine.should_stop():
                self._engine = self._start(self._rng.uniform(size=len(self._space)), 2 * size)

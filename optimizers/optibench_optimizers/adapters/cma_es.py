"""CMA-ES with the ``cmaes`` library: CMA-ES (Hansen 2016) for numbers, CatCMA with margin for mixed spaces.

CatCMA with margin (Hamano et al. 2025, arXiv:2504.07884) keeps integers and categories from freezing at one value.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optibench_optimizers.adapters.cma_engines import Engine, Mixed, Numbers
from optibench_optimizers.base import Observation, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.history import Pending, PendingOptimizer, Values, succeeded
from optibench_optimizers.settings import library_seed, whole
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

MAX_REJECTIONS = 100


class CMAES(PendingOptimizer):
    """CMA-ES in the unit cube, restarted with a doubled population when it has converged (IPOP).

    The mean starts at the best trial observed before the first ask, or at the centre if there is none. Later trials
    that it did not suggest do not fit the distribution's update and are ignored. (Optuna's ``CmaEsSampler`` ignores all
    such trials, including the initial design.) A failed trial ranks with the worst success so far. Points
    that a forbidden clause rules out are drawn again, at most ``MAX_REJECTIONS`` times; then a random valid
    configuration is evaluated.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        sigma0: Initial standard deviation, as a share of each parameter's range (1/6 as in Optuna).
        popsize: Trials per generation; 0 for the library's 4 + 3 ln d.
        margin: In a space without categories, use CatCMA's margins for integers too instead of rounding.
    """

    capabilities = CAPABILITIES["cmaes"]

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
        self._sigma0 = float(sigma0)
        self._popsize = popsize if popsize == 0 else whole("popsize", popsize, least=2)
        kinds = {parameter.kind for parameter in self._space.parameters}
        stepwise = margin and kinds != {"float"}
        self._mixed = "categorical" in kinds or stepwise
        self._mean = np.full(len(self._space), 0.5)
        self._engine: Engine | None = None
        self._pending: Pending[tuple[Engine, Any]] = Pending()
        self._generation: list[tuple[Any, Observation]] = []
        self._values = Values()

    def ask(self, n: int = 1) -> list[Suggestion]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # CatCMAwM on a constant objective
            if self._engine is None:
                self._engine = self._start(self._mean, self._popsize or None)
            return [Suggestion(self._ask_one(self._engine)) for _ in range(n)]

    def _start(self, mean: NDArray[np.float64], popsize: int | None) -> Engine:
        seed = int(self._rng.randint(2**31 - 1))
        if self._mixed:
            return Mixed(self._space.parameters, mean, self._sigma0, popsize, seed)
        return Numbers(mean, self._sigma0, popsize, seed)

    def _ask_one(self, engine: Engine) -> Config:
        for _ in range(MAX_REJECTIONS):
            handle, point = engine.ask()
            config = self._space.from_unit(point)
            if self._space.is_allowed(config):
                self._pending.add(config, (engine, handle))
                return config
        return self._space.sample(1, self._rng)[0]

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            pending = self._pending.pop(observation.config)
            if self._engine is None and succeeded(observation) and observation.value < self._values.best:
                self._mean = self._space.to_unit(observation.config)
            self._values.add(observation)
            if pending is None or pending[0] is not self._engine:
                continue  # not suggested here, or before a restart
            engine, handle = pending
            self._generation.append((handle, observation))
            self._update(engine)

    def _update(self, engine: Engine) -> None:
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

"""CMA-ES with constraints, pycma's: an augmented Lagrangian (Atamna et al. 2017, Dufosse et al. 2020).

The objective that CMA-ES sees is the value plus a penalty of each constraint, whose coefficients adapt with the
generations (``cma.ConstrainedFitnessAL``).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cma
import numpy as np

from optibench_optimizers.base import Observation, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.history import HUGE, Pending, PendingOptimizer, objectives
from optibench_optimizers.settings import library_seed, whole
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

# Otherwise the augmented Lagrangian makes a folder for its logs, also where `logging` is 0; pycma names this way.
cma.constraints_handler._Logger = cma.logger.LoggerDummy

MAX_REJECTIONS = 100
Outcome = tuple[float, list[float]]


class ConstrainedCMAES(PendingOptimizer):
    """pycma in the unit cube, restarted with a doubled population when it has converged (IPOP).

    Until the first feasible trial it minimizes the sum of squared violations (``find_feasible_first``). Integers and
    categories are rounded. The mean starts at the best trial observed before the first ask (feasible ones first, then
    by their violation), or at the centre if there is none; later trials that it did not suggest are ignored. A failed
    trial has the worst value and the worst of each constraint so far; before the first success, failures are not
    learned from. Points that a forbidden clause rules out are drawn again, at most ``MAX_REJECTIONS`` times; then a
    random valid configuration is evaluated.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        n_constraints: The number of constraints.
        sigma0: Initial standard deviation, as a share of each parameter's range (1/6 as ``cmaes``).
        popsize: Trials per generation; 0 for the library's 4 + 3 ln d.
    """

    capabilities = CAPABILITIES["pycma"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        n_constraints: int = 0,
        sigma0: float = 1 / 6,
        popsize: int = 0,
    ) -> None:
        self._space = SearchSpace(space)
        self._n_constraints = n_constraints
        self._rng = np.random.RandomState(library_seed(seed))
        self._sigma0 = float(sigma0)
        self._popsize = popsize if popsize == 0 else whole("popsize", popsize, least=3)
        self._mean = np.full(len(self._space), 0.5)
        self._best = (math.inf, math.inf)  # violation and value of the trial at the mean
        self._worst = np.full(1 + n_constraints, -math.inf)
        self._es: Any = None
        self._generation: list[tuple[NDArray[np.float64], Outcome | None]] = []
        self._pending: Pending[tuple[Any, NDArray[np.float64]]] = Pending()

    def ask(self, n: int = 1) -> list[Suggestion]:
        if self._es is None:
            self._start(self._mean, self._popsize)
        return [Suggestion(self._ask_one()) for _ in range(n)]

    def _start(self, mean: NDArray[np.float64], popsize: int) -> None:
        # pycma needs two dimensions: a line gets one that nothing depends on
        mean = np.append(mean, 0.5) if len(mean) == 1 else mean
        options = {
            "bounds": [0.0, 1.0],
            "randn": np.random.RandomState(self._rng.randint(2**31 - 1)).randn,  # not NumPy's global generator
            "seed": math.nan,
            "tolstagnation": 0,  # the penalty changes what is minimized
            "verbose": -9,
            "verb_log": 0,
            **({"popsize": popsize} if popsize else {}),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._es = cma.CMAEvolutionStrategy(mean, self._sigma0, options)
            self._outcome: Outcome = (math.nan, [])
            self._fitness = cma.ConstrainedFitnessAL(
                lambda x: self._outcome[0],
                lambda x: self._outcome[1],
                find_feasible_first=True,
                archives=False,
                logging=0,
            )

    def _ask_one(self) -> Config:
        for _ in range(MAX_REJECTIONS):
            (point,) = self._es.ask(1)
            config = self._space.from_unit(point[: len(self._space)])
            if self._space.is_allowed(config):
                self._pending.add(config, (self._es, point))
                return config
        return self._space.sample(1, self._rng)[0]

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            pending, outcome = self._pending.pop(observation.config), self._observe(observation)
            if pending is None or pending[0] is not self._es:
                continue  # not suggested here, or before a restart
            self._generation.append((pending[1], outcome))
            if len(self._generation) >= self._es.popsize:
                self._update()

    def _observe(self, observation: Observation) -> Outcome | None:
        """The value and the constraints, ``None`` of a failed trial; keeps the worst of each and the first mean."""
        unit, values = self._space.to_unit(observation.config), objectives(observation)
        if values is None:
            return None
        numbers = np.clip([values[0], *observation.constraints], -HUGE, HUGE)
        self._worst = np.maximum(self._worst, numbers)
        rank = (float(numbers[1:].clip(0.0).sum()), float(numbers[0]))
        if self._es is None and rank < self._best:
            self._best, self._mean = rank, unit
        return float(numbers[0]), numbers[1:].tolist()

    def _update(self) -> None:
        generation, self._generation = self._generation, []
        if not np.isfinite(self._worst).all():
            return
        failed: Outcome = (float(self._worst[0]), self._worst[1:].tolist())
        points, fitness = [], []
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of coefficients that constant values do not determine
            for point, outcome in generation:
                self._outcome = outcome or failed
                points.append(point)
                fitness.append(self._fitness(point) if self._n_constraints else self._outcome[0])
            self._es.tell(points, fitness)
            if self._n_constraints:
                self._fitness.update(self._es)
            if self._es.stop():
                self._start(self._rng.uniform(size=len(self._space)), 2 * self._es.popsize)

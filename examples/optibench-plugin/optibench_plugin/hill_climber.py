"""A stochastic hill climber."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import ClassVar

import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace
from ConfigSpace.util import get_one_exchange_neighbourhood

from optibench_optimizers import Capabilities, Observation, Optimizer, OptimizerError, Suggestion
from optibench_optimizers.history import succeeded
from optibench_optimizers.spaces import Config, SearchSpace
from optibench_plugin import HILL_CLIMBER


class HillClimber(Optimizer):
    """One-exchange neighbours of the incumbent; random configurations until there is one.

    Args:
        space, seed, n_trials: See :class:`optibench_optimizers.Optimizer`.
        stdev: How far a number is moved, as a share of its range.
    """

    capabilities: ClassVar[Capabilities] = HILL_CLIMBER.capabilities

    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int, stdev: float = 0.2) -> None:
        if not isinstance(stdev, int | float) or not 0 < stdev <= 1:
            raise OptimizerError(f"Setting 'stdev' is a number above 0 and at most 1, not {stdev!r}.")
        self._stdev = stdev
        self._own_space = deepcopy(space)  # the neighbourhood seeds it
        self._space = SearchSpace(space)
        self._rng = np.random.RandomState(seed % 2**32)
        self._best: Observation | None = None

    def ask(self, n: int = 1) -> list[Suggestion]:
        return [Suggestion(self._step()) for _ in range(n)]

    def _step(self) -> Config:
        if self._best is None:
            return self._space.sample(1, self._rng)[0]
        best = Configuration(self._own_space, vector=self._space.vector(self._best.config))
        seed = int(self._rng.randint(2**31))
        neighbours = list(get_one_exchange_neighbourhood(best, seed=seed, stdev=self._stdev))
        if not neighbours:
            return self._space.sample(1, self._rng)[0]
        chosen = neighbours[self._rng.randint(len(neighbours))]
        return self._space.from_vector(chosen.get_array())  # plain Python values, as the contract wants them

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in filter(succeeded, observations):
            if self._best is None or observation.value < self._best.value:
                self._best = observation

"""Uniform random search: the floor that every optimizer has to beat."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optibench_optimizers.base import Observation, Optimizer, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import library_seed
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

# Sampling many at once makes an ask cheap. The number does not depend on the budget, so that a short run is the
# beginning of a long one.
BLOCK = 128


class RandomSearch(Optimizer):
    """Independent draws from the space's own distribution (uniform unless it has priors); learns nothing."""

    capabilities = CAPABILITIES["random"]

    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int) -> None:
        self._space = SearchSpace(space)
        self._rng = np.random.RandomState(library_seed(seed))
        self._drawn: deque[Config] = deque()

    def ask(self, n: int = 1) -> list[Suggestion]:
        while len(self._drawn) < n:
            self._drawn.extend(self._space.sample(BLOCK, self._rng))
        return [Suggestion(self._drawn.popleft()) for _ in range(n)]

    def tell(self, observations: Sequence[Observation]) -> None:
        return None

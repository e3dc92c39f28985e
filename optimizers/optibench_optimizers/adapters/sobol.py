"""A scrambled Sobol' sequence: random search that covers the space evenly (``scipy.stats.qmc``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import qmc

from optibench_optimizers.base import Observation, Optimizer, OptimizerError, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import library_seed
from optibench_optimizers.spaces import MAX_DRAWS, Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

BLOCK = 64  # a power of 2, as Sobol' points are balanced only in such blocks


class Sobol(Optimizer):
    """Points of a Sobol' sequence in the unit cube; learns nothing.

    Points that a forbidden clause rules out are skipped. Priors of the space are ignored.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        scramble: Owen-scramble the sequence with the seed; otherwise every seed gives the same points.
    """

    capabilities = CAPABILITIES["sobol"]

    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int, scramble: bool = True) -> None:
        self._space = SearchSpace(space)
        rng = np.random.default_rng(library_seed(seed))
        self._sequence = qmc.Sobol(len(self._space), scramble=scramble, rng=rng)
        self._drawn: deque[Config] = deque()

    def ask(self, n: int = 1) -> list[Suggestion]:
        skipped = 0
        while len(self._drawn) < n:
            block = [self._space.from_unit(point) for point in self._sequence.random(BLOCK)]
            allowed = [config for config in block if self._space.is_allowed(config)]
            self._drawn.extend(allowed)
            skipped = 0 if allowed else skipped + BLOCK
            if skipped >= MAX_DRAWS:
                raise OptimizerError(
                    f"The next {skipped} Sobol' points all break a forbidden clause; use `random` on this space."
                )
        return [Suggestion(self._drawn.popleft()) for _ in range(n)]

    def tell(self, observations: Sequence[Observation]) -> None:
        return None

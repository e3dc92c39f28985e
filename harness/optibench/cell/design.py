"""The initial design that all optimizers of one task and seed share."""

from __future__ import annotations

import copy
import functools
from typing import Any

from ConfigSpace import ConfigurationSpace

from optibench.cell.proposal import plain
from optibench.plan.cells import derived_seed
from optibench_benchmarks import Benchmark


def initial_design(problem: Benchmark, seed: int, size: int) -> list[dict[str, Any]]:
    """The random configurations that all optimizers of one (task, seed) are told first."""
    if size == 0:
        return []
    space = _sampling_space(problem)
    space.seed(derived_seed("initial design", problem.name, seed))
    # one more than needed: for a size of 1 ConfigSpace returns no list
    return [plain(dict(config)) for config in space.sample_configuration(size + 1)[:size]]


@functools.lru_cache(maxsize=8)
def _sampling_space(problem: Benchmark) -> ConfigurationSpace:
    """A copy of the space that may be seeded, so that the benchmark's own random state stays as it is."""
    return copy.deepcopy(problem.space)

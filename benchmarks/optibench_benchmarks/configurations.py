"""Configurations as plain values, and their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optibench_benchmarks.base import Config

if TYPE_CHECKING:
    from ConfigSpace import Configuration


def plain(config: Config) -> dict[str, Any]:
    """A configuration with NumPy's scalars as Python's."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in config.items()}


def near(configuration: Configuration, rng: np.random.Generator) -> Configuration:
    """A configuration that one to three random changes of a parameter lead to."""
    from ConfigSpace.util import get_random_neighbor

    for _ in range(int(rng.integers(1, 4))):
        configuration = get_random_neighbor(configuration, seed=int(rng.integers(2**31)))
    return configuration

"""Genetic algorithms for several objectives, from Optuna.

Deb et al. 2002 (NSGA-II, with constrained domination); Deb and Jain 2014 (NSGA-III).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import optuna

from optibench_optimizers.adapters.optuna_study import OptunaOptimizer
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import library_seed

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class NSGAII(OptunaOptimizer):
    """``optuna.samplers.NSGAIISampler`` with its defaults.

    Its first generation is random, so a population of 50 is random search for 50 trials. Trials that it did not suggest
    belong to the first generation, so a shared design of ten is the whole first generation of ``population_size=10``.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        n_objectives: The number of objectives.
        population_size: Trials in a generation.
    """

    capabilities = CAPABILITIES["nsga2"]
    sampler: ClassVar[Any] = optuna.samplers.NSGAIISampler

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        n_objectives: int = 1,
        population_size: int = 50,
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = self.sampler(seed=library_seed(seed), population_size=population_size)
        super().__init__(space, sampler, seed=seed, n_objectives=n_objectives)

    def _foreign_attributes(self) -> dict[str, Any]:
        return {self.sampler._get_generation_key(): 0}


class NSGAIII(NSGAII):
    """``optuna.samplers.NSGAIIISampler``, whose reference directions keep many objectives apart; as :class:`NSGAII`."""

    capabilities = CAPABILITIES["nsga3"]
    sampler = optuna.samplers.NSGAIIISampler

"""Gaussian-process optimization as Optuna does it (``GPSampler``: Matern 5/2 with ARD, log expected improvement)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import optuna

from optibench_optimizers.adapters.optuna_study import OptunaOptimizer
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import library_seed

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class OptunaGP(OptunaOptimizer):
    """``optuna.samplers.GPSampler`` with its defaults.

    Observed trials count as start-up trials: a shared initial design of ten replaces the sampler's own random ten.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        n_objectives: The number of objectives; of several, the acquisition is the log expected hypervolume improvement.
        n_startup_trials: Number of successful trials before the model is used.
        deterministic_objective: Fix the noise at its minimum instead of fitting it.
    """

    capabilities = CAPABILITIES["gp-optuna"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        n_objectives: int = 1,
        n_startup_trials: int = 10,
        deterministic_objective: bool = False,
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.GPSampler(
                seed=library_seed(seed),
                n_startup_trials=n_startup_trials,
                deterministic_objective=deterministic_objective,
            )
        super().__init__(space, sampler, seed=seed, n_objectives=n_objectives)

"""Tree-structured Parzen estimators, from Optuna.

Bergstra et al. 2011 (univariate); Falkner et al. 2018 (multivariate); Watanabe 2023 (Optuna's version); Ozaki et al.
2022 (several objectives, MOTPE); Watanabe and Hutter 2023 (constraints).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import optuna

from optibench_optimizers.adapters.optuna_study import OptunaOptimizer
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import SettingError, library_seed

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class TPE(OptunaOptimizer):
    """``optuna.samplers.TPESampler`` with the defaults of Optuna 5 for one objective: multivariate, without groups.

    Observed trials count as start-up trials: a shared initial design of ten replaces the sampler's own random ten.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        n_objectives: The number of objectives.
        multivariate: Model all parameters that every trial has in one joint density, not each one alone.
        group: Also model jointly the parameters that are active together (conditional spaces); needs ``multivariate``.
        n_startup_trials: Number of successful trials before the model is used.
        n_ei_candidates: Number of candidates to which the acquisition is applied.
        constant_liar: Keep away from pending configurations.
    """

    capabilities = CAPABILITIES["tpe"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        n_objectives: int = 1,
        multivariate: bool = True,
        group: bool = False,
        n_startup_trials: int = 10,
        n_ei_candidates: int = 24,
        constant_liar: bool = True,
    ) -> None:
        if group and not multivariate:
            raise SettingError("Setting 'group' needs 'multivariate'; set multivariate=true or group=false.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=library_seed(seed),
                multivariate=multivariate,
                group=group,
                n_startup_trials=n_startup_trials,
                n_ei_candidates=n_ei_candidates,
                constant_liar=constant_liar,
            )
        super().__init__(space, sampler, seed=seed, n_objectives=n_objectives)


class UnivariateTPE(TPE):
    """Each parameter modelled alone: the TPE of the 2011 paper, and Optuna's default for several objectives (MOTPE)."""

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        n_objectives: int = 1,
        n_startup_trials: int = 10,
        n_ei_candidates: int = 24,
        constant_liar: bool = True,
    ) -> None:
        super().__init__(
            space,
            seed=seed,
            n_trials=n_trials,
            n_objectives=n_objectives,
            multivariate=False,
            n_startup_trials=n_startup_trials,
            n_ei_candidates=n_ei_candidates,
            constant_liar=constant_liar,
        )

"""SMAC3 (Lindauer et al. 2022): Bayesian optimization with a random forest or with a Gaussian process.

With several objectives, the forest learns ParEGO's scalarization (Knowles 2006), an augmented Chebyshev distance
whose weights are drawn anew for each surrogate.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import joblib  # type: ignore[import-untyped]
import numpy as np
from ConfigSpace import Configuration
from smac import BlackBoxFacade, HyperparameterOptimizationFacade, Scenario
from smac.acquisition.maximizer import LocalAndSortedRandomSearch
from smac.facade.abstract_facade import AbstractFacade
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.multi_objective.parego import ParEGO
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from optibench_optimizers.adapters.smac.liar import FiniteLogEncoder, LyingEncoder, Retraining
from optibench_optimizers.base import Observation, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.history import HUGE, Pending, PendingOptimizer, objectives
from optibench_optimizers.settings import library_seed
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray


def repeatable(maximizer: LocalAndSortedRandomSearch) -> LocalAndSortedRandomSearch:
    """Fix the order of the points from which SMAC's local search starts.

    SMAC passes them through a set, whose order depends on Python's hash seed, so suggestions would differ between
    processes.
    """
    search = maximizer._local_search
    unordered = search._get_init_points_from_previous_configs

    def ordered(*arguments: Any, **keywords: Any) -> list[Configuration]:
        points = unordered(*arguments, **keywords)
        return sorted(points, key=lambda point: np.nan_to_num(point.get_array(), nan=-1.0).tolist())

    search._get_init_points_from_previous_configs = ordered  # type: ignore[method-assign]
    return maximizer


class SMAC(PendingOptimizer):
    """A SMAC facade behind ask and tell; subclasses choose the facade.

    Trials observed before the first ask are the initial design; without any, SMAC makes its own (Sobol' points, at most
    a quarter of ``n_trials``). SMAC handles conditions, priors and forbidden clauses itself. A failed trial counts as
    crashed, at the worst success so far in each objective; until the first success, failures are held back, and SMAC
    continues with its initial design, then with random configurations. Once every configuration of a finite space has
    been tried, random ones are repeated.

    SMAC requires an output folder: it gets a temporary one, deleted once SMAC has started.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        n_objectives: The number of objectives.
        retrain_after: Number of proposals per trained surrogate. While configurations are pending, every proposal
            trains a new surrogate, in which pending ones have the median cost.
    """

    facade: ClassVar[type[HyperparameterOptimizationFacade | BlackBoxFacade]]
    encoder: ClassVar[type[LyingEncoder]]
    models: ClassVar[bool] = True
    """Whether a model proposes, which then has to know pending configurations."""

    def __init__(
        self, space: ConfigurationSpace, *, seed: int, n_trials: int, n_objectives: int = 1, retrain_after: int = 8
    ) -> None:
        logging.getLogger("smac").setLevel(logging.CRITICAL)
        self._space = SearchSpace(space)
        self._own_space = copy.deepcopy(space)  # SMAC seeds it
        self._seed = library_seed(seed)
        self._n_trials, self._n_objectives = n_trials, n_objectives
        self._retrain_after = retrain_after
        self._rng = np.random.RandomState(self._seed)
        self._smac: AbstractFacade | None = None
        self._retraining: Retraining | None = None
        self._exhausted = False
        self._trial_seed: int | None = 0
        self._pending: Pending[TrialInfo] = Pending()
        self._observed = False
        self._worst = np.full(n_objectives, -np.inf)
        self._untold: list[tuple[TrialInfo, tuple[float, ...] | None]] = []  # objectives; None of a failed trial
        self._crashed: list[TrialInfo] = []
        self._penalty = self._worst

    def ask(self, n: int = 1) -> list[Suggestion]:
        if self._smac is None:
            self._smac = self._start(initial_design=not self._observed)
            self._retraining = Retraining(self._smac) if self.models else None
        self._learn(self._smac)
        # SMAC's forest would use all cores and add up its trees in the order they finish, which is not repeatable.
        with joblib.parallel_config(backend="sequential"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a mean over no neighbours in its local search
            return [self._ask_one(self._smac) for _ in range(n)]

    def _start(self, *, initial_design: bool) -> AbstractFacade:
        # SMAC writes only its scenario here, because saving is off: the folder can be deleted.
        with tempfile.TemporaryDirectory(prefix="optibench-smac-") as folder:
            scenario = Scenario(
                self._own_space,
                deterministic=True,
                n_trials=self._n_trials,
                seed=self._seed,
                output_directory=Path(folder),
                objectives=[f"objective {i}" for i in range(self._n_objectives)] if self._n_objectives > 1 else "cost",
                **self._scenario_settings(),
            )
            components = self._components(scenario, initial_design=initial_design)
            return self.facade(scenario, **components, logging_level=False, overwrite=True)

    def _scenario_settings(self) -> dict[str, Any]:
        """Further arguments of the scenario."""
        return {}

    def _components(self, scenario: Scenario, *, initial_design: bool) -> dict[str, Any]:
        """Parts that replace the facade's own."""
        return {
            "initial_design": None if initial_design else self.facade.get_initial_design(scenario, n_configs=0),
            "acquisition_maximizer": repeatable(self.facade.get_acquisition_maximizer(scenario)),
            "config_selector": self.facade.get_config_selector(scenario, retrain_after=self._retrain_after),
            "runhistory_encoder": self.encoder(scenario),
            "multi_objective_algorithm": ParEGO(scenario) if self._n_objectives > 1 else None,
        }

    def _suggestion(self, info: TrialInfo, config: Config) -> Suggestion:
        return Suggestion(config)

    def _ask_one(self, smac: AbstractFacade) -> Suggestion:
        if not self._exhausted:
            if self._retraining is not None:
                self._retraining.before_ask(waiting=bool(self._pending.waiting()))
            try:
                info = smac.ask()
            except (ConfigurationSpaceExhaustedException, StopIteration):
                self._exhausted = True
            else:
                self._trial_seed = info.seed
                suggestion = self._suggestion(info, self._space.from_vector(info.config.get_array()))
                self._pending.add(suggestion.config, info, suggestion.fidelity)
                return suggestion
        return Suggestion(self._space.sample(1, self._rng)[0])

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            self._observed, values = True, objectives(observation)
            if values is not None:
                self._worst = np.maximum(self._worst, np.clip(values, -HUGE, HUGE))
            info = self._pending.pop(observation.config, observation.fidelity) or self._foreign(observation)
            self._untold.append((info, values))

    def _foreign(self, observation: Observation) -> TrialInfo:
        config = observation.config
        self._space.codes(config)  # rejects a configuration of another space
        return TrialInfo(Configuration(self._own_space, vector=self._space.vector(config)), seed=self._trial_seed)

    def _learn(self, smac: AbstractFacade) -> None:
        if not np.isfinite(self._worst).all():
            return
        failed = [info for info, values in self._untold if values is None]
        if (self._worst > self._penalty).any():  # crashed trials cost more from now on
            self._penalty = self._worst
            failed, self._crashed = self._crashed + failed, []
        for info, values in self._untold:
            if values is not None:
                smac.tell(info, TrialValue(cost=self._cost(values)), save=False)
        for info in failed:
            smac.tell(info, TrialValue(cost=self._cost(self._penalty), status=StatusType.CRASHED), save=False)
        self._crashed += failed
        self._untold.clear()

    def _cost(self, values: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As SMAC takes it: a number, or a list of several."""
        costs = [float(value) for value in values]
        return costs if self._n_objectives > 1 else costs[0]


class SMACForest(SMAC):
    """SMAC's hyperparameter-optimization facade: a random forest on log-scaled costs, log expected improvement."""

    facade = HyperparameterOptimizationFacade
    encoder = FiniteLogEncoder
    capabilities = CAPABILITIES["smac-rf"]


class SMACGP(SMAC):
    """SMAC's black-box facade: a Gaussian process (Matern 5/2, Hamming for categories), expected improvement."""

    facade = BlackBoxFacade
    encoder = LyingEncoder
    capabilities = CAPABILITIES["smac-gp"]

    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int, retrain_after: int = 1) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials, retrain_after=retrain_after)

"""Hyperband (Li et al. 2018), alone and with a random forest, from SMAC3 (Lindauer et al. 2022).

``hyperband`` is SMAC's Hyperband facade, which draws configurations at random; ``smac-hb`` is its multi-fidelity
facade, in which the forest of ``smac-rf`` proposes them, trained on the highest fidelity with data. SMAC is maintained
and installs beside the other libraries. HpBandSter, BOHB's own package, is no longer maintained; its authors recommend
DEHB, which would be a further dependency, and SMAC3, whose multi-fidelity facade is BOHB with a forest instead of
kernel densities.

Both train a promoted configuration from scratch: no half-trained networks are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from smac import HyperbandFacade, MultiFidelityFacade, Scenario
from smac.initial_design import RandomInitialDesign
from smac.intensifier.hyperband import Hyperband
from smac.runhistory.dataclasses import TrialInfo

from optibench_optimizers.adapters.smac.facades import SMAC, SMACForest
from optibench_optimizers.base import Fidelity, Observation, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.spaces import Config

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class _Brackets(Hyperband):
    """SMAC's Hyperband, with the initial design kept out of its brackets.

    SMAC puts every configuration observed before its start into the first rung of a bracket, to be evaluated again at
    the lowest fidelity. A shared initial design is evaluated in full and should only inform the model.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._tracker[0, 0]  # SMAC adds observed configurations only while there is no bracket: create an empty one


class SMACHyperband(SMAC):
    """``hyperband``: brackets of successive halving over random configurations.

    Without an initial design it begins with the space's default configuration, as SMAC does. Trials that it did not
    suggest, such as a shared initial design, are in no bracket. Once a finite space has fewer configurations left than
    a bracket needs, random ones are evaluated in full.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        fidelity: The fidelity that grows by a factor of ``eta`` from rung to rung; without one, every evaluation is
            full, and this is random search.
        n_objectives: The number of objectives. Several are promoted front by front, the last one cut by SMAC's crowding
            distance.
        eta: One in ``eta`` configurations of a rung is promoted to the next.
    """

    facade: ClassVar[Any] = HyperbandFacade
    models: ClassVar[bool] = False
    capabilities = CAPABILITIES["hyperband"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        fidelity: Fidelity | None = None,
        n_objectives: int = 1,
        eta: int = 3,
    ) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials, n_objectives=n_objectives, retrain_after=8)
        self._fidelity, self._eta = fidelity, eta

    def _scenario_settings(self) -> dict[str, Any]:
        low, high = (1.0, 1.0) if self._fidelity is None else (self._fidelity.low, self._fidelity.high)
        return {"min_budget": low, "max_budget": high}

    def _components(self, scenario: Scenario, *, initial_design: bool) -> dict[str, Any]:
        # of several incumbents, SMAC asserts that they share a fidelity; they serve its own log only
        several: dict[str, Any] = {"incumbent_selection": "highest_budget"} if self._n_objectives > 1 else {}
        return {
            "initial_design": None if initial_design else RandomInitialDesign(scenario, n_configs=0),
            "intensifier": _Brackets(scenario, eta=self._eta, n_seeds=1, **several),
        }

    def _suggestion(self, info: TrialInfo, config: Config) -> Suggestion:
        if self._fidelity is None:
            return Suggestion(config)
        assert info.budget is not None, "Hyperband's trials have a budget"
        return Suggestion(config, self._fidelity.at(info.budget))

    def _foreign(self, observation: Observation) -> TrialInfo:
        info = super()._foreign(observation)
        given = (observation.fidelity or {}).get(self._fidelity.name) if self._fidelity else None
        full = 1.0 if self._fidelity is None else self._fidelity.high
        return TrialInfo(info.config, seed=info.seed, budget=full if given is None else float(given))


class SMACForestHyperband(SMACHyperband, SMACForest):
    """``smac-hb``: Hyperband's brackets, filled by the forest of
    :class:`~optibench_optimizers.adapters.smac.facades.SMACForest`.

    Args:
        space, seed, n_trials, fidelity, n_objectives, eta: See :class:`SMACHyperband`.
        retrain_after: Number of proposals per trained surrogate. One surrogate fills a whole rung; in it, pending
            configurations of its fidelity have the median cost.
    """

    facade: ClassVar[Any] = MultiFidelityFacade
    models: ClassVar[bool] = True
    capabilities = CAPABILITIES["smac-hb"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        fidelity: Fidelity | None = None,
        n_objectives: int = 1,
        eta: int = 3,
        retrain_after: int = 8,
    ) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials, fidelity=fidelity, n_objectives=n_objectives, eta=eta)
        self._retrain_after = retrain_after

    def _components(self, scenario: Scenario, *, initial_design: bool) -> dict[str, Any]:
        brackets = super()._components(scenario, initial_design=initial_design)
        forest = SMACForest._components(self, scenario, initial_design=initial_design)
        return {**forest, "intensifier": brackets["intensifier"]}

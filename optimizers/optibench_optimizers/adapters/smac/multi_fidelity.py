"""Hyperband (Li et al. 2018), alone and with a random forest, from SMAC3 (Lindauer et al. 2022).

``hyperband`` is SMAC's Hyperband facade, which draws configurations at random; ``smac-hb`` its multi-fidelity facade,
where the forest of ``smac-rf`` proposes them, trained on the highest fidelity there is data of. Why these: SMAC is kept
well and installs beside the rest. HpBandSter, BOHB's own package, is not maintained any more; its authors recommend
SMAC3, whose multi-fidelity facade is BOHB's idea with a forest in place of kernel densities, and DEHB, which would be a
further dependency for one more optimizer.

Both evaluate a promoted configuration anew: nobody keeps a half-trained network.
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
from optibench_optimizers.settings import MAX_COUNT, whole
from optibench_optimizers.spaces import Config

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class _Brackets(Hyperband):
    """SMAC's Hyperband, whose first bracket is its own.

    SMAC puts every configuration that it was told before it began into the first rung of a bracket, to be evaluated
    again at the lowest fidelity. Of a shared initial design, which is evaluated in full, only the model should learn.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._tracker[0, 0]  # SMAC looks for told configurations while there is no bracket: now there is an empty one


class SMACHyperband(SMAC):
    """``hyperband``: brackets of successive halving over random configurations.

    Without trials told before, it begins with the space's default configuration, as SMAC does. What is told of other
    origin, such as a shared initial design, is in no bracket. Once fewer configurations of a finite space are left than
    a bracket wants, random ones are evaluated in full.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        fidelity: What a rung of a bracket has ``eta`` times as much of as the one below; without one, every
            evaluation is full, and this is random search.
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
        eta: int = 3,
    ) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials, retrain_after=8)
        self._fidelity, self._eta = fidelity, whole("eta", eta, least=2, most=1000)

    def _scenario_settings(self) -> dict[str, Any]:
        low, high = (1.0, 1.0) if self._fidelity is None else (self._fidelity.low, self._fidelity.high)
        return {"min_budget": low, "max_budget": high}

    def _components(self, scenario: Scenario, *, initial_design: bool) -> dict[str, Any]:
        return {
            "initial_design": None if initial_design else RandomInitialDesign(scenario, n_configs=0),
            "intensifier": _Brackets(scenario, eta=self._eta, n_seeds=1),
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
        space, seed, n_trials, fidelity, eta: See :class:`SMACHyperband`.
        retrain_after: How many configurations one surrogate proposes before the next is trained. A rung is filled at
            once, whatever is out; for the surrogate that fills one, those out at its fidelity have the median cost.
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
        eta: int = 3,
        retrain_after: int = 8,
    ) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials, fidelity=fidelity, eta=eta)
        self._retrain_after = whole("retrain_after", retrain_after, most=MAX_COUNT)

    def _components(self, scenario: Scenario, *, initial_design: bool) -> dict[str, Any]:
        brackets = super()._components(scenario, initial_design=initial_design)
        forest = SMACForest._components(self, scenario, initial_design=initial_design)
        return {**forest, "intensifier": brackets["intensifier"]}

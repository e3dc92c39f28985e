"""Successive halving without waiting (ASHA, Li et al. 2020), from Optuna: its pruner over one of its samplers.

Optuna prunes a training while it runs: the objective reports a value and asks whether to continue. Here each report is
a separate trial, an evaluation at the fidelity of a rung. A configuration that Optuna would continue is suggested again
at the next rung, before any new one. No half-trained networks are kept, so a promoted configuration is trained from
scratch, as in Hyperband.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from optibench_optimizers.adapters.tpe import TPE
from optibench_optimizers.base import Fidelity, Observation, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.history import Pending, succeeded
from optibench_optimizers.settings import library_seed
from optibench_optimizers.spaces import Config

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


@dataclass(frozen=True, slots=True)
class _Running:
    """A running Optuna trial: its configuration and its rung."""

    trial: optuna.Trial
    config: Config
    rung: int = 0


class ASHA(TPE):
    """``optuna.pruners.SuccessiveHalvingPruner`` with TPE (Optuna 5's default) or random sampling.

    The sampler also learns from pruned trials: TPE ranks them behind those that got further. Trials that it did not
    suggest inform the sampler, but compete in no rung.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        fidelity: The fidelity that grows by a factor of ``eta`` from rung to rung; without one, every evaluation is
            full, and this is the sampler alone.
        eta: About one in ``eta`` configurations of a rung is promoted to the next.
        sampler: ``tpe`` or ``random``.
    """

    capabilities = CAPABILITIES["asha"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        fidelity: Fidelity | None = None,
        eta: int = 3,
        sampler: str = "tpe",
    ) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials)
        if sampler == "random":
            self._study.sampler = optuna.samplers.RandomSampler(seed=library_seed(seed))
        self._fidelity, self._eta = fidelity, eta
        self._rungs = [1.0] if fidelity is None else fidelity.rungs(eta)
        # the pruner counts in units of the lowest rung, so that its steps are whole numbers
        self._study.pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=eta)
        self._running: Pending[_Running] = Pending()
        self._promoted: deque[_Running] = deque()

    def ask(self, n: int = 1) -> list[Suggestion]:
        return [self._ask_next() for _ in range(n)]

    def _ask_next(self) -> Suggestion:
        if self._promoted:
            running = self._promoted.popleft()
        else:
            trial, config = self._ask_trial()
            if (
                trial is None
            ):  # the sampler suggests only forbidden configurations: evaluate a random one in full, outside the rungs
                return Suggestion(config)
            running = _Running(trial, config)
        fidelity = None if self._fidelity is None else self._fidelity.at(self._rungs[running.rung])
        self._running.add(running.config, running, fidelity)
        return Suggestion(running.config, fidelity)

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            running = self._running.pop(observation.config, observation.fidelity)
            if running is None:
                self._study.add_trial(self._foreign_trial(observation))
            elif not succeeded(observation):
                self._study.tell(running.trial, state=TrialState.FAIL)
            else:
                self._report(running, float(observation.value))

    def _report(self, running: _Running, value: float) -> None:
        running.trial.report(value, self._eta**running.rung)
        if running.rung == len(self._rungs) - 1:
            self._study.tell(running.trial, value)
        elif running.trial.should_prune():
            self._study.tell(running.trial, state=TrialState.PRUNED)
        else:
            self._promoted.append(replace(running, rung=running.rung + 1))

    def _foreign_trial(self, observation: Observation) -> optuna.trial.FrozenTrial:
        found = super()._foreign_trial(observation)
        value = (observation.fidelity or {}).get(self._fidelity.name) if self._fidelity else None
        if value is None or value >= self._rungs[-1] or not succeeded(observation):
            return found
        step = round(float(value) / self._rungs[0])
        return optuna.trial.create_trial(
            state=TrialState.PRUNED,
            params=found.params,
            distributions=found.distributions,
            intermediate_values={step: float(observation.value)},
        )

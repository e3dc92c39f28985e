"""The in-memory study that the adapters of Optuna's samplers share.

Conditional parameters are native: each ask suggests the active parameters only, parents first, as an Optuna
user writes a conditional space (:mod:`optibench_optimizers.define_by_run`).

Optuna does not know forbidden clauses. A forbidden suggestion counts as failed and is replaced; after
``MAX_REJECTIONS`` in a row, which happens if a sampler has converged on a forbidden region, a random valid
configuration is evaluated instead, and the sampler learns from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from optibench_optimizers.base import Observation, Optimizer, Suggestion
from optibench_optimizers.define_by_run import suggest
from optibench_optimizers.history import Pending, objectives
from optibench_optimizers.parameters import Parameter
from optibench_optimizers.settings import library_seed
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from optuna.samplers import BaseSampler

MAX_REJECTIONS = 20


def distribution(parameter: Parameter) -> BaseDistribution:
    """The Optuna distribution over a parameter's codes."""
    if parameter.kind == "float":
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if parameter.kind == "categorical":
        return CategoricalDistribution(tuple(range(len(parameter.values))))
    return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)


def _constraints(observation: Observation) -> dict[str, float]:
    """The constraints of a trial, named by their place."""
    return {str(index): float(number) for index, number in enumerate(observation.constraints)}


class OptunaOptimizer(Optimizer):
    """An Optuna sampler behind our contract; subclasses build the sampler.

    A failed trial becomes Optuna's ``FAIL``, as if a user's objective had raised. An infeasible one is complete and has
    its constraints.
    """

    def __init__(self, space: ConfigurationSpace, sampler: BaseSampler, *, seed: int, n_objectives: int = 1) -> None:
        # Optuna logs each new study, and a sampler's every fallback, to standard error.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = SearchSpace(space)
        self._distributions = {parameter.name: distribution(parameter) for parameter in self._space.parameters}
        self._study = optuna.create_study(directions=["minimize"] * n_objectives, sampler=sampler)
        self._pending: Pending[optuna.Trial] = Pending()
        self._rng = np.random.RandomState(library_seed(seed))

    def ask(self, n: int = 1) -> list[Suggestion]:
        suggestions = []
        for _ in range(n):
            trial, config = self._ask_trial()
            if trial is not None:
                self._pending.add(config, trial)
            suggestions.append(Suggestion(config))
        return suggestions

    def _ask_trial(self) -> tuple[optuna.Trial | None, Config]:
        """The sampler's next configuration and its trial; a random one and no trial if it is stuck."""
        for _ in range(MAX_REJECTIONS):
            trial = self._study.ask()
            config = suggest(trial, self._space, codes=True)
            if self._space.is_allowed(config):
                return trial, config
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return None, self._space.sample(1, self._rng)[0]

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            trial, values = self._pending.pop(observation.config), objectives(observation)
            if trial is None:
                self._study.add_trial(self._foreign_trial(observation))
            elif values is not None:
                for name, number in _constraints(observation).items():
                    trial.set_constraint(name, number)
                self._study.tell(trial, values)
            else:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def withdraw(self, suggestions: Sequence[Suggestion]) -> None:
        for suggestion in suggestions:
            trial = self._pending.pop(suggestion.config)
            if trial is not None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _foreign_trial(self, observation: Observation) -> optuna.trial.FrozenTrial:
        params = self._codes(observation.config)
        values = objectives(observation)
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.FAIL if values is None else optuna.trial.TrialState.COMPLETE,
            values=values,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            system_attrs=self._foreign_attributes(),
            constraints=None if values is None else _constraints(observation),
        )

    def _foreign_attributes(self) -> dict[str, Any]:
        """What the sampler wants to find with a trial that it did not suggest."""
        return {}

    def _codes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        codes = zip(self._space.parameters, self._space.codes(config), strict=True)
        return {parameter.name: code for parameter, code in codes if parameter.name in config}

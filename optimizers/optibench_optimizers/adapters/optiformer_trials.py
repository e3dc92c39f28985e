"""The history and the pending configurations of OptiFormer and its controls, and where a checkpoint comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optibench_optimizers.base import Observation, Optimizer, OptimizerError, Suggestion
from optibench_optimizers.history import succeeded
from optibench_optimizers.settings import library_seed, whole
from optibench_optimizers.spaces import Config, SearchSpace
from optiformer.errors import ModelError
from optiformer.search.config import ProposerConfig
from optiformer.search.proposer import Proposer
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.interface import Surrogate

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class OptiFormerOptimizer(Optimizer):
    """What both adapters do with observations; subclasses ask."""

    def __init__(self, space: ConfigurationSpace, *, seed: int) -> None:
        self._space = SearchSpace(space)
        self._seed = library_seed(seed)
        self._history: list[Trial] = []
        self._pending: list[Config] = []
        self._asked = 0

    def withdraw(self, suggestions: Sequence[Suggestion]) -> None:
        for suggestion in suggestions:
            self._pending.remove(dict(suggestion.config))

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            config: Config = dict(observation.config)
            self._space.codes(config)  # rejects a configuration of another space
            if config in self._pending:
                self._pending.remove(config)
            self._history.append(_trial(config, observation))


class ProposerOptimizer(OptiFormerOptimizer):
    """A surrogate in OptiFormer's search.

    Args:
        space, seed: See :class:`~optibench_optimizers.base.Optimizer`.
        surrogate: The network, or what stands in its place.
        config: Settings of the search.
    """

    def __init__(self, space: ConfigurationSpace, surrogate: Surrogate, config: ProposerConfig, *, seed: int) -> None:
        super().__init__(space, seed=seed)
        try:
            self._proposer = Proposer(Space.from_configspace(space), surrogate, config, allowed=self._space.is_allowed)
        except ModelError as error:
            raise OptimizerError(str(error)) from error

    def ask(self, n: int = 1) -> list[Suggestion]:
        number = self._asked
        self._asked += whole("n", n)
        try:
            with np.errstate(all="ignore"):
                chosen = self._proposer.suggest(self._history, n, seed=self._seed, number=number, pending=self._pending)
        except ModelError as error:
            raise OptimizerError(str(error)) from error
        self._pending += chosen
        return [Suggestion(config) for config in chosen]


def _trial(config: Config, observation: Observation) -> Trial:
    if observation.values:
        return Trial(config, observation.values[0], observation.values, observation.constraints)
    return Trial(config, float(observation.value) if succeeded(observation) else None)


def training_config(settings: Mapping[str, Any], name: str) -> Any:
    """The training configuration in the settings of ``name``; nothing if there is none.

    Raises:
        OptimizerError: There is a checkpoint as well.
    """
    if settings.get("train") and settings.get("checkpoint"):
        raise OptimizerError(f"Give {name} either a checkpoint or a configuration to train, not both.")
    return settings.get("train")

"""The history and the pending configurations of both OptiFormers, and where their checkpoint comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optibench_optimizers.base import Observation, Optimizer, OptimizerError, Suggestion
from optibench_optimizers.history import succeeded
from optibench_optimizers.settings import library_seed
from optibench_optimizers.spaces import Config, SearchSpace
from optiformer.space.trial import Trial

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
            self._history.append(Trial(config, float(observation.value) if succeeded(observation) else None))


def training_config(settings: Mapping[str, Any], name: str) -> Any:
    """The training configuration in the settings of ``name``; nothing if there is none.

    Raises:
        OptimizerError: There is a checkpoint as well.
    """
    if settings.get("train") and settings.get("checkpoint"):
        raise OptimizerError(f"Give {name} either a checkpoint or a configuration to train, not both.")
    return settings.get("train")

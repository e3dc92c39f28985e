"""OptiFormer: a transformer that predicts every candidate's score from the set of past trials.

The network, its candidates and its acquisition live in ``model/``; this file only speaks the optimizer contract.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from model.errors import ModelError
from model.proposer import Proposer, with_settings
from model.space import Space
from model.tokenizer import Trial
from model.trial_checkpoint import default_checkpoint, load
from model.trial_decoder import TrialSetDecoder
from optimizers.base import Capabilities, Observation, Optimizer, OptimizerError, Suggestion
from optimizers.history import succeeded
from optimizers.settings import library_seed, number, whole
from optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class OptiFormer(Optimizer):
    """Trial-set OptiFormer: conditions are followed natively, pending trials count as the median.

    Args:
        space, seed, n_trials: See :class:`~optimizers.base.Optimizer`.
        checkpoint: A checkpoint's folder; the one that comes with the package if empty.
        preset: ``fast`` | ``default`` | ``thorough``: how many candidates are scored.
        acquisition: ``pi`` | ``squashed-ei`` | ``clipped-ei`` | ``ei`` | ``thompson``.
        margin: Improvement that ``pi`` asks for, in gaps between best and median.
        temperature: Of the predicted distribution; above 1 explores more.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        batch=True, failed="shown to the network as failed, with the worst value so far"
    )

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        checkpoint: str = "",
        preset: str = "default",
        acquisition: str = "pi",
        margin: float = 0.02,
        temperature: float = 1.0,
    ) -> None:
        self._space = SearchSpace(space)
        self._seed = library_seed(seed)
        self._history: list[Trial] = []
        self._pending: list[Config] = []
        self._asked = 0
        try:
            config = with_settings(
                preset,
                acquisition=acquisition,
                margin=number("margin", margin),
                temperature=number("temperature", temperature),
            )
            decoder = _decoder(checkpoint or str(default_checkpoint()))
            self._proposer = Proposer(Space.from_configspace(space), decoder, config, allowed=self._space.is_allowed)
        except ModelError as error:
            raise OptimizerError(str(error)) from error

    def ask(self, n: int = 1) -> list[Suggestion]:
        rng = np.random.default_rng([self._seed, len(self._history), self._asked])
        self._asked += whole("n", n)
        try:
            chosen = self._proposer.suggest(self._history, n, rng=rng, pending=self._pending)
        except ModelError as error:
            raise OptimizerError(str(error)) from error
        self._pending += chosen
        return [Suggestion(config) for config in chosen]

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            config: dict[str, Any] = dict(observation.config)
            self._space.codes(config)  # refuses configurations of another space
            if config in self._pending:
                self._pending.remove(config)
            self._history.append(Trial(config, float(observation.value) if succeeded(observation) else None))


@functools.cache
def _decoder(folder: str) -> TrialSetDecoder:
    """A checkpoint's network, read once a process."""
    return TrialSetDecoder(load(folder))

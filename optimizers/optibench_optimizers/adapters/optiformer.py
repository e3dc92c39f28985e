"""OptiFormer: a transformer that predicts every candidate's score from the set of past trials.

The network, its candidates and its acquisition live in ``model/``; this file only speaks the optimizer contract.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from optibench_optimizers.base import Capabilities, Observation, Optimizer, OptimizerError, Suggestion, Training
from optibench_optimizers.history import succeeded
from optibench_optimizers.settings import SettingError, blaming, choice, library_seed, number, whole
from optibench_optimizers.spaces import Config, SearchSpace
from optiformer.errors import ModelError
from optiformer.files import CONFIG
from optiformer.search.proposer import PRESETS, Proposer, ProposerConfig, with_settings
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.checkpoint import default_checkpoint, load
from optiformer.surrogate.surrogate import NetworkSurrogate
from optiformer.training.cache import train_cached
from optiformer.training.config import RunConfig

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


#: Settings whose value, if negative, is the preset's own.
OWN = ("early", "refinements", "ahead", "evaluations")


class OptiFormer(Optimizer):
    """Trial-set OptiFormer: conditions are followed natively, proposals keep away from pending ones.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        checkpoint: A checkpoint's folder; the one that comes with the package if empty.
        train: A training configuration (YAML or a shipped one's name) of the encoding ``trialset``; its cached
            checkpoint is used, and trained first if there is none.
        preset: ``fast`` | ``default`` | ``thorough``: how many candidates are scored, and for how many asks.
        acquisition: ``pi`` | ``gp-ei``; joined by ``+`` they take turns; the preset's own if empty.
        trust: For ``gp-ei`` in turn with others: the share of the scores' variance that its process must explain, each
            trial from the others, to get its turns.
        early: So many first trials ``gp-ei`` alone chooses, where it is among the acquisitions; the preset's own if
            negative.
        margin: Improvement that ``pi`` asks for, in gaps between best and median.
        temperature: Of the predicted distribution; above 1 explores more.
        refinements: Rounds of candidates around the best-scored ones; the preset's own if negative.
        ahead: How many proposals are planned at a time, a share of the trials so far; the preset's own if negative.
        evaluations: Of the marginal likelihood, to fit the network's kernel heads to the history; the preset's own if
            negative.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        batch=True, failed="a model of its own foretells how likely a configuration fails"
    )

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        checkpoint: str = "",
        train: str = "",
        preset: str = "default",
        acquisition: str = "",
        trust: float = 0.8,
        early: int = -1,
        margin: float = 0.01,
        temperature: float = 1.0,
        refinements: int = -1,
        ahead: float = -1.0,
        evaluations: int = -1,
    ) -> None:
        self._space = SearchSpace(space)
        self._seed = library_seed(seed)
        self._history: list[Trial] = []
        self._pending: list[Config] = []
        self._asked = 0
        if checkpoint and train:
            raise OptimizerError("Give optiformer either a checkpoint or a configuration to train, not both.")
        config = _search(
            preset=preset,
            acquisition=acquisition,
            trust=trust,
            early=early,
            margin=margin,
            temperature=temperature,
            refinements=refinements,
            ahead=ahead,
            evaluations=evaluations,
        )
        if train:
            with blaming("train", ModelError):
                checkpoint = str(train_cached(train, progress=False).checkpoint)
        with blaming("checkpoint", ModelError):
            network = _network(checkpoint or str(default_checkpoint()))
        try:
            self._proposer = Proposer(
                Space.from_configspace(space),
                network,
                config,
                allowed=self._space.is_allowed,
            )
        except ModelError as error:
            raise OptimizerError(str(error)) from error

    @classmethod
    def training(cls, settings: Mapping[str, Any]) -> Training | None:
        """The configuration that the setting ``train`` names, if any."""
        config = settings.get("train")
        if not config:
            return None
        if settings.get("checkpoint"):
            raise OptimizerError("Give optiformer either a checkpoint or a configuration to train, not both.")
        _search(**{name: value for name, value in settings.items() if name not in ("train", "checkpoint")})
        with blaming("train", ModelError):  # all that is wrong is found before it is trained
            run = RunConfig.load(config)
            run.refuse_other_encoding("trialset")
            run.trialset.variant.refuse_other_arithmetic()
        return Training(run.digest(), lambda: train_cached(config, progress=False).cost())

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

    def withdraw(self, suggestions: Sequence[Suggestion]) -> None:
        for suggestion in suggestions:
            self._pending.remove(dict(suggestion.config))

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            config: dict[str, Any] = dict(observation.config)
            self._space.codes(config)  # refuses configurations of another space
            if config in self._pending:
                self._pending.remove(config)
            self._history.append(Trial(config, float(observation.value) if succeeded(observation) else None))


def _search(*, preset: str = "default", acquisition: str = "", **numbers: float) -> ProposerConfig:
    """The preset with the settings that are given; of :data:`OWN`, a negative one is the preset's."""
    choice("preset", preset, tuple(PRESETS))
    given = {name: value for name, value in numbers.items() if name not in OWN or number(name, value) >= 0}
    try:
        return with_settings(preset, **given, **({"acquisition": acquisition} if acquisition else {}))
    except ModelError as error:
        raise SettingError(str(error)) from error


def fingerprint(settings: Mapping[str, Any]) -> str:
    """What identifies a checkpoint's proposals beyond package versions: a hash of its configuration and weights.

    Raises:
        OptimizerError: The checkpoint is missing or damaged.
    """
    training = OptiFormer.training(settings)
    if training is not None:
        return training.key
    with blaming("checkpoint", ModelError):
        folder = Path(settings.get("checkpoint") or default_checkpoint())
        load(folder)
        return hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()[:16]


@functools.cache
def _network(folder: str) -> NetworkSurrogate:
    """A checkpoint's network, read once a process."""
    return NetworkSurrogate(load(folder))

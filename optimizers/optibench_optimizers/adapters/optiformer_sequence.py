"""OptiFormer's seed format, ``optiformer-seq``: configurations sampled from the network's policy, token by token.

The network, its tokens and its sampling live in ``model/``; this file only speaks the optimizer contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from optibench_optimizers.base import Capabilities, Observation, Optimizer, OptimizerError, Suggestion, Training
from optibench_optimizers.history import succeeded
from optibench_optimizers.settings import SettingError, blaming, library_seed, number, whole
from optibench_optimizers.spaces import Config, SearchSpace
from optiformer.errors import ModelError
from optiformer.sequence.config import SamplingConfig
from optiformer.sequence.network import Checkpoint, default_checkpoint, load
from optiformer.sequence.policy import Policy
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.training.config import RunConfig

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from optiformer.training.cache import Trained

# How often a proposal that breaks a forbidden clause is sampled anew before a random valid one takes its place.
ATTEMPTS = 20
SAMPLING = ("temperature", "top_p", "margin")


class OptiFormerSeq(Optimizer):
    """Policy sampling from a causal network over named tokens; conditions are followed natively.

    What has been asked and not told is shown to the network with the median value (a constant liar), the other
    configurations of a batch too.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        checkpoint: A checkpoint's folder; the one that comes with the package if empty.
        train: A training configuration (YAML); its cached checkpoint is used, and trained first if there is none.
        temperature: Divides the logits; the checkpoint's own if negative.
        top_p: Keep the likeliest tokens with this probability; the checkpoint's own if 0.
        margin: How far below the best value the target lies, in gaps between best and median; the checkpoint's own if
            negative.
        rerank: Samples a proposal; the one with the largest expected improvement is taken; 0: the policy alone.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(batch=True, failed="shown to the network as infeasible")

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        checkpoint: str = "",
        train: str = "",
        temperature: float = -1.0,
        top_p: float = 0.0,
        margin: float = -1.0,
        rerank: int = 0,
    ) -> None:
        self._space = SearchSpace(space)
        self._seed = library_seed(seed)
        self._history: list[Trial] = []
        self._pending: list[Config] = []
        self._asked = 0
        if checkpoint and train:
            raise OptimizerError("Give optiformer-seq either a checkpoint or a configuration to train, not both.")
        rerank = _rerank(rerank)
        with blaming("checkpoint", ModelError):
            loaded = _load(checkpoint or (str(_trained(train).checkpoint) if train else ""))
        try:
            sampling = _sampling(loaded.sampling, temperature=temperature, top_p=top_p, margin=margin)
            self._policy = Policy(Space.from_configspace(space), loaded, sampling=sampling, rerank=rerank)
        except ModelError as error:
            raise OptimizerError(str(error)) from error

    @classmethod
    def training(cls, settings: Mapping[str, Any]) -> Training | None:
        config = settings.get("train")
        if not config:
            return None
        if settings.get("checkpoint"):
            raise OptimizerError("Give optiformer-seq either a checkpoint or a configuration to train, not both.")
        with blaming("train", ModelError):  # all that is wrong is found before it is trained
            RunConfig.load(config).refuse_other_encoding("seq")
        _rerank(settings.get("rerank", 0))
        _sampling(SamplingConfig(), **{name: settings[name] for name in SAMPLING if name in settings})
        return Training(fingerprint(settings), lambda: _trained(str(config), progress=True).cost())

    def ask(self, n: int = 1) -> list[Suggestion]:
        rng = np.random.default_rng([self._seed, len(self._history), self._asked])
        self._asked += whole("n", n)
        return [Suggestion(self._ask_one(rng)) for _ in range(n)]

    def _ask_one(self, rng: np.random.Generator) -> Config:
        """The policy's next proposal, for which all that is out counts as the median; it is out from now on."""
        for _ in range(ATTEMPTS):
            (config,) = self._policy.suggest(self._history, 1, rng=rng, pending=self._pending)
            if self._space.is_allowed(config):
                break
        else:
            (config,) = self._space.sample(1, np.random.RandomState(rng.integers(2**31)))
        self._pending.append(config)
        return config

    def withdraw(self, suggestions: Sequence[Suggestion]) -> None:
        for suggestion in suggestions:
            self._pending.remove(dict(suggestion.config))

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            config = dict(observation.config)
            self._space.codes(config)  # refuses a configuration of another space
            if config in self._pending:
                self._pending.remove(config)
            self._history.append(Trial(config, float(observation.value) if succeeded(observation) else None))


def _rerank(samples: int) -> int:
    return whole("rerank", samples, least=0, most=10_000)


def _sampling(
    own: SamplingConfig, *, temperature: float = -1.0, top_p: float = 0.0, margin: float = -1.0
) -> SamplingConfig:
    """A checkpoint's own sampling, changed where the settings ask for it."""
    changes: dict[str, Any] = {"temperature": number("temperature", temperature), "margin": number("margin", margin)}
    changes = {name: value for name, value in changes.items() if value >= 0}
    if number("top_p", top_p) > 0:
        changes["top_p"] = top_p
    try:
        return replace(own, **changes)
    except ModelError as error:
        raise SettingError(str(error)) from error


def fingerprint(settings: Mapping[str, Any]) -> str:
    """What identifies proposals beyond package versions: the sums of the checkpoint's weights, tokens and sampling.

    A checkpoint that is yet to be trained is identified by its configuration.

    Raises:
        OptimizerError: The checkpoint or the configuration is missing or damaged.
    """
    if settings.get("train"):
        with blaming("train", ModelError):
            return RunConfig.load(settings["train"]).digest()
    with blaming("checkpoint", ModelError):
        return _load(str(settings.get("checkpoint", ""))).digest()


def _trained(config: str, *, progress: bool = False) -> Trained:
    """The cached checkpoint of a configuration, trained first if there is none."""
    from optiformer.training.cache import train_cached

    with blaming("train", ModelError):
        return train_cached(config, progress=progress)


_loaded: dict[str, Checkpoint] = {}


def _load(folder: str) -> Checkpoint:
    """A checkpoint, read once a process."""
    key = folder or str(default_checkpoint())
    if key not in _loaded:
        _loaded[key] = load(key)
    return _loaded[key]

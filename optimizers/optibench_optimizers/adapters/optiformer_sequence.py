"""OptiFormer over tokens, ``optiformer-seq``: configurations sampled from the network's policy, token by token.

The network, its tokens and its sampling live in ``model/``; this file only implements the optimizer contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from optibench_optimizers.adapters.optiformer_trials import OptiFormerOptimizer, training_config
from optibench_optimizers.base import OptimizerError, Suggestion, Training
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import SettingError, blaming, whole
from optibench_optimizers.spaces import Config
from optiformer.errors import ModelError
from optiformer.sequence.config import SamplingConfig
from optiformer.sequence.network import Checkpoint, default_checkpoint, load
from optiformer.sequence.policy import Policy
from optiformer.space.space import Space
from optiformer.training.config import RunConfig

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from optiformer.training.cache import Trained

# Samples of a proposal that violates a forbidden clause before a random valid configuration replaces it.
ATTEMPTS = 20
SAMPLING = ("temperature", "top_p", "margin")


class OptiFormerSeq(OptiFormerOptimizer):
    """Policy sampling from a causal network over named tokens; conditions are followed natively.

    The network sees pending configurations, the others of a batch included, at the median value (constant liar).

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        checkpoint: A checkpoint's folder; the one that comes with the package if empty.
        train: A training configuration (YAML); its cached checkpoint is used, and trained first if there is none.
        temperature: Divides the logits; the checkpoint's own if negative.
        top_p: Keep the likeliest tokens with this probability; the checkpoint's own if 0.
        margin: How far below the best value the target lies, in gaps between best and median; the checkpoint's own if
            negative.
        rerank: Samples per proposal, of which the one with the largest expected improvement is taken; 0 for one sample.
    """

    capabilities = CAPABILITIES["optiformer-seq"]

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
        super().__init__(space, seed=seed)
        training_config({"checkpoint": checkpoint, "train": train}, "optiformer-seq")
        with blaming("checkpoint", ModelError):
            loaded = _load(checkpoint or (str(_trained(train).checkpoint) if train else ""))
        try:
            sampling = _sampling(loaded.sampling, temperature=temperature, top_p=top_p, margin=margin)
            self._policy = Policy(Space.from_configspace(space), loaded, sampling=sampling, rerank=rerank)
        except ModelError as error:
            raise OptimizerError(str(error)) from error

    @classmethod
    def training(cls, settings: Mapping[str, Any]) -> Training | None:
        config = training_config(settings, "optiformer-seq")
        if not config:
            return None
        with blaming("train", ModelError):  # finds every error before training
            RunConfig.load(config).refuse_other_encoding("seq")
        _sampling(SamplingConfig(), **{name: settings[name] for name in SAMPLING if name in settings})
        return Training(fingerprint(settings), lambda: _trained(str(config), progress=True).cost())

    def ask(self, n: int = 1) -> list[Suggestion]:
        rng = np.random.default_rng([self._seed, len(self._history), self._asked])
        self._asked += whole("n", n)
        return [Suggestion(self._ask_one(rng)) for _ in range(n)]

    def _ask_one(self, rng: np.random.Generator) -> Config:
        """The policy's next proposal, which becomes pending."""
        for _ in range(ATTEMPTS):
            (config,) = self._policy.suggest(self._history, 1, rng=rng, pending=self._pending)
            if self._space.is_allowed(config):
                break
        else:
            (config,) = self._space.sample(1, np.random.RandomState(rng.integers(2**31)))
        self._pending.append(config)
        return config


def _sampling(
    own: SamplingConfig, *, temperature: float = -1.0, top_p: float = 0.0, margin: float = -1.0
) -> SamplingConfig:
    """A checkpoint's own sampling, changed where the settings ask for it."""
    changes: dict[str, Any] = {"temperature": temperature, "margin": margin}
    changes = {name: value for name, value in changes.items() if value >= 0}
    if top_p > 0:
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

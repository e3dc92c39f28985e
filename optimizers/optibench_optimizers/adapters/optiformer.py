"""OptiFormer: a transformer that predicts every candidate's score from the set of past trials.

The network, its candidates and its acquisition live in ``model/``; this file only implements the optimizer contract.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optibench_optimizers.adapters.optiformer_trials import ProposerOptimizer, training_config
from optibench_optimizers.base import Training
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import SettingError, blaming
from optiformer.errors import ModelError
from optiformer.search.config import ProposerConfig, with_settings
from optiformer.surrogate.checkpoint import default_checkpoint, load
from optiformer.surrogate.checkpoint import fingerprint as of_checkpoint
from optiformer.surrogate.surrogate import NetworkSurrogate
from optiformer.training.cache import train_cached
from optiformer.training.config import RunConfig

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


#: Settings for which a negative value means the preset's.
FROM_PRESET = ("n_gp_only", "refinements", "batch_fraction", "evaluations", "screened")


class OptiFormer(ProposerOptimizer):
    """OptiFormer over sets of trials: conditions are native, and pending configurations penalize their neighbours.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        checkpoint: Folder of a checkpoint; empty for the one shipped with the package.
        train: A training configuration (YAML or a shipped one's name) of the encoding ``surrogate``; its cached
            checkpoint is used, and trained first if there is none.
        network: ``trained`` | ``untrained``: the checkpoint's weights, or random ones of the same shape, a control.
        preset: ``fast`` | ``default`` | ``thorough``: number of candidates, and of proposals per ask.
        acquisition: ``pi`` | ``gp-ei``; joined by ``+`` they alternate; empty for the preset's.
        min_gp_r2: Minimum leave-one-out R^2 of the GP behind ``gp-ei`` for it to alternate with others and to screen.
        n_gp_only: Number of first trials chosen by ``gp-ei`` alone, if it is among the acquisitions; negative for the
            preset's.
        margin: Improvement that ``pi`` requires, in units of the distance from best to median.
        temperature: Of the predicted distribution; above 1 explores more.
        refinements: Rounds of candidates around the best-scored ones; negative for the preset's.
        batch_fraction: Proposals per encoding of the history, as a fraction of the number of trials; negative for the
            preset's.
        evaluations: Marginal-likelihood evaluations that fit the GP to the history; negative for the preset's.
        screened: Maximum number of candidates that the network scores where the GP screens; negative for the preset's.
    """

    capabilities = CAPABILITIES["optiformer"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        checkpoint: str = "",
        train: str = "",
        network: str = "trained",
        preset: str = "default",
        acquisition: str = "",
        min_gp_r2: float = 0.8,
        n_gp_only: int = -1,
        margin: float = 0.01,
        temperature: float = 1.0,
        refinements: int = -1,
        batch_fraction: float = -1.0,
        evaluations: int = -1,
        screened: int = -1,
    ) -> None:
        training_config({"checkpoint": checkpoint, "train": train}, "optiformer")
        config = search(
            preset=preset,
            acquisition=acquisition,
            min_gp_r2=min_gp_r2,
            n_gp_only=n_gp_only,
            margin=margin,
            temperature=temperature,
            refinements=refinements,
            batch_fraction=batch_fraction,
            evaluations=evaluations,
            screened=screened,
        )
        if train:
            with blaming("train", ModelError):
                checkpoint = str(train_cached(train, progress=False).checkpoint)
        with blaming("checkpoint", ModelError):
            surrogate = _surrogate(checkpoint or str(default_checkpoint()), network)
        super().__init__(space, surrogate, config, seed=seed)

    @classmethod
    def training(cls, settings: Mapping[str, Any]) -> Training | None:
        """The configuration that the setting ``train`` names, if any."""
        config = training_config(settings, "optiformer")
        if not config:
            return None
        search(**{name: value for name, value in settings.items() if name not in ("train", "checkpoint", "network")})
        with blaming("train", ModelError):  # finds every error before training
            run = RunConfig.load(config)
            run.refuse_other_encoding("surrogate")
            run.surrogate.variant.refuse_other_arithmetic()
        return Training(run.digest(), lambda: train_cached(config, progress=False).cost())


def search(*, preset: str = "default", acquisition: str = "", **numbers: float) -> ProposerConfig:
    """The preset with the given settings; negative values of :data:`FROM_PRESET` are ignored."""
    given = {name: value for name, value in numbers.items() if name not in FROM_PRESET or value >= 0}
    try:
        return with_settings(preset, **given, **({"acquisition": acquisition} if acquisition else {}))
    except ModelError as error:
        raise SettingError(str(error)) from error


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A hash of a checkpoint's configuration and weights, which determine the proposals beyond package versions.

    Raises:
        OptimizerError: The checkpoint is missing or damaged.
    """
    training = OptiFormer.training(settings)
    if training is not None:
        return training.key
    with blaming("checkpoint", ModelError):
        folder = settings.get("checkpoint") or default_checkpoint()
        load(folder)  # rejects a damaged one
        return of_checkpoint(folder)


@functools.cache
def _surrogate(folder: str, network: str) -> NetworkSurrogate:
    """A checkpoint's network, read once per process."""
    checkpoint = load(folder)
    if network == "untrained":
        from optiformer.surrogate.network.network import untrained

        checkpoint = untrained(checkpoint)
    elif network != "trained":
        raise SettingError(f"Setting 'network' must be one of trained, untrained, not {network!r}.")
    return NetworkSurrogate(checkpoint)

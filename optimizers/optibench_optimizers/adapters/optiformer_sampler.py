"""OptiFormer as an Optuna sampler: ``OptiFormerSampler`` in a study, define-by-run.

``optiformer`` receives the space and its conditions; this optimizer sees a parameter when a trial first has it. So a
grid measures how ``optiformer.sampler`` handles conditions, failures and pending trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench_optimizers.adapters import gp_controls
from optibench_optimizers.adapters.optuna_study import OptunaOptimizer
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import MAX_COUNT, blaming, library_seed, number, whole
from optiformer.errors import ModelError
from optiformer.sampler import OptiFormerSampler as Sampler
from optiformer.surrogate.checkpoint import default_checkpoint, load
from optiformer.surrogate.checkpoint import fingerprint as of_checkpoint

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class OptiFormerSampler(OptunaOptimizer):
    """``optiformer.OptiFormerSampler`` with its defaults.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        checkpoint: A checkpoint's folder, of either encoding; the one that comes with the package if empty. The priors
            of ``gp-prior`` are those of its training data.
        surrogate: ``network`` | ``untrained`` (the network with random weights) | ``gp-map`` | ``gp-prior``.
        preset: ``default`` | ``thorough``: how many candidates are scored.
        temperature: Above 1 explores more; the checkpoint's own if negative.
        n_startup_trials: Successful trials before the network is used; the checkpoint's own if negative.
        n_objectives: The number of objectives.
    """

    capabilities = CAPABILITIES["optiformer-sampler"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        checkpoint: str = "",
        surrogate: str = "network",
        preset: str = "default",
        temperature: float = -1.0,
        n_startup_trials: int = -1,
        n_objectives: int = 1,
    ) -> None:
        changes: dict[str, Any] = {}
        if temperature >= 0:
            changes["temperature"] = number("temperature", temperature, above=0)
        if n_startup_trials >= 0:
            changes["n_startup_trials"] = whole("n_startup_trials", n_startup_trials, least=0, most=MAX_COUNT)
        with blaming("checkpoint", ModelError):
            model: Any = Path(checkpoint) if checkpoint else None
            if surrogate == "untrained":
                from optiformer.surrogate.network.network import untrained

                model, surrogate = untrained(load(model or default_checkpoint())), "network"
            sampler = Sampler(model, surrogate=surrogate, preset=preset, seed=library_seed(seed), **changes)
        super().__init__(space, sampler, seed=seed, n_objectives=n_objectives)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """What identifies the proposals beyond package versions: a hash of the checkpoint or of the learned priors.

    Raises:
        OptimizerError: The checkpoint is missing or damaged.
    """
    if settings.get("surrogate", "").startswith("gp-"):
        return gp_controls.fingerprint(settings)
    with blaming("checkpoint", ModelError):
        folder = Path(settings.get("checkpoint") or default_checkpoint())
        Sampler(folder, seed=0)  # rejects a damaged one
        return of_checkpoint(folder)

"""The controls: OptiFormer's search with a GP in place of its network.

Candidates, initial design, failures, conditions and pending configurations are treated alike, so what OptiFormer gains
over them is its network's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench_optimizers.adapters.optiformer import search
from optibench_optimizers.adapters.optiformer_trials import ProposerOptimizer
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.settings import blaming
from optiformer.errors import ModelError
from optiformer.gp.prior import GPPrior, read
from optiformer.surrogate.checkpoint import default_checkpoint
from optiformer.surrogate.gp_surrogate import GP_EVALUATIONS, control

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class GPMap(ProposerOptimizer):
    """A GP with MAP hyperparameters and expected improvement of the noise-free value.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        preset: ``fast`` | ``default`` | ``thorough``: number of candidates, and of proposals per ask.
        kernels: ``one``: Matern 5/2; ``all``: five GPs with three kernels and several output warpings, of which each
            ask takes the one with the best leave-one-out density.
        evaluations: Approximate number of marginal-likelihood evaluations of each fit.
    """

    capabilities = CAPABILITIES["gp-map"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        preset: str = "default",
        kernels: str = "all",
        evaluations: int = GP_EVALUATIONS,
    ) -> None:
        config = search(preset=preset, acquisition="gp-ei", evaluations=evaluations)
        super().__init__(space, control((), kernels), config, seed=seed)


class GPLearnedPrior(ProposerOptimizer):
    """``gp-map`` with priors fitted to the training data of a network: learning without the network.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        checkpoint: Folder of that network's checkpoint; the shipped one's if empty.
        preset, kernels, evaluations: See :class:`GPMap`.
    """

    capabilities = CAPABILITIES["gp-prior"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        checkpoint: str = "",
        preset: str = "default",
        kernels: str = "all",
        evaluations: int = GP_EVALUATIONS,
    ) -> None:
        config = search(preset=preset, acquisition="gp-ei", evaluations=evaluations)
        super().__init__(space, control(_priors(checkpoint), kernels), config, seed=seed)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A hash of the learned priors.

    Raises:
        OptimizerError: The checkpoint has none.
    """
    return hashlib.sha256(repr(_priors(settings.get("checkpoint", ""))).encode()).hexdigest()[:16]


def _priors(checkpoint: str) -> tuple[GPPrior, ...]:
    with blaming("checkpoint", ModelError):
        return read(Path(checkpoint) if checkpoint else default_checkpoint())

"""The controls: OptiFormer's search with a GP in place of its network.

Candidates, initial design, failures, conditions and pending configurations are treated alike, so what OptiFormer gains
over them is its network's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optibench_optimizers.adapters.optiformer import search
from optibench_optimizers.adapters.optiformer_trials import ProposerOptimizer
from optibench_optimizers.catalog import CAPABILITIES
from optiformer.gp.prior import SHIPPED
from optiformer.surrogate.gp_surrogate import GP_EVALUATIONS, by_name

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
    surrogate = "gp-map"

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
        super().__init__(space, by_name(self.surrogate, kernels), config, seed=seed)


class GPLearnedPrior(GPMap):
    """``gp-map`` with priors fitted to the training data of the shipped network: learning without a network.

    Its settings are those of :class:`GPMap`.
    """

    capabilities = CAPABILITIES["gp-prior"]
    surrogate = "gp-prior"


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A hash of the learned priors."""
    return hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:16]

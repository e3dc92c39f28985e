"""Gaussian-process optimization with BoTorch and GPyTorch: log expected improvement on mixed spaces, likewise of the
hypervolume and under constraints.

The model is BoTorch's default, ``SingleTaskGP``: RBF with the dimension-scaled length-scale prior of Hvarfner et al.
2024. Where there are categories, that kernel is multiplied with BoTorch's Hamming kernel, one length scale a category
with the same prior; ``MixedSingleTaskGP``, which sums and multiplies two of each with free scales and no priors, takes
up to twenty times as long to fit to this few trials. Every objective and every constraint has a model of its own.

=================== ===========================================================================================
one objective       ``LogExpectedImprovement`` (Ament et al. 2023)
… with constraints  ``LogConstrainedExpectedImprovement``: plus the log probability of feasibility (Gardner et al. 2014)
several objectives  ``qLogNoisyExpectedHypervolumeImprovement`` (Daulton et al. 2021), with or without constraints; the
                    reference point is a tenth of the range beyond the worst feasible values
                    (``infer_reference_point``; the front of a few trials alone is a box that the search never leaves)
nothing feasible    ``LogProbabilityOfFeasibility``
=================== ===========================================================================================

They are maximized by gradients over numbers and local search over the rest.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import (
    LogConstrainedExpectedImprovement,
    LogExpectedImprovement,
    LogProbabilityOfFeasibility,
)
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.kernels.categorical import CategoricalKernel
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from botorch.optim.optimize import optimize_acqf
from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from scipy.stats import qmc

from optibench_optimizers.base import Observation, OptimizerError, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.history import HUGE, Pending, PendingOptimizer, key, objectives
from optibench_optimizers.settings import SettingError, library_seed
from optibench_optimizers.spaces import MAX_DRAWS, Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

# From 0.18 on, BoTorch compiles a kernel for the hypervolume when it first needs one: a process and files in the user's
# folder, and in parallel cells a lock that a killed one leaves behind. Its Python implementation is slower.
logei._load_attempted = True

# An integer with more values than this is treated as a float and rounded.
MAX_LISTED_VALUES = 32
N_RANDOM_CANDIDATES = 1000
N_SAMPLES = 128  # of the posterior, for the hypervolume; as in BoTorch's tutorials


def standardized(values: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Values of shape ``(n,)`` with mean 0 and standard deviation 1, and what 0 becomes.

    BoTorch cannot scale constant values: they become 0 where only their size is a scale.
    """
    deviation, size = (float(values.std()) if len(values) > 1 else 0.0), float(values.abs().max())
    scale = deviation if deviation > 1e-12 * size else (size or 1.0)
    return (values - values.mean()) / scale, -float(values.mean()) / scale


def _excess(samples: torch.Tensor, *, index: int, limit: float) -> torch.Tensor:
    """How far an outcome is above its limit, of samples with outcomes last; negative where the constraint is met."""
    return samples[..., index] - limit


class BoTorchGP(PendingOptimizer):
    """BoTorch on the unit cube; categories as their index, integers and ranks at the middle of their interval.

    Until there are ``n_initial`` trials (an initial design counts) and one success, configurations come from a
    scrambled Sobol' sequence. A failed trial has the worst of each objective and constraint so far. Pending
    configurations are BoTorch's ``X_pending`` for the hypervolume; otherwise they have the best value so far and the
    median constraints (constant liar). If the maximum of the acquisition rounds to a configuration that was tried
    before or is forbidden, the best new one of ``N_RANDOM_CANDIDATES`` random configurations is suggested. If the model
    cannot be fitted, which happens only with degenerate data, its hyperparameters stay at their priors' modes.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        n_objectives, n_constraints: Their numbers.
        n_initial: Number of trials before the model is used.
        num_restarts: Starting points of the acquisition's maximization.
        raw_samples: Random points among which those are picked.
    """

    capabilities = CAPABILITIES["gp-botorch"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        n_objectives: int = 1,
        n_constraints: int = 0,
        n_initial: int = 10,
        num_restarts: int = 8,
        raw_samples: int = 256,
    ) -> None:
        self._space = SearchSpace(space)
        self._n_objectives, self._n_outcomes = n_objectives, n_objectives + n_constraints
        self._n_initial = n_initial
        self._raw_samples = raw_samples
        self._num_restarts = num_restarts
        if num_restarts > raw_samples:
            raise SettingError(f"Setting 'num_restarts' is at most 'raw_samples', not {num_restarts} of {raw_samples}.")
        self._rng = np.random.RandomState(library_seed(seed))
        generator = np.random.default_rng(library_seed(seed))
        self._sobol = qmc.Sobol(len(self._space), scramble=True, rng=generator)
        parameters = self._space.parameters
        self._categories = {
            i: [float(code) for code in range(len(p.values))]
            for i, p in enumerate(parameters)
            if p.kind == "categorical"
        }
        self._steps = {
            i: [p.to_unit(p.low + step) for step in range(int(p.size))]
            for i, p in enumerate(parameters)
            if p.kind in ("integer", "ordinal") and p.size <= MAX_LISTED_VALUES
        }
        self._points: list[list[float]] = []
        self._tried: set[Any] = set()
        self._outcomes: list[list[float]] = []  # objectives and constraints, a row a trial; NaN of a failed one
        self._pending: Pending[Config] = Pending()

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            self._pending.pop(observation.config)
            self._points.append(self._encode(observation.config))
            self._tried.add(key(observation.config))
            values, failed = objectives(observation), [math.nan] * self._n_outcomes
            self._outcomes.append(failed if values is None else [*values, *observation.constraints])

    def ask(self, n: int = 1) -> list[Suggestion]:
        lies = self._pending.waiting()  # pending configurations count as the best value so far
        out = len(lies)
        for _ in range(n):
            any_succeeded = any(not math.isnan(row[0]) for row in self._outcomes)
            if len(self._outcomes) + len(lies) < self._n_initial or not any_succeeded:
                lies.append(self._initial())
            else:
                lies.append(self._propose(lies))
        for config in lies[out:]:
            self._pending.add(config, config)
        return [Suggestion(config) for config in lies[out:]]

    def _initial(self) -> Config:
        for _ in range(MAX_DRAWS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # single points: their balance matters little
                config = self._space.from_unit(self._sobol.random(1)[0])
            if self._space.is_allowed(config):
                return config
        raise OptimizerError(
            f"The next {MAX_DRAWS} Sobol' points all break a forbidden clause; use `random` on this space."
        )

    # Points: like the unit cube, but a category is its index -----------------------------------------------------

    def _encode(self, config: Any) -> list[float]:
        codes = zip(self._space.parameters, self._space.codes(config), strict=True)
        return [float(code) if p.kind == "categorical" else p.to_unit(code) for p, code in codes]

    def _decode(self, point: Sequence[float]) -> Config:
        pairs = zip(self._space.parameters, point, strict=True)
        return self._space.configuration([x if p.kind == "categorical" else p.from_unit(x) for p, x in pairs])

    def _propose(self, lies: Sequence[Config]) -> Config:
        points = torch.tensor(self._points, dtype=torch.double)
        outcomes = torch.tensor(self._outcomes, dtype=torch.double).clamp(-HUGE, HUGE)
        worst = outcomes.nan_to_num(-HUGE).max(dim=0).values
        outcomes = torch.where(outcomes.isnan(), worst, outcomes)
        pending = torch.tensor([self._encode(config) for config in lies], dtype=torch.double)
        seed = int(self._rng.randint(2**31 - 1))
        # BoTorch draws from torch's global generator: seed it, then restore the caller's state.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            acquisition = self._acquisition(points, outcomes, pending.reshape(len(lies), len(self._space)), seed)
            config = self._decode(self._maximize(acquisition).tolist())
            tried = self._tried | {key(lie) for lie in lies}
            if key(config) in tried or not self._space.is_allowed(config):
                return self._best_random(acquisition, tried)
        return config

    def _acquisition(
        self, points: torch.Tensor, outcomes: torch.Tensor, pending: torch.Tensor, seed: int
    ) -> AcquisitionFunction:
        """The acquisition function of the module's table.

        Args:
            points: The observed configurations, of shape ``(n, d)``.
            outcomes: Their objectives and constraints, of shape ``(n, m)``.
            pending: The pending configurations, of shape ``(p, d)``.
            seed: Of the samples from the posterior.
        """
        k = self._n_objectives
        feasible = (outcomes[:, k:] <= 0.0).all(dim=1)
        hypervolume = k > 1 and bool(feasible.any())
        if not hypervolume:
            best = (outcomes[feasible] if feasible.any() else outcomes)[:, :k].min(dim=0).values
            lie = torch.cat([best, outcomes[:, k:].median(dim=0).values]).expand(len(pending), -1)
            points, outcomes = torch.cat([points, pending]), torch.cat([outcomes, lie])
            feasible = torch.cat([feasible, feasible.any().expand(len(pending))])
        scaled, limits = zip(*(standardized(column) for column in outcomes.T.contiguous()), strict=True)
        if hypervolume:  # BoTorch maximizes it
            observed = -torch.stack(scaled[:k], dim=1)[feasible]
            return qLogNoisyExpectedHypervolumeImprovement(
                self._fitted(points, [*(-values for values in scaled[:k]), *scaled[k:]]),
                ref_point=infer_reference_point(observed),
                X_baseline=points,
                X_pending=pending if len(pending) else None,
                sampler=SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=seed),
                objective=IdentityMCMultiOutputObjective(outcomes=list(range(k))),
                constraints=[partial(_excess, index=i, limit=limits[i]) for i in range(k, len(limits))] or None,
                prune_baseline=True,
            )
        bounds: dict[int, tuple[float | None, float | None]] = {i: (None, limits[i]) for i in range(k, len(limits))}
        if not feasible.any():
            return LogProbabilityOfFeasibility(self._fitted(points, scaled), bounds)
        best_f = scaled[0][feasible].min()
        if bounds:
            return LogConstrainedExpectedImprovement(self._fitted(points, scaled), best_f, 0, bounds, maximize=False)
        return LogExpectedImprovement(self._fitted(points, scaled), best_f=best_f, maximize=False)

    def _fitted(self, points: torch.Tensor, outcomes: Sequence[torch.Tensor]) -> SingleTaskGP | ModelListGP:
        """A model of each outcome, of shape ``(n,)``."""
        models = []
        for values in outcomes:
            model = self._model(points, values[:, None])
            try:
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            except ModelFittingError:
                model = self._model(points, values[:, None])
            models.append(model)
        return models[0] if len(models) == 1 else ModelListGP(*models)

    def _model(self, points: torch.Tensor, values: torch.Tensor) -> SingleTaskGP:
        categories = list(self._categories)
        if not categories:
            return SingleTaskGP(points, values)
        prior = LogNormalPrior(loc=math.sqrt(2), scale=math.sqrt(3))
        covariance: Kernel = CategoricalKernel(
            ard_num_dims=len(categories),
            active_dims=categories,
            lengthscale_prior=prior,
            lengthscale_constraint=GreaterThan(2.5e-2, transform=None, initial_value=prior.mode),
        )
        numbers = [i for i in range(len(self._space)) if i not in self._categories]
        if numbers:
            covariance = covariance * get_covar_module_with_dim_scaled_prior(len(numbers), active_dims=numbers)
        return SingleTaskGP(points, values, covar_module=covariance)

    def _maximize(self, acquisition: AcquisitionFunction) -> torch.Tensor:
        ends = [self._categories.get(i) or self._steps.get(i) or [0.0, 1.0] for i in range(len(self._space))]
        bounds = torch.tensor([[values[0] for values in ends], [values[-1] for values in ends]], dtype=torch.double)
        how: dict[str, Any] = {"num_restarts": self._num_restarts, "raw_samples": self._raw_samples}
        if self._categories or self._steps:
            candidates, _ = optimize_acqf_mixed_alternating(
                acquisition, bounds, discrete_dims=self._steps, cat_dims=self._categories, **how
            )
        else:
            candidates, _ = optimize_acqf(acquisition, bounds, q=1, **how)
        return candidates[0]

    def _best_random(self, acquisition: AcquisitionFunction, tried: set[Any]) -> Config:
        drawn = self._space.sample(N_RANDOM_CANDIDATES, self._rng)
        candidates = [config for config in drawn if key(config) not in tried] or drawn
        points = torch.tensor([self._encode(config) for config in candidates], dtype=torch.double)
        with torch.no_grad():
            return candidates[int(acquisition(points[:, None, :]).argmax())]

"""The built-in optimizers.

Importing this module imports none of their libraries; the adapters take their capabilities from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optibench_optimizers.base import Capabilities
from optibench_optimizers.entry import Entry, Startup
from optibench_optimizers.settings import MAX_COUNT, Choice, Number, Whole

_WORST = "counts as the worst success so far"
_PREDICTED = "a separate model predicts how likely a configuration fails"
_DEFAULTS = "inactive parameters are observed at their default and dropped from suggestions"
_COORDINATES = "inactive parameters keep their coordinates in the search distribution and are dropped from suggestions"
_SOBOL_DIMENSIONS = 21201  # the longest table of direction numbers in SciPy
_MAX_SIGMA = 10.0  # of ranges: if wider, nearly every point is drawn again or cut at a bound
_COUNT = Whole(1, MAX_COUNT)
_TPE = {"n_startup_trials": Whole(0, MAX_COUNT), "n_ei_candidates": Whole(1, 100_000), "constant_liar": bool}
_ETA = {"eta": Whole(2, 1000)}
_CHECKPOINT = {"checkpoint": str}
_GP_CONTROL = {
    "preset": Choice(("fast", "default", "thorough")),
    "kernels": Choice(("one", "all")),
    "evaluations": Whole(1, 1000),
}
_RETRAIN = {"retrain_after": _COUNT}
_OPTUNA: dict[str, Any] = {"packages": ("optuna>=5",), "install": "pip install 'optuna>=5'"}
_SMAC: dict[str, Any] = {
    "packages": ("scipy", "scikit-learn>=1.5", "smac>=2.4"),
    "install": "pip install 'smac>=2.4'",
    "ignores_budget": False,
}


def _entry(
    name: str,
    summary: str,
    target: str,
    capabilities: Capabilities,
    packages: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
    ignores_budget: bool = True,
    **more: Any,
) -> Entry:
    """The entry of a built-in optimizer; every adapter needs ConfigSpace and NumPy."""
    return Entry(
        name,
        summary,
        f"optibench_optimizers.adapters.{target}",
        replace(capabilities, ignores_budget=ignores_budget),
        packages=("ConfigSpace", "numpy", *packages),
        settings=settings or {},
        **more,
    )


ENTRIES = (
    _entry(
        "random",
        "Uniform random search.",
        "random_search:RandomSearch",
        Capabilities(batch=True, failed="nothing, as from any trial", objectives=True, constraints=True),
    ),
    _entry(
        "sobol",
        "Scrambled Sobol' sequence (scipy.stats.qmc).",
        "sobol:Sobol",
        Capabilities(
            conditional="the coordinates of inactive parameters are dropped",
            batch=True,
            max_dimensions=_SOBOL_DIMENSIONS,
            failed="nothing, as from any trial",
            objectives=True,
            constraints=True,
        ),
        packages=("scipy",),
        settings={"scramble": bool},
    ),
    _entry(
        "tpe",
        "TPE, Optuna 5's default for one objective: multivariate (group=true adds groups for conditional spaces).",
        "tpe:TPE",
        Capabilities(batch=True, objectives=True, constraints=True),
        settings={"multivariate": bool, "group": bool, **_TPE},
        startup=Startup(10, "n_startup_trials"),
        **_OPTUNA,
    ),
    _entry(
        "tpe-univariate",
        "TPE, each parameter modelled alone: the 2011 paper's, Optuna's default for several objectives (MOTPE).",
        "tpe:UnivariateTPE",
        Capabilities(batch=True, objectives=True, constraints=True),
        settings=_TPE,
        startup=Startup(10, "n_startup_trials"),
        **_OPTUNA,
    ),
    _entry(
        "nsga2",
        "NSGA-II, Optuna's: a genetic algorithm for several objectives (population_size=50).",
        "genetic.nsga:NSGAII",
        Capabilities(batch=True, objectives=True, constraints=True),
        settings={"population_size": Whole(2, 10_000)},
        startup=Startup(50, "population_size"),
        **_OPTUNA,
    ),
    _entry(
        "nsga3",
        "NSGA-III, Optuna's: NSGA-II with reference directions, for many objectives (population_size=50).",
        "genetic.nsga:NSGAIII",
        Capabilities(batch=True, objectives=True, constraints=True),
        settings={"population_size": Whole(2, 10_000)},
        startup=Startup(50, "population_size"),
        **_OPTUNA,
    ),
    _entry(
        "cmaes",
        "CMA-ES from the best of the initial design; CatCMA with margin where there are categories (cmaes).",
        "cma_es:CMAES",
        Capabilities(conditional=_COORDINATES, batch=True, failed=_WORST),
        packages=("scipy", "cmaes>=0.11"),
        settings={"sigma0": Number(0.0, _MAX_SIGMA), "popsize": Whole(0, 10_000), "margin": bool},
        startup=Startup(0, "popsize", generation=True),
        install="pip install 'cmaes>=0.11'",
    ),
    _entry(
        "pycma",
        "CMA-ES with constraints: an augmented Lagrangian (pycma).",
        "genetic.pycma:ConstrainedCMAES",
        Capabilities(conditional=_COORDINATES, batch=True, failed=_WORST, constraints=True),
        packages=("scipy", "cma>=4"),
        settings={"sigma0": Number(0.0, _MAX_SIGMA), "popsize": Whole(0, 10_000)},
        startup=Startup(0, "popsize", generation=True),
        install="pip install 'optiformer-bench[pycma]'",
    ),
    _entry(
        "gp-skopt",
        "Gaussian process, scikit-optimize's default: Matern 5/2, gp_hedge over EI, LCB and PI.",
        "gp_skopt:SkoptGP",
        Capabilities(conditional=_DEFAULTS, batch=True, failed=_WORST),
        packages=("scipy", "scikit-learn>=1.5", "scikit-optimize>=0.10.2"),
        settings={"acq_func": Choice(("gp_hedge", "EI", "LCB", "PI")), "n_initial_points": _COUNT},
        startup=Startup(10, "n_initial_points"),
        install="pip install 'scikit-optimize>=0.10.2'",
    ),
    _entry(
        "gp-optuna",
        "Gaussian process, Optuna's GPSampler: Matern 5/2, log expected improvement.",
        "gp_optuna:OptunaGP",
        Capabilities(
            conditional="the GP models the parameters that every trial has; Optuna draws the others at random",
            batch=True,
            objectives=True,
            constraints=True,
        ),
        packages=("scipy", "torch>=2.8", "optuna>=5", "greenlet>=3"),
        companions=("greenlet",),
        # the sampler learns the parameters from its first trial, so there must be one
        settings={"n_startup_trials": _COUNT, "deterministic_objective": bool},
        startup=Startup(10, "n_startup_trials"),
        install="pip install 'optuna>=5' 'greenlet>=3' torch",
    ),
    _entry(
        "gp-botorch",
        "Gaussian process, BoTorch's default model, log expected (hypervolume) improvement, mixed spaces.",
        "gp_botorch:BoTorchGP",
        Capabilities(
            conditional=_DEFAULTS,
            batch=True,
            max_dimensions=_SOBOL_DIMENSIONS,
            failed=_WORST,
            objectives=True,
            constraints=True,
        ),
        packages=("scipy", "torch>=2.8", "gpytorch>=1.14", "botorch>=0.14"),
        startup=Startup(10, "n_initial"),
        settings={"n_initial": _COUNT, "num_restarts": Whole(1, 256), "raw_samples": Whole(1, 16_384)},
        install="pip install 'botorch>=0.14' 'gpytorch>=1.14'",
    ),
    _entry(
        "smac-rf",
        "SMAC3's hyperparameter-optimization facade: random forest, log expected improvement, ParEGO.",
        "smac.facades:SMACForest",
        Capabilities(batch=True, failed=_WORST, objectives=True),
        settings=_RETRAIN,
        startup=Startup(),
        **_SMAC,
    ),
    _entry(
        "smac-gp",
        "SMAC3's black-box facade: Gaussian process, expected improvement.",
        "smac.facades:SMACGP",
        Capabilities(
            conditional="SMAC's GP sees an inactive parameter at -1, below its range", batch=True, failed=_WORST
        ),
        settings=_RETRAIN,
        startup=Startup(),
        **_SMAC,
    ),
    _entry(
        "hyperband",
        "Hyperband over random configurations, SMAC3's: successive halving with several brackets.",
        "smac.multi_fidelity:SMACHyperband",
        Capabilities(batch=True, multi_fidelity=True, failed=_WORST, objectives=True),
        settings=_ETA,
        **_SMAC,
    ),
    _entry(
        "smac-hb",
        "SMAC3's multi-fidelity facade: Hyperband whose configurations a random forest proposes, like BOHB.",
        "smac.multi_fidelity:SMACForestHyperband",
        Capabilities(batch=True, multi_fidelity=True, failed=_WORST, objectives=True),
        settings={**_ETA, **_RETRAIN},
        startup=Startup(),
        **_SMAC,
    ),
    _entry(
        "asha",
        "Asynchronous successive halving, Optuna's pruner, over TPE (sampler=tpe|random).",
        "asha:ASHA",
        Capabilities(batch=True, multi_fidelity=True),
        settings={**_ETA, "sampler": Choice(("tpe", "random"))},
        **_OPTUNA,
    ),
    _entry(
        "optiformer-seq",
        "OptiFormer over named tokens: a causal network, policy sampling.",
        "optiformer_sequence:OptiFormerSeq",
        Capabilities(batch=True, failed="shown to the network as infeasible"),
        packages=("torch>=2.8",),
        fingerprint="optibench_optimizers.adapters.optiformer_sequence:fingerprint",
        settings={
            **_CHECKPOINT,
            "train": str,
            **dict.fromkeys(("temperature", "top_p", "margin"), float),
            "rerank": Whole(0, 10_000),
        },
        startup=Startup(),
    ),
    _entry(
        "optiformer",
        "OptiFormer: a transformer that predicts candidates' scores from the set of past trials "
        "(preset=fast|default|thorough).",
        "optiformer:OptiFormer",
        Capabilities(batch=True, failed=_PREDICTED, objectives=True, constraints=True),
        packages=("scipy",),
        fingerprint="optibench_optimizers.adapters.optiformer:fingerprint",
        settings={
            **_CHECKPOINT,
            "train": str,
            "network": Choice(("trained", "untrained")),
            "preset": Choice(("fast", "default", "thorough")),
            "acquisition": str,
            "min_gp_r2": float,
            "n_gp_only": int,
            "margin": float,
            "temperature": float,
            "refinements": int,
            "batch_fraction": float,
            "evaluations": int,
            "screened": int,
        },
        startup=Startup(5),
    ),
    _entry(
        "gp-map",
        "OptiFormer's search on Gaussian processes with MAP hyperparameters, without a network: its control.",
        "gp_controls:GPMap",
        Capabilities(batch=True, failed=_PREDICTED, objectives=True, constraints=True),
        packages=("scipy",),
        settings=_GP_CONTROL,
        startup=Startup(5),
    ),
    _entry(
        "gp-prior",
        "gp-map with priors learned from the training data of OptiFormer's network: its control with learning.",
        "gp_controls:GPLearnedPrior",
        Capabilities(batch=True, failed=_PREDICTED, objectives=True, constraints=True),
        packages=("scipy",),
        settings={**_CHECKPOINT, **_GP_CONTROL},
        startup=Startup(5),
        fingerprint="optibench_optimizers.adapters.gp_controls:fingerprint",
    ),
    _entry(
        "optiformer-sampler",
        "OptiFormerSampler in an Optuna study, define-by-run, as users have it (preset=default|thorough).",
        "optiformer_sampler:OptiFormerSampler",
        Capabilities(
            conditional="conditions are inferred from the parameters of past trials",
            batch=True,
            failed=_PREDICTED,
            objectives=True,
            constraints=True,
        ),
        packages=("scipy", "optuna>=5"),
        install="pip install 'optuna>=5'",
        fingerprint="optibench_optimizers.adapters.optiformer_sampler:fingerprint",
        settings={
            **_CHECKPOINT,
            "surrogate": Choice(("network", "untrained", "gp-map", "gp-prior")),
            "preset": Choice(("default", "thorough")),
            "temperature": float,
            "n_startup_trials": int,
        },
        startup=Startup(5, "n_startup_trials"),
    ),
)
CAPABILITIES = {entry.name: entry.capabilities for entry in ENTRIES}

"""The optimizers that come with the bench.

Reading this file imports none of the libraries; the classes' own capabilities are repeated, and a test compares.
"""

from __future__ import annotations

from optibench_optimizers.base import Capabilities
from optibench_optimizers.entry import Entry

_WORST = "counts as the worst success so far"
_DEFAULTS = "inactive parameters are told at their default, and dropped from what is suggested"
_SOBOL_DIMENSIONS = 21201  # the longest table of direction numbers in SciPy

ENTRIES = (
    Entry(
        name="random",
        summary="Uniform random search.",
        target="optibench_optimizers.adapters.random_search:RandomSearch",
        capabilities=Capabilities(batch=True, failed="nothing, as from any trial"),
        packages=("ConfigSpace", "numpy"),
    ),
    Entry(
        name="sobol",
        summary="Scrambled Sobol' sequence (scipy.stats.qmc).",
        target="optibench_optimizers.adapters.sobol:Sobol",
        capabilities=Capabilities(
            conditional="the coordinates of inactive parameters are dropped",
            batch=True,
            max_dimensions=_SOBOL_DIMENSIONS,
            failed="nothing, as from any trial",
        ),
        packages=("ConfigSpace", "numpy", "scipy"),
    ),
    Entry(
        name="tpe",
        summary="TPE, Optuna 5's default: multivariate (group=true adds groups for conditional spaces).",
        target="optibench_optimizers.adapters.tpe:TPE",
        capabilities=Capabilities(batch=True, failed="left out"),
        packages=("ConfigSpace", "numpy", "optuna>=5"),
        install="pip install 'optuna>=5'",
    ),
    Entry(
        name="tpe-univariate",
        summary="TPE, each parameter modelled alone: the 2011 paper's, Optuna's default before version 5.",
        target="optibench_optimizers.adapters.tpe:UnivariateTPE",
        capabilities=Capabilities(batch=True, failed="left out"),
        packages=("ConfigSpace", "numpy", "optuna>=5"),
        install="pip install 'optuna>=5'",
    ),
    Entry(
        name="cmaes",
        summary="CMA-ES from the best of the initial design; CatCMA with margin where there are categories (cmaes).",
        target="optibench_optimizers.adapters.cma_es:CMAES",
        capabilities=Capabilities(
            conditional="inactive parameters keep their coordinates in the search distribution and are dropped from "
            "what is suggested",
            batch=True,
            failed=_WORST,
        ),
        packages=("ConfigSpace", "numpy", "scipy", "cmaes>=0.11"),
        install="pip install 'cmaes>=0.11'",
    ),
    Entry(
        name="gp-skopt",
        summary="Gaussian process, scikit-optimize's default: Matern 5/2, gp_hedge over EI, LCB and PI.",
        target="optibench_optimizers.adapters.gp_skopt:SkoptGP",
        capabilities=Capabilities(conditional=_DEFAULTS, batch=True, failed=_WORST),
        packages=("ConfigSpace", "numpy", "scipy", "scikit-learn>=1.5", "scikit-optimize>=0.10.2"),
        install="pip install 'scikit-optimize>=0.10.2'",
    ),
    Entry(
        name="gp-optuna",
        summary="Gaussian process, Optuna's GPSampler: Matern 5/2, log expected improvement.",
        target="optibench_optimizers.adapters.gp_optuna:OptunaGP",
        capabilities=Capabilities(
            conditional="the GP models the parameters that every trial has; Optuna draws the others at random",
            batch=True,
            failed="left out",
        ),
        packages=("ConfigSpace", "numpy", "scipy", "torch>=2.8", "optuna>=5", "greenlet>=3"),
        companions=("greenlet",),
        install="pip install 'optuna>=5' 'greenlet>=3' torch",
    ),
    Entry(
        name="gp-botorch",
        summary="Gaussian process, BoTorch's default model, log expected improvement, mixed spaces.",
        target="optibench_optimizers.adapters.gp_botorch:BoTorchGP",
        capabilities=Capabilities(conditional=_DEFAULTS, batch=True, max_dimensions=_SOBOL_DIMENSIONS, failed=_WORST),
        packages=("ConfigSpace", "numpy", "scipy", "torch>=2.8", "gpytorch>=1.14", "botorch>=0.14"),
        install="pip install 'botorch>=0.14' 'gpytorch>=1.14'",
    ),
    Entry(
        name="smac-rf",
        summary="SMAC3's hyperparameter-optimization facade: random forest, log expected improvement.",
        target="optibench_optimizers.adapters.smac.facades:SMACForest",
        capabilities=Capabilities(batch=True, failed=_WORST),
        packages=("ConfigSpace", "numpy", "scipy", "scikit-learn>=1.5", "smac>=2.4"),
        install="pip install 'smac>=2.4'",
    ),
    Entry(
        name="smac-gp",
        summary="SMAC3's black-box facade: Gaussian process, expected improvement.",
        target="optibench_optimizers.adapters.smac.facades:SMACGP",
        capabilities=Capabilities(
            conditional="SMAC's GP sees an inactive parameter at -1, below its range", batch=True, failed=_WORST
        ),
        packages=("ConfigSpace", "numpy", "scipy", "scikit-learn>=1.5", "smac>=2.4"),
        install="pip install 'smac>=2.4'",
    ),
    Entry(
        name="hyperband",
        summary="Hyperband over random configurations, SMAC3's: successive halving with several brackets.",
        target="optibench_optimizers.adapters.smac.multi_fidelity:SMACHyperband",
        capabilities=Capabilities(batch=True, multi_fidelity=True, failed=_WORST),
        packages=("ConfigSpace", "numpy", "scipy", "scikit-learn>=1.5", "smac>=2.4"),
        install="pip install 'smac>=2.4'",
    ),
    Entry(
        name="smac-hb",
        summary="SMAC3's multi-fidelity facade: Hyperband whose configurations a random forest proposes, like BOHB.",
        target="optibench_optimizers.adapters.smac.multi_fidelity:SMACForestHyperband",
        capabilities=Capabilities(batch=True, multi_fidelity=True, failed=_WORST),
        packages=("ConfigSpace", "numpy", "scipy", "scikit-learn>=1.5", "smac>=2.4"),
        install="pip install 'smac>=2.4'",
    ),
    Entry(
        name="asha",
        summary="Asynchronous successive halving, Optuna's pruner, over TPE (sampler=tpe|random).",
        target="optibench_optimizers.adapters.asha:ASHA",
        capabilities=Capabilities(batch=True, multi_fidelity=True, failed="left out"),
        packages=("ConfigSpace", "numpy", "optuna>=5"),
        install="pip install 'optuna>=5'",
    ),
    Entry(
        name="optiformer-seq",
        summary="OptiFormer over named tokens: a causal network, policy sampling.",
        target="optibench_optimizers.adapters.optiformer_sequence:OptiFormerSeq",
        capabilities=Capabilities(batch=True, failed="shown to the network as infeasible"),
        packages=("ConfigSpace", "numpy", "torch>=2.8"),
        fingerprint="optibench_optimizers.adapters.optiformer_sequence:fingerprint",
    ),
    Entry(
        name="optiformer",
        summary="OptiFormer: a transformer that predicts candidates' scores from the set of past trials "
        "(preset=fast|default|thorough).",
        target="optibench_optimizers.adapters.optiformer:OptiFormer",
        capabilities=Capabilities(batch=True, failed="a model of its own foretells how likely a configuration fails"),
        packages=("ConfigSpace", "numpy", "scipy"),
        fingerprint="optibench_optimizers.adapters.optiformer:fingerprint",
    ),
    Entry(
        name="optiformer-sampler",
        summary="OptiFormerSampler in an Optuna study, define-by-run, as users have it (preset=default|thorough).",
        target="optibench_optimizers.adapters.optiformer_sampler:OptiFormerSampler",
        capabilities=Capabilities(
            conditional="conditions are learned from which parameters past trials had",
            batch=True,
            failed="a model of its own foretells how likely a configuration fails",
        ),
        packages=("ConfigSpace", "numpy", "scipy", "optuna>=5"),
        install="pip install 'optuna>=5'",
        fingerprint="optibench_optimizers.adapters.optiformer_sampler:fingerprint",
    ),
)

"""Each library suggests the same through our contract as on its own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

import optibench_optimizers
from optibench_optimizers import Observation
from optibench_optimizers.spaces import SearchSpace

SEED = 11


def flat() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(Categorical("c", ["p", "q", "r"]), Integer("n", (1, 40), log=True), Float("x", (1e-3, 1.0), log=True))
    return space


def conditional() -> ConfigurationSpace:
    space = flat()
    space.add(EqualsCondition(space["x"], space["c"], "p"))
    return space


def loss(config: Any) -> float:
    return abs(np.log(config.get("x", 0.02)) + 3) + abs(config["n"] - 12) / 10 + "qpr".index(config["c"])


def ours(name: str, space: ConfigurationSpace, n_trials: int, told: list[Observation] | None = None) -> list[Any]:
    asked = []
    with closing(optibench_optimizers.create(name, space, seed=SEED, n_trials=n_trials)) as optimizer:
        optimizer.tell(told or [])
        for _ in range(n_trials - len(told or [])):
            config = optimizer.ask()[0].config
            asked.append(dict(config))
            optimizer.tell([Observation(config, loss(config))])
    return asked


@pytest.mark.filterwarnings("ignore:Argument ``group`` is an experimental feature")
@pytest.mark.parametrize(
    ("name", "options", "n_trials"),
    [
        ("tpe", {}, 25),
        ("tpe:group=true", {"multivariate": True, "group": True}, 25),
        ("tpe-univariate", {"multivariate": False}, 25),
        ("gp-optuna", None, 13),
        ("optiformer-sampler", None, 15),
    ],
)
def test_optuna(name: str, options: dict[str, Any] | None, n_trials: int) -> None:
    import optuna

    from optiformer import OptiFormerSampler

    def objective(trial: optuna.Trial) -> float:
        config: dict[str, Any] = {"c": ["p", "q", "r"][trial.suggest_categorical("c", [0, 1, 2])]}
        config["n"] = trial.suggest_int("n", 1, 40, log=True)
        if config["c"] == "p":
            config["x"] = trial.suggest_float("x", 1e-3, 1.0, log=True)
        theirs.append(config)
        return loss(config)

    theirs: list[Any] = []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = optuna.samplers
    kinds: dict[str, Any] = {"gp-optuna": samplers.GPSampler, "optiformer-sampler": OptiFormerSampler}
    sampler = kinds.get(name, samplers.TPESampler)(seed=SEED, **(options or {}))
    optuna.create_study(sampler=sampler).optimize(objective, n_trials=n_trials)
    assert ours(name, conditional(), n_trials) == theirs


def test_the_default_tpe_is_optunas_default() -> None:
    import optuna

    assert optuna.samplers.TPESampler()._is_multivariate(optuna.create_study())
    assert ours("tpe", conditional(), 20) == ours("tpe:multivariate=true", conditional(), 20)
    assert ours("tpe", conditional(), 20) != ours("tpe-univariate", conditional(), 20)


def test_scikit_optimize() -> None:
    import skopt

    dimensions = [
        skopt.space.Categorical(["0", "1", "2"]),
        skopt.space.Integer(1, 40, prior="log-uniform"),
        skopt.space.Real(1e-3, 1.0, prior="log-uniform"),
    ]
    optimizer = skopt.Optimizer(dimensions, random_state=SEED)
    theirs = []
    for _ in range(13):
        point = optimizer.ask()
        config = {"c": "pqr"[int(point[0])], "n": int(point[1]), "x": float(point[2])}
        theirs.append(config)
        optimizer.tell(point, loss(config))
    assert ours("gp-skopt", flat(), 13) == theirs


@pytest.mark.parametrize(("name", "n_trials"), [("smac-rf", 14), ("smac-gp", 8)])
def test_smac(name: str, n_trials: int, tmp_path: Path) -> None:
    import joblib
    import smac

    from optibench_optimizers.adapters.smac.facades import repeatable

    space = conditional()
    facade = {"smac-rf": smac.HyperparameterOptimizationFacade, "smac-gp": smac.BlackBoxFacade}[name]
    scenario = smac.Scenario(space, deterministic=True, n_trials=n_trials, seed=SEED, output_directory=tmp_path)
    maximizer = repeatable(facade.get_acquisition_maximizer(scenario))
    run = facade(
        scenario, lambda config, seed=0: loss(dict(config)), acquisition_maximizer=maximizer, logging_level=False
    )
    with joblib.parallel_config(backend="sequential"):
        run.optimize()
    view = SearchSpace(space)
    theirs = [view.from_vector(run.runhistory.get_config(key.config_id).get_array()) for key in run.runhistory]
    assert ours(name, conditional(), n_trials) == theirs


@pytest.mark.parametrize("name", ["tpe", "gp-optuna", "gp-skopt", "gp-botorch", "smac-rf", "smac-gp"])
def test_a_told_initial_design_takes_the_place_of_the_librarys_own(name: str) -> None:
    """After ten trials, the next suggestions depend on their values (SMAC mixes in random ones)."""
    configs = SearchSpace(flat()).sample(10, np.random.RandomState(0))
    told = [Observation(config, loss(config)) for config in configs]
    reversed_ = [Observation(config, -loss(config)) for config in configs]
    with closing(optibench_optimizers.create(name, flat(), seed=SEED, n_trials=40)) as one:
        one.tell(told)
        with closing(optibench_optimizers.create(name, flat(), seed=SEED, n_trials=40)) as other:
            other.tell(reversed_)
            assert one.ask(4) != other.ask(4)


def test_cma_es_starts_at_the_best_told_trial() -> None:
    space = ConfigurationSpace({f"x{i}": (0.0, 1.0) for i in range(4)})
    best = {f"x{i}": 0.2 + 0.2 * i for i in range(4)}
    told = [Observation(config, 5.0) for config in SearchSpace(space).sample(9, np.random.RandomState(0))]
    told.insert(4, Observation(best, 1.0))
    told.append(Observation(dict.fromkeys(best, 0.9), -9.0, "failed"))
    with closing(optibench_optimizers.create("cmaes:sigma0=1e-6", space, seed=SEED, n_trials=50)) as optimizer:
        optimizer.tell(told)
        for suggestion in optimizer.ask(5):
            assert suggestion.config == pytest.approx(best, abs=1e-4)


def test_cma_es_finds_the_bottom_of_a_bowl_in_mixed_space() -> None:
    found = min(loss(config) for config in ours("cmaes", flat(), 300))
    assert found < min(loss(config) for config in ours("random", flat(), 300))
    assert found < 1.1

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
from optibench_optimizers.settings import library_seed
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


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("n_constraints", [0, 2])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tpe-univariate", "TPESampler"),
        ("tpe", "TPESampler"),
        ("nsga2:population_size=6", "NSGAIISampler"),
        ("nsga3:population_size=6", "NSGAIIISampler"),
        ("gp-optuna", "GPSampler"),
    ],
)
def test_optuna_with_two_objectives(name: str, make: str, n_constraints: int) -> None:
    import optuna

    def outcome(config: Any) -> tuple[tuple[float, float], tuple[float, ...]]:
        return (loss(config), config["n"] - 40.0 * config["x"]), (config["x"] - 0.5, 3.0 - config["n"])[:n_constraints]

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        config: dict[str, Any] = {"c": ["p", "q", "r"][trial.suggest_categorical("c", [0, 1, 2])]}
        config["n"] = trial.suggest_int("n", 1, 40, log=True)
        config["x"] = trial.suggest_float("x", 1e-3, 1.0, log=True)
        theirs.append(config)
        values, constraints = outcome(config)
        for index, number in enumerate(constraints):
            trial.set_constraint(str(index), number)
        return values

    theirs: list[Any] = []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options: dict[str, Any] = {"population_size": 6} if "population" in name else {}
    options |= {"multivariate": True} if name == "tpe" else {}
    sampler = getattr(optuna.samplers, make)(seed=SEED, **options)
    n_trials = 12 if name == "gp-optuna" else 25
    optuna.create_study(directions=["minimize"] * 2, sampler=sampler).optimize(objective, n_trials=n_trials)
    mine = []
    counts = {"n_objectives": 2, "n_constraints": n_constraints}
    with closing(optibench_optimizers.create(name, flat(), seed=SEED, n_trials=n_trials, **counts)) as optimizer:
        for _ in range(n_trials):
            config = dict(optimizer.ask()[0].config)
            mine.append(config)
            values, constraints = outcome(config)
            state: Any = "infeasible" if any(number > 0 for number in constraints) else "ok"
            optimizer.tell([Observation(config, np.nan, state, values=values, constraints=constraints)])
    assert mine == theirs


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_a_told_design_is_the_first_generation(name: str) -> None:
    """A population of ten is bred after ten told trials; one of 20 is random for ten more, whatever was told."""
    configs = SearchSpace(flat()).sample(10, np.random.RandomState(0))
    asked = {}
    for size in (10, 20):
        for sign in (1.0, -1.0):
            told = [Observation(one, np.nan, values=(sign * loss(one), sign * one["x"])) for one in configs]
            spec = f"{name}:population_size={size}"
            with closing(optibench_optimizers.create(spec, flat(), seed=SEED, n_trials=40, n_objectives=2)) as found:
                found.tell(told)
                asked[size, sign] = [dict(one.config) for one in found.ask(6)]
    assert asked[10, 1.0] != asked[10, -1.0]
    assert asked[20, 1.0] == asked[20, -1.0]


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


def two(config: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (loss(config), float(config["n"])), ()


def test_smac_with_two_objectives(tmp_path: Path) -> None:
    import joblib
    import smac
    from smac.multi_objective.parego import ParEGO

    from optibench_optimizers.adapters.smac.facades import repeatable

    names, facade = ["objective 0", "objective 1"], smac.HyperparameterOptimizationFacade
    scenario = smac.Scenario(
        flat(), objectives=names, deterministic=True, n_trials=14, seed=SEED, output_directory=tmp_path
    )
    view = SearchSpace(flat())
    run = facade(
        scenario,  # a tree may split elsewhere for a difference in the last digit of a parameter
        lambda config, seed=0: dict(zip(names, two(view.from_vector(config.get_array()))[0], strict=True)),
        acquisition_maximizer=repeatable(facade.get_acquisition_maximizer(scenario)),
        multi_objective_algorithm=ParEGO(scenario),
        logging_level=False,
    )
    with joblib.parallel_config(backend="sequential"):
        run.optimize()
    theirs = [view.from_vector(run.runhistory.get_config(key.config_id).get_array()) for key in run.runhistory]
    mine = []
    with closing(optibench_optimizers.create("smac-rf", flat(), seed=SEED, n_trials=14, n_objectives=2)) as optimizer:
        for _ in range(14):
            (suggestion,) = optimizer.ask()
            mine.append(dict(suggestion.config))
            optimizer.tell([evaluated(suggestion.config, two)])
    assert mine == theirs


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


def evaluated(config: Any, outcome: Any) -> Observation:
    values, constraints = outcome(config)
    state: Any = "infeasible" if any(number > 0 for number in constraints) else "ok"
    value = values[0] if len(values) == 1 and state == "ok" else np.nan
    return Observation(config, value, state, values=values, constraints=constraints)


def square() -> ConfigurationSpace:
    return ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)})


def above_a_line(config: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The least value where both constraints hold is .08, at (.4, .4)."""
    x, y = config["x"], config["y"]
    return ((x - 0.2) ** 2 + (y - 0.2) ** 2,), (0.8 - x - y, x - 0.9)


def test_pycma_with_constraints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cma

    monkeypatch.chdir(tmp_path)

    points: list[Any] = []
    with closing(optibench_optimizers.create("pycma", square(), seed=SEED, n_trials=60, n_constraints=2)) as optimizer:
        for _ in range(60):
            (suggestion,) = optimizer.ask()
            points.append([suggestion.config["x"], suggestion.config["y"]])
            optimizer.tell([evaluated(suggestion.config, above_a_line)])
    fitness = cma.ConstrainedFitnessAL(
        lambda x: above_a_line({"x": x[0], "y": x[1]})[0][0],
        lambda x: list(above_a_line({"x": x[0], "y": x[1]})[1]),
        find_feasible_first=True,
        archives=False,
        logging=0,
    )
    randn = np.random.RandomState(np.random.RandomState(library_seed(SEED)).randint(2**31 - 1)).randn
    options = {"bounds": [0, 1], "randn": randn, "seed": np.nan, "tolstagnation": 0, "verbose": -9, "verb_log": 0}
    es = cma.CMAEvolutionStrategy([0.5, 0.5], 1 / 6, options)
    theirs: list[Any] = []
    while len(theirs) < 60:
        asked = es.ask()
        es.tell(asked, [fitness(x) for x in asked])
        fitness.update(es)
        theirs += [list(x) for x in asked]
    np.testing.assert_allclose(points, theirs[:60], atol=1e-12)
    assert not list(tmp_path.iterdir())  # pycma's own default writes logs


@pytest.mark.parametrize("n_told", [0, 10])
def test_pycma_finds_the_constrained_minimum(n_told: int) -> None:
    configs = SearchSpace(square()).sample(n_told, np.random.RandomState(0))
    found = [evaluated(config, above_a_line) for config in configs]
    with closing(optibench_optimizers.create("pycma", square(), seed=SEED, n_trials=300, n_constraints=2)) as optimizer:
        optimizer.tell(found)
        while len(found) < 300:
            (suggestion,) = optimizer.ask()
            found.append(evaluated(suggestion.config, above_a_line))
            optimizer.tell(found[-1:])
    best = min((o for o in found if o.state == "ok"), key=lambda o: o.value)
    assert best.value == pytest.approx(0.08, abs=2e-3)
    assert best.config == pytest.approx({"x": 0.4, "y": 0.4}, abs=0.05)


def test_pycma_starts_at_the_least_violation_and_learns_nothing_from_failures_alone() -> None:
    told = [
        Observation({"x": 0.1, "y": 0.9}, np.nan, "infeasible", values=(-5.0,), constraints=(2.0,)),
        Observation({"x": 0.9, "y": 0.1}, np.nan, "infeasible", values=(7.0,), constraints=(1.0,)),
    ]
    spec = "pycma:sigma0=1e-6"
    with closing(optibench_optimizers.create(spec, square(), seed=SEED, n_trials=50, n_constraints=1)) as optimizer:
        optimizer.tell(told)
        for suggestion in optimizer.ask(5):
            assert suggestion.config == pytest.approx({"x": 0.9, "y": 0.1}, abs=1e-4)
    with closing(optibench_optimizers.create(spec, square(), seed=SEED, n_trials=50, n_constraints=1)) as optimizer:
        for _ in range(20):
            (suggestion,) = optimizer.ask()
            assert suggestion.config == pytest.approx({"x": 0.5, "y": 0.5}, abs=1e-4)
            optimizer.tell([Observation(suggestion.config, np.nan, "failed")])


def suggested(name: str, outcome: Any, counts: tuple[int, int], n: int) -> list[Any]:
    """The observations of ``n`` suggestions after ten random configurations."""
    sizes: dict[str, Any] = dict(zip(("n_objectives", "n_constraints"), counts, strict=True))
    told = [evaluated(config, outcome) for config in SearchSpace(square()).sample(10, np.random.RandomState(0))]
    with closing(optibench_optimizers.create(name, square(), seed=SEED, n_trials=10 + n, **sizes)) as optimizer:
        optimizer.tell(told)
        for _ in range(n):
            told.append(evaluated(optimizer.ask()[0].config, outcome))
            optimizer.tell(told[-1:])
    return told[10:]


@pytest.mark.parametrize("name", ["gp-botorch", "gp-optuna"])
def test_a_gp_finds_the_constrained_minimum(name: str) -> None:
    found = suggested(name, above_a_line, (1, 2), 8)
    assert min(o.value for o in found if o.state == "ok") == pytest.approx(0.08, abs=0.01)


@pytest.mark.parametrize("name", ["gp-botorch", "gp-optuna"])
def test_a_gp_spreads_over_the_front_of_two_objectives(name: str) -> None:
    """The front is the line from (.2, .5) to (.8, .5)."""

    def outcome(config: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
        x, y = config["x"], (config["y"] - 0.5) ** 2
        return ((x - 0.2) ** 2 + y, (x - 0.8) ** 2 + y), ()

    found = [o.config for o in suggested(name, outcome, (2, 0), 8)]
    assert np.median([abs(config["y"] - 0.5) for config in found]) < 0.1
    assert np.ptp([config["x"] for config in found]) > 0.3


@pytest.mark.parametrize("constant", [0.0, 3.0, -1e12, 1e-200])
def test_what_botorch_cannot_scale_becomes_0_and_the_bound_keeps_its_side(constant: float) -> None:
    import torch

    from optibench_optimizers.adapters.gp_botorch import standardized

    values, zero = standardized(torch.full((5,), constant, dtype=torch.double))
    assert values.tolist() == [0.0] * 5
    assert zero == -np.sign(constant)
    values, zero = standardized(torch.tensor([1.0, 2.0, 6.0], dtype=torch.double))
    assert float(values.std()) == pytest.approx(1.0)
    assert zero == pytest.approx(-3.0 / np.std([1.0, 2.0, 6.0], ddof=1))

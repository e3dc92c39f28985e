"""Any space in Optuna's define-by-run style."""

from __future__ import annotations

import warnings

import optuna
import pytest

import optibench_benchmarks
from optibench_optimizers.conformance.spaces import SPACES, check_valid
from optibench_optimizers.define_by_run import Objective, suggest
from optibench_optimizers.spaces import SearchSpace


@pytest.mark.parametrize("codes", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_every_space_can_be_suggested_and_a_trial_has_its_active_parameters(name: str, codes: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    view = SearchSpace(SPACES[name]())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = 0
    for _ in range(10):
        trial = study.ask()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            config = suggest(trial, view, codes=codes)
        assert set(trial.params) == {parameter.name for parameter in view.parameters if parameter.name in config}
        for parameter in view.parameters:
            if parameter.name in config:
                value = trial.params[parameter.name]
                as_it_is = not codes or parameter.kind != "categorical"
                ranked = parameter.kind == "ordinal" or not as_it_is
                assert (parameter.values[value] if ranked else value) == config[parameter.name]
        if view.is_allowed(config):
            check_valid(config, view)
            found += 1
    assert found


def test_a_task_with_several_objectives_and_constraints_is_an_objective_of_optuna() -> None:
    pytest.importorskip("pymoo")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task = optibench_benchmarks.create("pymoo/constrained/srn-2o-2d")
    sampler = optuna.samplers.NSGAIISampler(seed=0, population_size=5)
    study = optuna.create_study(directions=list(task.objectives.values()), sampler=sampler)
    study.optimize(Objective(task), n_trials=12)
    for trial in study.trials:
        found = task.evaluate(trial.params, seed=0)
        assert trial.values == list(found.values)
        assert list(trial.constraints.items()) == list(zip(task.constraints, found.constraints, strict=True))
    task = optibench_benchmarks.create("engineering/spring")
    study = optuna.create_study(direction=task.direction, sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(Objective(task), n_trials=12)
    assert all(set(trial.constraints) == set(task.constraints) for trial in study.trials)

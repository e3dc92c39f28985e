"""Constraints of an Optuna study: what the sampler takes, ignores and refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import Trial, TrialState

from optiformer import ModelError, OptiFormerSampler
from optiformer.files import shipped

optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_trials_pruned_before_their_constraint_do_not_pass_for_feasible() -> None:
    """A twentieth of the configurations is feasible, half of them are pruned."""

    def objective(trial: Trial) -> float:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        if y > 0.5:
            raise optuna.TrialPruned
        trial.set_constraint("sum", x + y - 0.3)
        return (x - 0.6) ** 2 + y

    study = optuna.create_study(sampler=OptiFormerSampler(seed=0, surrogate="gp-prior"))
    study.optimize(objective, n_trials=25)
    later = study.trials[10:]
    assert sum(trial.state == TrialState.PRUNED for trial in later) < len(later) / 2
    assert sum(trial.params["x"] + trial.params["y"] <= 0.3 for trial in later) > len(later) / 3


def test_a_sequence_network_has_one_objective_and_says_that_it_ignores_constraints() -> None:
    def constrained(trial: Trial) -> float:
        trial.set_constraint("late", 1.0)
        return trial.suggest_float("x", 0, 1)

    sequence = OptiFormerSampler(shipped("optiformer-seq"), seed=0)
    with pytest.warns(UserWarning, match="does not look at constraints") as caught:
        optuna.create_study(sampler=sequence).optimize(constrained, n_trials=3)
    assert len([one for one in caught if "constraints" in str(one.message)]) == 1
    several = optuna.create_study(directions=["minimize", "minimize"], sampler=sequence)
    with pytest.raises(ValueError, match="multi-objective"):
        several.optimize(lambda t: (t.suggest_float("x", 0, 1), 0.0), n_trials=1)


@pytest.mark.parametrize("found", [0.5, None, "no", ("a",), [[1.0]], {"a": 1.0}, np.zeros((1, 1))])
def test_constraints_that_are_no_list_of_numbers_are_refused(found: Any) -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(seed=0, constraints_func=lambda trial: found))
    with pytest.raises(ModelError) as caught:
        study.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=1)
    assert str(caught.value).startswith("OptiFormerSampler: constraints_func must return a list of numbers, not ")


def test_constraints_as_an_array_are_numbers() -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(seed=0, constraints_func=lambda trial: np.float32([1, -2])))  # type: ignore[arg-type,return-value]
    study.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=2)
    assert [list(trial.constraints.values()) for trial in study.trials] == [[1.0, -2.0]] * 2

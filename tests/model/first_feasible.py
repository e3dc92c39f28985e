"""Trials until the first feasible one, of samplers in Optuna studies of tasks with hard constraints.

``OMP_NUM_THREADS=1 python tests/model/first_feasible.py [TASK ...] [--seeds 5] [--trials 50]`` prints a table of means;
a study without a feasible trial counts as one trial more than it has.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from ConfigSpace.hyperparameters import Hyperparameter, NumericalHyperparameter, UniformFloatHyperparameter

import optibench_benchmarks
from optiformer import OptiFormerSampler

TASKS = [f"bbob-constrained/f{number}-10d/i2" for number in (5, 6, 12, 18, 24, 30, 36, 42, 48, 54)]
TASKS += ["hpobench/nn/segment+max_cost=1.5", "hpobench/nn/vehicle+max_cost=0.8"]
SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "OptiFormerSampler": lambda seed: OptiFormerSampler(seed=seed),
    "the same, gp-prior": lambda seed: OptiFormerSampler(seed=seed, surrogate="gp-prior"),
    "TPESampler": lambda seed: optuna.samplers.TPESampler(seed=seed),
}


def suggested(trial: optuna.Trial, parameter: Hyperparameter) -> Any:
    """A trial's value of a parameter."""
    if isinstance(parameter, UniformFloatHyperparameter):
        return trial.suggest_float(parameter.name, parameter.lower, parameter.upper, log=parameter.log)
    if isinstance(parameter, NumericalHyperparameter):
        return trial.suggest_int(parameter.name, parameter.lower, parameter.upper, log=parameter.log)
    choices = parameter.sequence if hasattr(parameter, "sequence") else parameter.choices
    return trial.suggest_categorical(parameter.name, list(choices))


def first_feasible(name: str, sampler: optuna.samplers.BaseSampler, trials: int) -> int:
    """The number of the first feasible trial, from 1."""
    task, study = optibench_benchmarks.create(name), optuna.create_study(sampler=sampler)
    for number in range(1, trials + 1):
        trial = study.ask()
        config = {parameter.name: suggested(trial, parameter) for parameter in task.space.values()}
        found = task.evaluate(config, seed=0)
        for index, constraint in enumerate(found.constraints):
            trial.set_constraint(str(index), float(constraint))
        study.tell(trial, float(found.value))
        if all(constraint <= 0 for constraint in found.constraints):
            return number
    return trials + 1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=TASKS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=50)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    print(f"| task | {' | '.join(SAMPLERS)} |\n| --- |{' ---: |' * len(SAMPLERS)}")
    for name in given.tasks:
        means = [
            statistics.mean(first_feasible(name, make(seed), given.trials) for seed in range(given.seeds))
            for make in SAMPLERS.values()
        ]
        print(f"| {name} | {' | '.join(f'{mean:.1f}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main()

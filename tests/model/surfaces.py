"""Effects of outliers, failures and conditions on ``OptiFormerSampler``; the table of docs/model/optiformer.md.

``python tests/model/surfaces.py [SEEDS]``: geometric means of the best values, medians for the conditional toy; some
minutes of a core.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable

import numpy as np
import optuna
from optuna.samplers import BaseSampler, TPESampler

from optiformer import OptiFormerSampler

Objective = Callable[[optuna.Trial, np.random.Generator], float]


def bowl(trial: optuna.Trial, rng: np.random.Generator) -> float:
    x, y, z = (trial.suggest_float(name, -5, 5) for name in "xyz")
    return (x - 3.3) ** 2 + (y + 2) ** 2 + (z - 1) ** 2


def one_dreadful(trial: optuna.Trial, rng: np.random.Generator) -> float:
    value = bowl(trial, rng)
    return 1e6 if trial.number == 3 else value


def penalty(size: float) -> Objective:
    """A third of the space has the same very bad value."""

    def objective(trial: optuna.Trial, rng: np.random.Generator) -> float:
        value = bowl(trial, rng)
        return size if trial.params["x"] < -5 / 3 else value

    return objective


def heavy_tails(trial: optuna.Trial, rng: np.random.Generator) -> float:
    return math.expm1(bowl(trial, rng))


def failing(share: float) -> Objective:
    """Trials that fail for a reason that has nothing to do with their configuration."""

    def objective(trial: optuna.Trial, rng: np.random.Generator) -> float:
        value = sum((trial.suggest_float(name, 0, 1) - 0.3) ** 2 for name in "abcd")
        if rng.random() < share:
            raise RuntimeError
        return value

    return objective


def conditional(trial: optuna.Trial, rng: np.random.Generator) -> float:
    kind = trial.suggest_categorical("kind", "abc")
    if kind == "a":
        return (trial.suggest_float("xa", 0, 1) - 0.7) ** 2 + (trial.suggest_float("ya", 0, 1) - 0.2) ** 2
    if kind == "b":
        return 0.05 + (trial.suggest_float("xb", 0, 1) - 0.3) ** 2 + abs(trial.suggest_float("yb", 0, 1) - 0.5)
    return 0.1 + (trial.suggest_float("xc", 1e-4, 1, log=True) - 0.1) ** 2


def ours(seed: int) -> BaseSampler:
    return OptiFormerSampler(seed=seed, warn_independent_sampling=False)


def best(
    objective: Objective, trials: int, seeds: int, make: Callable[[int], BaseSampler] = ours, median: bool = False
) -> float:
    """The best value of each study, taken together."""
    found = []
    for seed in range(seeds):
        study, rng = optuna.create_study(sampler=make(seed)), np.random.default_rng(seed)
        study.optimize(lambda trial, rng=rng: objective(trial, rng), n_trials=trials, catch=(RuntimeError,))
        found.append(study.best_value)
    return statistics.median(found) if median else math.exp(np.mean(np.log(np.maximum(found, 1e-12))))


def main(seeds: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    print(f"best value, {seeds} seeds\n\n| surface | trials | best |\n| --- | ---: | ---: |")
    for name, objective, trials in (
        ("a bowl in three parameters", bowl, 50),
        ("the same, one value of 1e6", one_dreadful, 50),
        ("the same, 1e6 over a third of the space", penalty(1e6), 50),
        ("the same, 1e10 over a third of the space", penalty(1e10), 50),
        ("the exponential of the same, less 1", heavy_tails, 50),
        ("a bowl in four parameters", failing(0), 40),
        ("the same", failing(0), 36),
        ("the same", failing(0), 30),
        ("the same, 10 % of the trials fail at random", failing(0.1), 40),
        ("the same, 25 % of the trials fail at random", failing(0.25), 40),
    ):
        print(f"| {name} | {trials} | {best(objective, trials, seeds):.1e} |", flush=True)
    mine, theirs = (best(conditional, 30, seeds, make, median=True) for make in (ours, lambda s: TPESampler(seed=s)))
    print(f"| a conditional toy (median; TPE: {theirs:.1e}) | 30 | {mine:.1e} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

"""Processor time of whole studies, also with a constraint or two objectives, as multiples of Optuna's TPE.

``OMP_NUM_THREADS=1 python tests/optimizers/study_cost.py [--trials 100] [--rounds 5] [--gp]`` prints a table. A study
has seven floats; the samplers take turns, and each time is the mean of a trial over a whole study, its median over the
rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import optuna

from optiformer import OptiFormerSampler

D = 7
Sampler = Callable[[int], optuna.samplers.BaseSampler]


def bowl(trial: optuna.Trial) -> float:
    """A bowl."""
    return sum((trial.suggest_float(f"x{i}", 0, 1) - 0.3) ** 2 for i in range(D))


def constrained(trial: optuna.Trial) -> float:
    """A bowl whose minimum breaks the constraint."""
    x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(D)]
    trial.set_constraint("sum", 3.5 - sum(x))
    return sum((each - 0.3) ** 2 for each in x)


def two_objectives(trial: optuna.Trial) -> tuple[float, float]:
    """Two bowls."""
    x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(D)]
    return sum((each - 0.3) ** 2 for each in x), sum((each - 0.6) ** 2 for each in x)


TASKS = {"one objective": (bowl, 1), "one constraint": (constrained, 1), "two objectives": (two_objectives, 2)}


def seconds(sampler: Sampler, task: str, trials: int, seed: int) -> float:
    """Mean processor seconds of a trial."""
    objective, count = TASKS[task]
    study = optuna.create_study(directions=["minimize"] * count, sampler=sampler(seed))
    began = time.process_time()
    study.optimize(objective, n_trials=trials)
    return (time.process_time() - began) / trials


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gp", action="store_true", help="Optuna's GPSampler, too: minutes")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    samplers: dict[str, Sampler] = {
        "TPESampler": lambda seed: optuna.samplers.TPESampler(seed=seed),
        "OptiFormerSampler": lambda seed: OptiFormerSampler(seed=seed),
        "OptiFormerSampler, gp-prior": lambda seed: OptiFormerSampler(seed=seed, surrogate="gp-prior"),
    }
    if given.gp:
        samplers["GPSampler"] = lambda seed: optuna.samplers.GPSampler(seed=seed)
    print("| task | sampler | ms a trial | multiple of TPE |\n| --- | --- | ---: | ---: |")
    for task in TASKS:
        rounds = [
            {name: seconds(sampler, task, given.trials, seed) for name, sampler in samplers.items()}
            for seed in range(given.rounds)
        ]
        for name in samplers:
            milliseconds = 1e3 * statistics.median(times[name] for times in rounds)
            multiple = statistics.median(times[name] / times["TPESampler"] for times in rounds)
            print(f"| {task} | `{name}` | {milliseconds:.1f} | {multiple:.1f} |", flush=True)


if __name__ == "__main__":
    main()

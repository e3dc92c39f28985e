"""Regret after 500 trials of which the search sees a deterministic choice, beside that of one that sees the first 200.

``OMP_NUM_THREADS=1 python tests/model/long_histories.py [TASK ...] [--seeds 3]`` prints a table of mean normalised
regrets; both searches share their first 200 trials.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

import optibench_benchmarks
from optiformer.search.proposer import Proposer
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.checkpoint import default_checkpoint, load
from optiformer.surrogate.surrogate import NetworkSurrogate

TASKS = [f"synthetic/{name}-{d}d" for name in ("ackley", "rosenbrock") for d in (5, 10)]
TASKS += [f"yahpo/lcbench/{instance}" for instance in (3945, 167152, 189906)]
TASKS += [f"yahpo/rbv2_xgboost/{instance}" for instance in (12, 1489, 40981)]
FIRST, LAST, LEAST = 200, 500, 1e-3


def searched(task: Any, proposer: Proposer, trials: Sequence[Trial], last: int, seen: int, seed: int) -> list[Trial]:
    """Trials up to ``last`` with their regrets; proposals depend on the first ``seen`` ones and avoid the others."""
    found = list(trials)
    while len(found) < last:
        others = [trial.config for trial in found[seen:]]
        (config,) = proposer.suggest(
            found[:seen], seed=seed, number=len(found), pending=others, weights=[0.0] * len(others)
        )
        found.append(Trial(config, float(task.reference.regret(task.evaluate(config, seed=seed).value))))
    return found


def regrets(name: str, network: NetworkSurrogate, seed: int) -> list[float]:
    """After the first trials, and after the last of the search that sees those alone and of the one that sees all."""
    task = optibench_benchmarks.create(name)
    space = Space.from_configspace(task.space)
    first = searched(task, Proposer(space, network), [], FIRST, LAST, seed)
    alone = searched(task, Proposer(space, network), first, LAST, FIRST, seed)
    every = searched(task, Proposer(space, network), first, LAST, LAST, seed)
    return [max(0.0, min(float(trial.value or 0) for trial in found)) for found in (first, alone, every)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=TASKS)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    network, logs = NetworkSurrogate(load(default_checkpoint())), list[float]()
    print(f"| task | {FIRST} trials | {LAST}, the first {FIRST} seen | {LAST} |\n| --- | ---: | ---: | ---: |")
    for name in given.tasks:
        with np.errstate(all="ignore"):
            found = [regrets(name, network, seed) for seed in range(given.seeds)]
        means = [statistics.mean(column) for column in zip(*found, strict=True)]
        logs.append(math.log(max(means[2], LEAST) / max(means[1], LEAST)))
        print(f"| `{name}` | {' | '.join(f'{mean:.4f}' for mean in means)} |", flush=True)
    print(f"\nThe last column as a multiple of the one before: {math.exp(statistics.mean(logs)):.2f}.")


if __name__ == "__main__":
    main()

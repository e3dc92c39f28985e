"""Best guess against best trial in noisy studies of recorded trainings: ``python tests/model/noisy_tables.py [SEEDS]``.

An evaluation is one of the training seeds that HPOBench, HPOLib and NAS-Bench-201 recorded of a configuration, drawn
at random. The chosen configurations are compared by their means over all seeds, as shares of the distance from the best
row of the table to the median one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from optibench_benchmarks.tabular import HPOBENCH, HPOLIB, NASBENCH201, Collection, load_table
from optiformer import OptiFormerSampler

COLLECTIONS = {"HPOBench": HPOBENCH, "HPOLib": HPOLIB, "NAS-Bench-201": NASBENCH201}
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "TPE": lambda seed: TPESampler(seed=seed),
}


def gaps(
    collection: Collection, task: str, make: Callable[[int], BaseSampler], seed: int, sizes: Sequence[int]
) -> list[tuple[float, float]]:
    """Distances to the table's best row of best trial and best guess, after each number of trials of one study."""
    table, choices = load_table(collection.prefix, task), collection.choices()
    shape = [len(values) for values in choices.values()]
    means = table.mean_values if collection.direction == "minimize" else -table.mean_values
    gap = (means - means.min()) / (np.median(means) - means.min())
    study = optuna.create_study(direction=collection.direction, sampler=make(seed))
    rng, rows, found = np.random.default_rng(seed), [], []
    for number in range(1, max(sizes) + 1):
        trial = study.ask()
        index = [
            trial.suggest_int(name, 0, len(values) - 1)
            if name in collection.scales
            else trial.suggest_categorical(name, list(range(len(values))))
            for name, values in choices.items()
        ]
        rows.append(int(np.ravel_multi_index(index, shape)))
        study.tell(trial, float(table.values[rows[-1], rng.integers(table.counts[rows[-1]])]))
        if number in sizes:
            best, guess = study.best_trial, OptiFormerSampler(seed=0).best_guess(study)
            found.append((float(gap[rows[best.number]]), float(gap[rows[guess.number]])))
    return found


def compare(collection: Collection, samplers: Sequence[str], seeds: range, sizes: Sequence[int]) -> np.ndarray:
    """Those distances of all tasks, samplers, seeds and sizes, (n, 2)."""
    return np.array(
        [
            pair
            for task in collection.tasks
            for sampler in samplers
            for seed in seeds
            for pair in gaps(collection, task, SAMPLERS[sampler], seed, sizes)
        ]
    )


def main(n_seeds: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("| tables | choices | best trial | best guess | difference | better / equal / worse |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for name, collection in COLLECTIONS.items():
        pairs = compare(collection, list(SAMPLERS), range(n_seeds), (30, 60))
        gain = pairs[:, 1] - pairs[:, 0]
        # The two sizes of one study are one observation.
        error = gain.reshape(-1, 2).mean(1).std(ddof=1) / np.sqrt(len(gain) / 2)
        counts = " / ".join(str(int(each.sum())) for each in (gain < 0, gain == 0, gain > 0))
        best, guess = pairs.mean(0)
        print(f"| {name} | {len(pairs):,} | {best:.4f} | {guess:.4f} | {gain.mean():+.4f} ± {error:.4f} | {counts} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)

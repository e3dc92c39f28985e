"""Generates a large published grid, to measure a report: ``python tests/reports/large.py FOLDER``.

The trials come from the generator in conftest.py; the folder has the format of ``optibench publish``, so that
``optibench report FOLDER`` reads it like any other.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from optibench_benchmarks.hypervolume import volumes
from optibench_reports.data.results import Results

OPTIMIZERS = (
    *("random", "sobol", "tpe", "tpe:group=true", "tpe-univariate"),
    *("gp-botorch", "gp-skopt", "smac-rf", "cmaes", "optiformer"),
)
FAMILIES = ("yahpo/lcbench", "yahpo/iaml_glmnet", "yahpo/rbv2_svm", "yahpo/nb301", "hpobench/nn", "synthetic")
SEEDS, TRIALS = 10, 100


def task_names(number: int) -> list[str]:
    """Names in six families."""
    return [f"{FAMILIES[i % len(FAMILIES)]}/{1000 + i}" for i in range(number)]


def with_two_objectives(results: Results) -> Results:
    """The same grid where each value is the distance to a front: from a random point of the line ``x + y = 1`` to
    points that it dominates.

    The front is a sample of 60 points; the box reaches from the origin to (3, 3).
    """
    trials, rng, box = results.trials, np.random.default_rng(0), ((0.0, 0.0), (3.0, 3.0))
    place, share = rng.random((2, len(trials)))
    distance = trials["value"].abs().to_numpy()
    points = np.stack([place + distance * share, 1.0 - place + distance * (1.0 - share)], axis=1)
    counted = (trials["state"] == "ok").to_numpy()
    values = [tuple(point) if ok else None for point, ok in zip(points.tolist(), counted, strict=True)]
    best = np.empty(len(trials))
    for rows in trials.groupby(["optimizer", "task", "seed"], observed=True).indices.values():
        best[rows] = volumes([values[row] for row in rows], *box)
    front = np.linspace((0.0, 1.0), (1.0, 0.0), 60).tolist()
    whole = 1.0 - 0.5 / 9.0
    several = {
        "objectives": {"first": "minimize", "second": "minimize"},
        **{"direction": "maximize", "ideal": box[0], "reference_point": box[1], "front": front},
        "reference": {"f_best": whole, "f_ref": 0.0, "f_worst": 0.0, "source": "analytic", "version": 1},
    }
    alone = np.where(counted, np.prod(np.maximum(1.0 - points / 3.0, 0.0), axis=1), np.nan)
    columns = {"values": values, "value": alone, "incumbent": best, "regret": 1.0 - best / whole, "cost_fidelity": 1.0}
    return replace(
        results,
        trials=trials.assign(**columns),
        tasks={name: {**task, **several} for name, task in results.tasks.items()},
    )


def make_folder(
    folder: Path, optimizers: Sequence[str], tasks: int, seeds: int, trials: int, random_seed: int, *, two: bool = False
) -> int:
    """Write a published folder, of tasks with two objectives if ``two``; returns its number of trials."""
    spec = importlib.util.spec_from_file_location("generator", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    results = generator.make_results(optimizers, task_names(tasks), seeds, trials, random_seed=random_seed)
    results = with_two_objectives(results) if two else results
    generator.publish(results, folder)
    return len(results.trials)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a large grid as a published folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--optimizers", nargs="+", default=OPTIMIZERS)
    parser.add_argument("--two-objectives", action="store_true")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--random-seed", type=int, default=0)
    arguments = parser.parse_args()
    sizes = (arguments.tasks, arguments.seeds, arguments.trials, arguments.random_seed)
    made = make_folder(arguments.folder, arguments.optimizers, *sizes, two=arguments.two_objectives)
    print(f"{made:,} trials: {arguments.folder}")


if __name__ == "__main__":
    main()

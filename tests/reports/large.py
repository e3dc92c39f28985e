"""Generates a large published grid, to measure a report: ``python tests/reports/large.py FOLDER``.

The trials come from the generator in conftest.py; the folder has the format of ``optibench publish``, so that
``optibench report FOLDER`` reads it like any other.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

OPTIMIZERS = (
    *("random", "sobol", "tpe", "tpe:group=true", "tpe-univariate"),
    *("gp-botorch", "gp-skopt", "smac-rf", "cmaes", "optiformer"),
)
FAMILIES = ("yahpo/lcbench", "yahpo/iaml_glmnet", "yahpo/rbv2_svm", "yahpo/nb301", "hpobench/nn", "synthetic")
SEEDS, TRIALS = 10, 100


def task_names(number: int) -> list[str]:
    """Names in six families."""
    return [f"{FAMILIES[i % len(FAMILIES)]}/{1000 + i}" for i in range(number)]


def make_folder(folder: Path, optimizers: Sequence[str], tasks: int, seeds: int, trials: int, random_seed: int) -> int:
    """Write a published folder; returns its number of trials."""
    spec = importlib.util.spec_from_file_location("generator", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    results = generator.make_results(optimizers, task_names(tasks), seeds, trials, random_seed=random_seed)
    generator.publish(results, folder)
    return len(results.trials)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a large grid as a published folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--optimizers", nargs="+", default=OPTIMIZERS)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--random-seed", type=int, default=0)
    arguments = parser.parse_args()
    sizes = (arguments.tasks, arguments.seeds, arguments.trials, arguments.random_seed)
    print(f"{make_folder(arguments.folder, arguments.optimizers, *sizes):,} trials: {arguments.folder}")


if __name__ == "__main__":
    main()

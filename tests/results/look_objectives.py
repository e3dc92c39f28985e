"""The look at several objectives and constraints (docs/explanation/protocol-objectives.md): grids, forecast, numbers.

::

    python tests/results/look_objectives.py --write      # results/look-objectives/*.yaml
    python tests/results/look_objectives.py --forecast   # core-hours of each grid
    python tests/results/look_objectives.py              # the tables, once the grids have run

A grid ``results/look-objectives/NAME.yaml`` runs into ``results/look-objectives/NAME``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

import optibench_benchmarks
from optibench.runs.forecast import dry_run
from optibench.store.to_results import load
from optibench_benchmarks.kept.draw import by_hash
from optibench_reports.stats.ratios import Ratio, regrets, tested
from optibench_reports.stats.tests import holm

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "look-objectives"
OPTIFORMER = ["optiformer", "gp-prior"]
GENETIC = ["nsga2", "nsga2:population_size=10", "nsga3", "nsga3:population_size=10"]
OF_GP, OF_SLOW = {"objectives": 24, "constraints": 16}, {"objectives": 12, "constraints": 8}
"""Tasks for ``gp-optuna``, and for ``gp-botorch`` and ParEGO, first by the SHA-256 of their names."""
EVALUATION = {"live": 0.05, "yahpo": 2e-3}
"""Mean seconds of an evaluation; a millisecond for the others."""
FAMILY = [
    ("objectives", "nsga2", 100),
    ("objectives", "nsga2:population_size=10", 100),
    ("objectives", "tpe-univariate", 100),
    ("objectives", "random", 100),
    ("objectives", "gp-prior", 100),
    ("objectives", "smac-rf", 50),
    ("constraints", "tpe", 100),
    ("constraints", "pycma", 100),
    ("constraints", "random", 100),
    ("constraints", "gp-prior", 100),
]
"""The primary family: OptiFormer against each, on these tasks, after so many trials."""
LEVEL = ("gp-optuna", "gp-botorch")
"""Optimizers that OptiFormer should be level with, after 50 trials."""


def tasks(suite: str) -> list[str]:
    """The tasks of a suite."""
    return list(optibench_benchmarks.expand([suite]))


def grids() -> dict[str, dict[str, Any]]:
    """Every grid of the look, by name."""
    names = {suite: tasks(suite) for suite in OF_GP}
    gp, slow = ({suite: by_hash(names[suite])[:n] for suite, n in counts.items()} for counts in (OF_GP, OF_SLOW))
    free = [task for task in slow["objectives"] if not optibench_benchmarks.create(task).constraints]

    def grid(optimizers: Sequence[str], names: Sequence[str], seeds: int, trials: int) -> dict[str, Any]:
        return {"optimizers": list(optimizers), "benchmarks": list(names), "seeds": seeds, "trials": trials}

    return {
        "objectives": grid([*OPTIFORMER, *GENETIC, "tpe-univariate", "sobol", "random"], names["objectives"], 10, 100),
        "constraints": grid(
            [*OPTIFORMER, "tpe", "nsga2:population_size=10", "pycma", "random"], names["constraints"], 10, 100
        ),
        "gp": grid(["gp-optuna"], [*gp["objectives"], *gp["constraints"]], 5, 50),
        "slow": grid(["gp-botorch"], [*slow["objectives"], *slow["constraints"]], 5, 50),
        "parego": grid(["smac-rf"], free, 5, 50),
    }


def text(name: str, grid: dict[str, Any]) -> str:
    """A grid as YAML."""
    head = (
        "# A part of the look at several objectives and constraints; python tests/results/look_objectives.py --write\n"
    )
    return head + yaml.safe_dump({"name": f"look-{name}", **grid}, sort_keys=False, width=110)


def forecast() -> dict[str, float]:
    """Core-hours of each grid."""
    hours = {}
    for name, grid in grids().items():
        seconds = dry_run(str(FOLDER / f"{name}.yaml"), {"jobs": 1}).seconds
        evaluations = sum(EVALUATION.get(task.partition("/")[0], 1e-3) for task in grid["benchmarks"])
        hours[name] = (seconds + evaluations * len(grid["optimizers"]) * grid["seeds"] * grid["trials"]) / 3600
    return hours


def family(task: str) -> str:
    """The benchmark family of a task, over which intervals are bootstrapped."""
    return task.partition("/")[0]


def runs(suite: str, n: int, rival: str) -> pd.DataFrame:
    """Regrets after n trials of OptiFormer and a rival on the tasks and seeds that both have."""
    found = pd.concat([regrets(load(file.parent), n) for file in sorted(FOLDER.glob("*/trials.parquet"))])
    both = found.groupby(level=["task", "seed"]).first()[["optiformer", rival]].dropna()
    return both[both.index.get_level_values("task").isin(tasks(suite))]


def compared(both: pd.DataFrame, rival: str) -> tuple[Ratio, float]:
    """The ratio of regrets and the p value."""
    return tested(both, "optiformer", rival, {task: family(task) for task in both.index.unique("task")})


def main() -> int:
    """See the module."""
    if "--write" in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for name, grid in grids().items():
            (FOLDER / f"{name}.yaml").write_text(text(name, grid), encoding="utf-8")
    elif "--forecast" in sys.argv[1:]:
        hours = forecast()
        hours["all"] = sum(hours.values())
        print("\n".join(f"{name:12} {each:5.1f} core-hours" for name, each in hours.items()))
    else:
        found = [(suite, rival, n, *compared(runs(suite, n, rival), rival)) for suite, rival, n in FAMILY]
        adjusted = holm(np.array([p for *_, p in found]))
        for (suite, rival, n, one, p), each in zip(found, adjusted, strict=True):
            print(
                f"{suite:11} {rival:26} {n:3} trials: {one.mean:.2f} [{one.low:.2f}, {one.high:.2f}] over {one.tasks} "
                f"tasks, {one.at_floor} at the floor; p {p:.4f}, Holm {each:.4f}"
            )
        for suite in OF_GP:
            for rival in LEVEL:
                one, _ = compared(runs(suite, 50, rival), rival)
                print(f"{suite:11} {rival:26}  50 trials: {one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]")
    return 0


if __name__ == "__main__":
    sys.exit(main())

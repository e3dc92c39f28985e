"""The look at several objectives and constraints (docs/explanation/protocol-objectives.md): grids, forecast, numbers.

::

    python tests/results/look_objectives.py --write      # results/look-objectives/*.yaml
    python tests/results/look_objectives.py --forecast   # core-hours of each grid
    python tests/results/look_objectives.py --page       # the tables into the page, once the grids have run

A grid ``results/look-objectives/NAME.yaml`` runs into ``results/look-objectives/NAME``.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from committed import ROOT
from grids_of_look import Look, p_words, shown

import optibench_benchmarks
from optibench.store.to_results import load
from optibench_benchmarks.kept.draw import by_hash
from optibench_reports.stats.ratios import FLOOR, Ratio, regrets, tested
from optibench_reports.stats.tests import holm

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
GPS = ("gp-optuna", "gp-botorch")
"""Rivals that run for fewer trials, on a part of the tasks."""
AT = (25, 50, 100)
"""The trial counts of the tables."""


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


def family(task: str) -> str:
    """The benchmark family of a task, over which intervals are bootstrapped."""
    return task.partition("/")[0]


@functools.cache
def regret(suite: str, n: int) -> pd.DataFrame:
    """Regrets after n trials on a suite, (task, seed) by optimizer; missing where an optimizer did not run."""
    files = sorted(LOOK.folder.glob("*/trials.parquet"))
    found = pd.concat([regrets(finished(file.parent), n) for file in files]).groupby(level=["task", "seed"]).first()
    return found[found.index.get_level_values("task").isin(tasks(suite))].dropna(axis=1, how="all")


finished = functools.cache(load)
"""Reads a grid once."""


def runs(suite: str, n: int, rival: str) -> pd.DataFrame:
    """Regrets after n trials of OptiFormer and a rival on the tasks and seeds that both have."""
    return regret(suite, n)[["optiformer", rival]].dropna()


def compared(both: pd.DataFrame, rival: str) -> tuple[Ratio, float]:
    """The ratio of regrets and the p value."""
    return tested(both, "optiformer", rival, {task: family(task) for task in both.index.unique("task")})


def primary() -> list[tuple[str, str, int, Ratio, float, float]]:
    """The ten tests: suite, rival, trials, the ratio, p, and p with Holm's adjustment."""
    found = [compared(runs(suite, n, rival), rival) for suite, rival, n in FAMILY]
    adjusted = holm(np.array([p for _, p in found]))
    return [(*case, *each, holm_p) for case, each, holm_p in zip(FAMILY, found, adjusted.tolist(), strict=True)]


def tables() -> str:
    """The results as Markdown."""
    lines = ["The primary family, the regret of `optiformer` as a multiple of the rival's:", ""]
    lines += ["| suite | rival | trials | ratio | tasks | at the floor | p | p, Holm |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|---:|"]
    for suite, rival, n, one, p, adjusted in primary():
        counts = f"{one.tasks} | {one.at_floor}"
        lines.append(f"| {suite} | `{rival}` | {n} | {shown(one)} | {counts} | {p_words(p)} | {p_words(adjusted)} |")
    for suite in OF_GP:
        tables = {n: regret(suite, n) for n in AT}
        lines += ["", f"Mean regret and, in brackets, `optiformer`'s ratio to it, on `{suite}`:", ""]
        lines += ["| optimizer | tasks | seeds | " + " | ".join(f"{n} trials" for n in AT) + " |"]
        lines += ["|---|---:|---:|" + "---:|" * len(AT)]
        for name in ("optiformer", *(name for name in tables[AT[0]] if name != "optiformer")):
            cells = []
            for n in AT:
                columns = list(dict.fromkeys(["optiformer", name]))
                if name not in tables[n]:  # it runs for fewer trials
                    cells.append("")
                    continue
                both = tables[n][columns].dropna()
                mean = f"{both[name].groupby('task').mean().mean():.3f}"
                cells.append(mean if name == "optiformer" else f"{mean} ({shown(compared(both, name)[0])})")
            index = tables[AT[0]][name].dropna().index
            counts = f"{index.unique('task').size} | {index.unique('seed').size}"
            lines.append(f"| `{name}` | {counts} | {' | '.join(cells)} |")
    lines += ["", "`optiformer`'s ratios by family of tasks, over tasks and seeds, and in how many tasks:", ""]
    rivals = {"objectives": ("gp-prior", "tpe-univariate"), "constraints": ("gp-prior", "tpe")}
    lines += [
        "| suite, family | to `gp-prior`, 100 trials | to TPE, 100 | to `gp-optuna`, 50 | to `gp-botorch`, 50 |",
        "|---|---:|---:|---:|---:|",
    ]
    for suite, names in rivals.items():
        cases = [*((name, 100) for name in names), *((name, 50) for name in GPS)]
        for part in sorted({family(task) for task in regret(suite, 100).index.unique("task")}):
            cells = []
            for name, n in cases:
                found = runs(suite, n, name)
                rows = found[[family(task) == part for task in found.index.get_level_values("task")]]
                count = rows.index.unique("task").size
                if not count:
                    cells.append("")
                    continue
                at_floor = (rows.groupby("task").mean() <= FLOOR).all(axis=None)
                words = "both at the floor" if at_floor else shown(compared(rows, name)[0])
                cells.append(f"{words} ({count})")
            lines.append(f"| {suite}, {part} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *feasible_shares()]) + "\n"


def feasible_shares() -> list[str]:
    """Of each optimizer on the suite ``constraints``, the mean share of feasible ones among its trials."""
    kept = [finished(file.parent).trials for file in sorted(LOOK.folder.glob("*/trials.parquet"))]
    trials = pd.concat([each[["optimizer", "task", "state"]].astype(str) for each in kept])
    trials = trials[trials["task"].isin(tasks("constraints"))]
    shares = trials["state"].eq("ok").groupby([trials["optimizer"], trials["task"]]).mean().unstack("optimizer")
    lines = ["Share of feasible ones among all trials on `constraints`, mean over tasks:", ""]
    lines += ["| optimizer | tasks | share |", "|---|---:|---:|"]
    order = shares.mean().sort_values(ascending=False).index
    return [*lines, *(f"| `{name}` | {shares[name].count()} | {shares[name].mean():.2f} |" for name in order)]


LOOK = Look(
    "look_objectives",
    "A part of the look at several objectives and constraints",
    grids,
    EVALUATION,
    tables,
    ROOT / "docs" / "explanation" / "protocol-objectives.md",
)

if __name__ == "__main__":
    sys.exit(LOOK.main())

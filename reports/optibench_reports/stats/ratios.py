"""How many times as large one optimizer's regret is as another's, over tasks in groups.

A ratio is the geometric mean over tasks of the ratios of mean regrets over seeds, each at least a floor: below it, a
difference is of no use to anyone. Tasks on which both are at the floor say nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from optibench_reports.data.results import Results
from optibench_reports.data.score_array import Floats
from optibench_reports.stats.tests import signed_rank

FLOOR = 1e-3


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95% interval, ``low`` to ``high``.

    Attributes:
        mean: Geometric mean over the tasks.
        low, high: Of a bootstrap over groups, then tasks of each, then seeds of each.
        tasks: How many tasks it is of.
        at_floor: How many were left out.
    """

    mean: float
    low: float
    high: float
    tasks: int
    at_floor: int


def regrets(results: Results, trials: int) -> pd.DataFrame:
    """Regrets after so many trials, clipped at 0, (task, seed) by optimizer, without tasks that headlines leave out."""
    counted = [name for name, task in results.tasks.items() if not task.get("left_out")]
    last = results.trials[(results.trials["trial"] == trials - 1) & results.trials["task"].isin(counted)]
    last = last.astype({"task": str, "optimizer": str})
    return last.assign(regret=last["regret"].clip(lower=0)).pivot_table("regret", ["task", "seed"], "optimizer")


def ratio(
    runs: pd.DataFrame, a: str, b: str, groups: Mapping[str, str], *, draws: int = 10_000, seed: int = 0
) -> Ratio:
    """The regret of ``a`` as a multiple of that of ``b``.

    Args:
        runs: Normalised regrets of every run, indexed by (task, seed), a column an optimizer.
        a: One optimizer.
        b: Another.
        groups: The group of each task: tasks of one group are one kind of evidence.
        draws: Replicates of the bootstrap.
        seed: Drives it.

    Raises:
        ValueError: A run of one of the two is missing, or both are at the floor on every task.
    """
    tables = [runs[name].unstack("seed") for name in (a, b)]
    if any(table.isna().any(axis=None) for table in tables):
        raise ValueError("a run of one of the two is missing: compare them where both have every seed")
    scores = np.stack([table.to_numpy() for table in tables])  # (2, tasks, seeds)
    kept = (scores.mean(2) > FLOOR).any(0)
    if not kept.any():
        raise ValueError("both are at the floor on every task")
    names = tables[0].index[kept]
    scores = scores[:, kept]
    members = [
        np.flatnonzero([groups[name] == group for name in names]) for group in sorted({groups[n] for n in names})
    ]
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(members), size=(draws, len(members)))
    total, counts = np.zeros(draws), np.zeros(draws)
    for place in range(len(members)):
        for index, group in enumerate(members):
            drawn = np.flatnonzero(chosen[:, place] == index)
            tasks = rng.choice(group, (len(drawn), len(group)))[..., None]
            seeds = rng.integers(scores.shape[2], size=(*tasks.shape[:2], scores.shape[2]))
            total[drawn] += _log_ratios(scores[:, tasks, seeds].mean(-1)).sum(-1)
            counts[drawn] += len(group)
    low, high = np.exp(np.quantile(total / counts, [0.025, 0.975]))
    whole = float(np.exp(_log_ratios(scores.mean(2)).mean()))
    return Ratio(whole, float(low), float(high), len(names), int((~kept).sum()))


def tested(runs: pd.DataFrame, a: str, b: str, groups: Mapping[str, str]) -> tuple[Ratio, float]:
    """The ratio of regrets, and p of Wilcoxon's signed-rank test over tasks on logarithms of floored mean regrets."""
    means = np.log(runs[[a, b]].groupby("task").mean().clip(lower=FLOOR))
    return ratio(runs, a, b, groups), signed_rank((means[a] - means[b]).to_numpy()).p


def _log_ratios(means: Floats) -> Floats:
    """Log ratios of mean regrets, (2, ...) to (...)."""
    first, second = np.log(np.maximum(means, FLOOR))
    return np.asarray(first - second)

"""Means in which each family of tasks counts once: tasks of one search space are one kind of evidence, however many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optibench_reports.data.score_array import Floats, family


def family_means(tasks: pd.DataFrame) -> pd.DataFrame:
    """Mean score of each family.

    Args:
        tasks: Mean score over seeds, tasks by optimizers.

    Returns:
        Families, sorted, by optimizers.
    """
    return tasks.groupby(tasks.index.map(family)).mean()


def balanced(tasks: pd.DataFrame) -> pd.Series:
    """Mean over families of the mean over each one's tasks, by optimizer; arguments as in :func:`family_means`."""
    return family_means(tasks).mean()


@dataclass(frozen=True)
class BalancedDifference:
    """A difference of :func:`balanced` means with its 95% interval, ``low`` to ``high``."""

    mean: float
    low: float
    high: float


def balanced_difference(
    runs: pd.DataFrame, a: str, b: str, *, draws: int = 10_000, seed: int = 0
) -> BalancedDifference:
    """How much lower or higher ``a`` is than ``b`` where every family counts once.

    The interval is that of a hierarchical bootstrap: families are drawn, then tasks of each, then seeds of each. With
    few families it is wide, as it should be.

    Args:
        runs: Scores of every run, indexed by (task, seed), a column an optimizer; ``a`` and ``b`` are pairs.
        a: One optimizer.
        b: Another.
        draws: Replicates.
        seed: Drives them.
    """
    table = (runs[a] - runs[b]).unstack("seed")
    groups = [part.to_numpy() for _, part in table.groupby(table.index.map(family))]
    if table.isna().any(axis=None):
        raise ValueError("a run of one of the two is missing: compare them where both have every seed")
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(groups), size=(draws, len(groups)))
    total = np.zeros(draws)
    for place in range(len(groups)):
        for index, group in enumerate(groups):
            drawn = chosen[:, place] == index
            total[drawn] += _replicates(group, int(drawn.sum()), rng)
    low, high = np.quantile(total / len(groups), [0.025, 0.975])
    return BalancedDifference(float(np.mean([group.mean() for group in groups])), float(low), float(high))


def _replicates(group: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Means of a family's differences (tasks by seeds) when tasks, then seeds of each, are drawn with replacement."""
    n, seeds = group.shape
    tasks = rng.integers(n, size=(draws, n, 1))
    return np.asarray(group[tasks, rng.integers(seeds, size=(draws, n, seeds))].mean(axis=(1, 2)))

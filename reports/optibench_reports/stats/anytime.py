"""Anytime curves: mean regret and mean rank after every trial, with cluster-bootstrap bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optibench_reports.data.score_array import Floats, Ints
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.comparison import aggregate, seed_means

MAX_COUNTS = 100
BAND_DRAWS = 1000
MIN_RANKED = 4
"""Families of fewer tasks get no curve of ranks: it would jump up and down by whole ranks."""


@dataclass(frozen=True)
class Curves:
    """Curves over one set of tasks.

    Attributes:
        title: Name of the set of tasks.
        counts: Trial counts, (G,).
        mean: Mean regret, (O, G), NaN where an optimizer is not compared; with ``mean_low`` and ``mean_high``.
        rank: Mean rank, likewise.
        seconds: Mean cumulative seconds of suggestions in a cell, likewise.
        n_tasks: Complete tasks at each count, (G,).
        breaks: Counts after which other optimizers or tasks are compared: curves may jump there.
    """

    title: str
    counts: Ints
    mean: Floats
    mean_low: Floats
    mean_high: Floats
    rank: Floats
    rank_low: Floats
    rank_high: Floats
    seconds: Floats
    n_tasks: Ints
    breaks: tuple[int, ...]


def curve_counts(longest: int, most: int = MAX_COUNTS) -> Ints:
    """Every trial count, or ``most`` evenly spread ones of longer cells."""
    if longest <= most:
        return np.arange(1, longest + 1)
    return np.unique(np.rint(np.linspace(1, longest, most)).astype(np.int64))


def curves(analysis: Analysis) -> tuple[Curves, list[Curves]]:
    """Curves over all tasks, and over each family where there are several.

    Where a grid gives its tasks different numbers of trials, they end with the shortest task.
    """
    grid = analysis.grid
    counts = curve_counts(analysis.shared if "trials" in grid.ends else grid.longest)
    points = [int(count) for count in counts]
    scores, asks = grid.at(points), grid.ask_seconds(points)
    overall = _curves(analysis, scores, asks, counts, grid.counted(), "all tasks")
    several = grid.counted_families if len(grid.counted_families) > 1 else []
    return overall, [_curves(analysis, scores, asks, counts, grid.counted(name), name) for name in several]


def _curves(analysis: Analysis, scores: Floats, asks: Floats, counts: Ints, tasks: Ints, title: str) -> Curves:
    wanted = [int(count) for count in counts]
    draws = min(analysis.draws, BAND_DRAWS)
    found = aggregate(analysis.grid, scores, wanted, tasks, draws=draws, seed=analysis.seed)
    shape = (len(analysis.grid.optimizers), len(counts))
    names = ("mean", "mean_low", "mean_high", "rank", "rank_low", "rank_high")
    lines = {name: np.full(shape, np.nan) for name in names}
    seconds = np.full(shape, np.nan)
    n_tasks = np.zeros(len(counts), dtype=np.int64)
    breaks = []
    for g, part in enumerate(found):
        if part is None:
            continue
        n_tasks[g] = len(part.selection.tasks)
        for name in names:
            lines[name][part.selection.optimizers, g] = getattr(part, name)
        chosen = np.ix_(part.selection.optimizers, part.selection.tasks)
        seconds[part.selection.optimizers, g] = seed_means(asks[..., g][chosen]).mean(axis=1)
        before = found[g - 1] if g else None
        if before is not None and before.selection.key != part.selection.key:
            breaks.append(wanted[g - 1])
    return Curves(title=title, counts=counts, seconds=seconds, n_tasks=n_tasks, breaks=tuple(breaks), **lines)

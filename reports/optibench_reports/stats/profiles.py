"""Numbers of further figures: targets reached, performance profile, seconds of asking by length of history."""

from __future__ import annotations

import numpy as np

from optibench_reports.data.score_array import Floats, Ints
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.anytime import curve_counts
from optibench_reports.stats.comparison import Aggregate, seed_means
from optibench_reports.stats.thresholds import first_reached

TARGETS = np.logspace(0, -3, 31)
"""Frozen targets: normalised regrets from 1, a median random configuration, to 0.001, evenly on a logarithmic scale."""
PROFILE_TARGET = 0.05
HISTORY_BINS = 25


def targets_reached(analysis: Analysis, found: Aggregate) -> tuple[Ints, Floats]:
    """Share of the targets that runs have reached after each trial: the run-time distribution.

    Hansen, Auger, Ros, Mersmann, Tusar and Brockhoff (2021), "COCO: a platform for comparing continuous optimizers in
    a black-box setting", Optimization Methods and Software 36(1): over all (task, run, target), those whose target has
    been reached. Here the mean over seeds comes first, then that over tasks, so that a task with missing seeds counts
    as much as any other.

    Args:
        analysis: The analysis.
        found: Who and what; only its tasks with reference values, and runs that reached its trial count.

    Returns:
        Trial counts (G,) up to that of ``found``, and shares (k, G).
    """
    counts = curve_counts(found.selection.count)
    tasks = found.selection.tasks[found.with_regret]
    chosen = np.ix_(found.selection.optimizers, tasks)
    scores = analysis.grid.at([int(count) for count in counts])[chosen]
    # A score never rises, so the share of targets at or above it is the share reached so far. NaN stays NaN.
    share = np.searchsorted(np.sort(TARGETS), np.nan_to_num(scores), side="left")
    reached = np.where(np.isnan(scores), np.nan, 1 - share / len(TARGETS))
    reached[np.isnan(reached[..., -1])] = np.nan
    return counts, np.stack([seed_means(reached[..., g]).mean(axis=1) for g in range(len(counts))], axis=1)


def performance_profile(analysis: Analysis, found: Aggregate) -> tuple[Floats, Floats]:
    """Share of tasks solved within a factor of the fastest optimizer's number of trials.

    Dolan and More (2002), "Benchmarking optimization software with performance profiles", Mathematical Programming 91:
    with ``t_ps`` the cost of solver s on problem p, ``rho_s(tau) = share of p with t_ps <= tau min_s t_ps``. Cost is
    the median over runs of the trials until the regret is at most ``PROFILE_TARGET``, infinite where half of them
    never get there. A task that no optimizer solves stays in the denominator.

    Returns:
        Factors (F,), ascending from 1, and shares (k, F).
    """
    trials, _ = first_reached(analysis, PROFILE_TARGET, found.selection.count)
    tasks = found.selection.tasks[found.with_regret]
    cost = np.nanmedian(trials[np.ix_(found.selection.optimizers, tasks)], axis=2)
    best = cost.min(axis=0)
    ratio = np.full(cost.shape, np.inf)
    solved = np.isfinite(best)
    ratio[:, solved] = cost[:, solved] / best[solved]
    factors = np.unique(np.concatenate([[1.0], ratio[np.isfinite(ratio)]]))
    return factors, (ratio[:, :, None] <= factors * (1 + 1e-12)).mean(axis=1)


def asking_by_history(analysis: Analysis) -> tuple[Ints, Floats]:
    """Mean seconds of one suggestion by the number of trials before it, over all cells, in bins.

    A mean and not a median, since some optimizers retrain only every few trials and those trials are their cost.

    Returns:
        The first history length of each bin (B,), and seconds (O, B); NaN where an optimizer suggested nothing.
    """
    grid = analysis.grid
    edges = np.unique(np.linspace(0, grid.longest, HISTORY_BINS + 1).astype(np.int64))
    width = len(edges) - 1
    optimizer = grid.cell // (grid.finished.shape[1] * grid.finished.shape[2])
    timed = grid.ask > 0
    place = (optimizer * width + np.searchsorted(edges, grid.trial, side="right") - 1)[timed]
    size = len(grid.optimizers) * width
    n = np.bincount(place, minlength=size)
    total = np.bincount(place, weights=grid.ask[timed], minlength=size)
    mean = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return edges[:-1], mean.reshape(len(grid.optimizers), width)

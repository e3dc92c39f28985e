"""Trials, and seconds of suggestions, until the regret falls to a threshold."""

from __future__ import annotations

import numpy as np

from optibench_reports.data.score_array import Floats
from optibench_reports.stats.analysis import Analysis


def first_reached(analysis: Analysis, threshold: float, horizon: int) -> tuple[Floats, Floats]:
    """Trials, and cumulative seconds of suggestions, until each cell's regret is at most ``threshold``.

    Args:
        analysis: The analysis.
        threshold: Normalised regret.
        horizon: Later trials do not count.

    Returns:
        Two arrays (O, T, S): infinite where a cell never got there, NaN where it is missing or too short, or where the
        seconds of an optimizer are not known.
    """
    grid = analysis.grid
    trials, seconds = np.full(grid.finished.size, np.inf), np.full(grid.finished.size, np.inf)
    hit = (grid.score <= threshold) & (grid.trial < horizon)
    # Rows are sorted by cell and trial, so the first hit of a cell is the first occurrence of its index.
    cells, first = np.unique(grid.cell[hit], return_index=True)
    rows = np.flatnonzero(hit)[first]
    trials[cells] = grid.trial[rows] + 1
    seconds[cells] = grid.spent[rows]
    absent = grid.finished.ravel() < horizon
    trials[absent] = seconds[absent] = np.nan
    by_optimizer = seconds.reshape(grid.finished.shape)
    by_optimizer[~grid.timed] = np.nan
    return trials.reshape(grid.finished.shape), by_optimizer

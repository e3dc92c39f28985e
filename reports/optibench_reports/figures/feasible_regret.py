"""Regret of the best feasible trial on the tasks with constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from optibench_reports.data.score_array import Ints
from optibench_reports.figures.axes import COLUMN, evenly, framed, log_y, short, steps, wants_log
from optibench_reports.figures.style import Style
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.anytime import curve_counts
from optibench_reports.stats.comparison import seed_means


def shown_tasks(analysis: Analysis) -> Ints:
    """Indices of the tasks that are drawn."""
    found = analysis.feasibility
    return evenly(np.empty(0, dtype=np.int64) if found is None else found.tasks[analysis.grid.has_regret[found.tasks]])


def feasible_figure(analysis: Analysis, names: Sequence[str], looks: Mapping[str, Style]) -> Figure:
    """Mean over seeds after each trial, a panel a task: faint until every seed has a feasible trial."""
    grid, found, tasks = analysis.grid, analysis.feasibility, shown_tasks(analysis)
    assert found is not None
    counts = curve_counts(grid.longest)
    mean = seed_means(grid.at([int(count) for count in counts])[:, tasks])
    first = found.all_feasible[:, np.searchsorted(found.tasks, tasks)]
    columns = min(len(tasks), 3)
    rows = -(-len(tasks) // columns)
    width, height = (COLUMN, 2.3) if columns == 1 else (min(7.0, 2.4 * columns), 1.9 * rows)
    figure, axes = framed(names, looks, rows=rows, columns=columns, width=width, height=height)
    for place, axis in enumerate(axes.flat):
        if place >= len(tasks):
            axis.set_axis_off()
            continue
        for name in reversed(names):
            o, look = grid.optimizers.index(name), looks[name]
            axis.plot(counts, mean[o, place], drawstyle="steps-mid", color=look.colour, linewidth=0.9, alpha=0.4)
            part = counts >= first[o, place]
            if part.any():
                steps(axis, counts[part], mean[o, place, part], look, markers=6, where="mid")
        if wants_log(mean[:, place]):
            log_y(axis)
        axis.set_title(short(grid.tasks[tasks[place]], 30))
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.margins(x=0.02)
        if place % columns == 0:
            axis.set_ylabel("normalised regret")
        if place + columns >= len(tasks):
            axis.set_xlabel("trials")
    return figure

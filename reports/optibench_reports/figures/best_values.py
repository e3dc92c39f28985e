"""Best value so far on the tasks without reference values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from optibench_reports.data.score_array import Floats, Ints
from optibench_reports.figures.axes import COLUMN, evenly, framed, short, steps
from optibench_reports.figures.style import Style
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.anytime import curve_counts
from optibench_reports.stats.tests import t_interval
from optibench_reports.stats.without_regret import values
from optibench_reports.tables.regret import per_task


def shown_tasks(analysis: Analysis) -> Ints:
    """Indices of the tasks that are drawn."""
    return evenly(np.flatnonzero(~analysis.grid.has_regret))


def best_values_figure(analysis: Analysis, names: Sequence[str], looks: Mapping[str, Style]) -> Figure:
    """Mean over seeds with Student's intervals after each trial, a panel a task."""
    grid, tasks = analysis.grid, shown_tasks(analysis)
    counts = curve_counts(grid.longest)
    mean, sd, n = per_task(
        grid.at([int(count) for count in counts])[:, tasks]
        .transpose(0, 1, 3, 2)
        .reshape(len(grid.optimizers), -1, grid.seeds.shape[1])
    )
    half = t_interval(mean, sd, n).reshape(len(grid.optimizers), len(tasks), len(counts))
    mean = mean.reshape(half.shape)
    columns = min(len(tasks), 3)
    rows = -(-len(tasks) // columns)
    width, height = (COLUMN, 2.3) if columns == 1 else (min(7.0, 2.4 * columns), 1.9 * rows)
    figure, axes = framed(names, looks, rows=rows, columns=columns, width=width, height=height)
    every = max(1, len(counts) // 6)
    for place, axis in enumerate(axes.flat):
        if place >= len(tasks):
            axis.set_axis_off()
            continue
        for index, name in enumerate(reversed(names)):
            o, look = grid.optimizers.index(name), looks[name]
            middle = values(grid, int(tasks[place]), mean[o, place])
            width_of = np.nan_to_num(half[o, place])
            axis.fill_between(
                counts, middle - width_of, middle + width_of, step="mid", color=look.colour, alpha=0.11, linewidth=0
            )
            steps(axis, counts, middle, look, markers=6, offset=index * every // max(1, len(names)), where="mid")
        _focus(axis, values(grid, int(tasks[place]), mean[:, place]))
        axis.set_title(short(grid.tasks[tasks[place]], 30))
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.margins(x=0.02)
        if place % columns == 0:
            axis.set_ylabel("best value")
        if place + columns >= len(tasks):
            axis.set_xlabel("trials")
    return figure


def _focus(axis: Axes, middle: Floats) -> None:
    """Limit the vertical axis to what lies after the trials that all optimizers have in common, (O, G)."""
    apart = np.flatnonzero(np.ptp(middle, axis=0) > 0)
    part = middle[:, max(int(apart[0]) - 1, 0) :] if len(apart) else middle
    low, high = float(np.nanmin(part)), float(np.nanmax(part))
    if high > low:
        axis.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))

"""Figures of distributions: targets reached, performance profile, win rates, box plots, seconds of suggestions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from optibench_reports.figures.axes import COLUMN, framed, log_y, short, steps
from optibench_reports.figures.style import Style
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.comparison import Aggregate, Comparison
from optibench_reports.stats.profiles import asking_by_history, performance_profile, targets_reached
from optibench_reports.tables.significance import significant

MAX_BOXED = 24
"""Tasks with box plots; of more, an evenly spaced selection by name is shown."""

Looks = Mapping[str, Style]


def targets_figure(analysis: Analysis, found: Aggregate, names: Sequence[str], looks: Looks) -> Figure:
    """Share of targets reached after each trial."""
    counts, shares = targets_reached(analysis, found)
    shown = _compared(analysis, found, names)
    figure, axes = framed(list(shown), looks, width=COLUMN, height=2.3)
    axis = axes[0, 0]
    for name in reversed(list(shown)):
        steps(axis, counts, shares[shown[name]], looks[name])
    axis.set_xlabel("trials")
    axis.set_ylabel("share of targets reached")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.set_ylim(bottom=0)
    return figure


def profile_figure(analysis: Analysis, found: Aggregate, names: Sequence[str], looks: Looks) -> Figure:
    """Share of tasks solved within a factor of the fastest."""
    factors, shares = performance_profile(analysis, found)
    shown = _compared(analysis, found, names)
    figure, axes = framed(list(shown), looks, width=COLUMN, height=2.3)
    axis = axes[0, 0]
    end = max(2.0, float(factors[-1]) * 1.15)
    x = np.append(factors, end)
    for index, name in enumerate(reversed(list(shown))):
        y = shares[shown[name]]
        steps(axis, x, np.append(y, y[-1]), looks[name], offset=index)
    axis.set_xscale("log", base=2)
    axis.set_xlim(1, end)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("trials, as a multiple of the fastest optimizer's")
    axis.set_ylabel("share of tasks solved")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.set_ylim(0, 1.02)
    return figure


def heat_map(analysis: Analysis, found: Aggregate, tests: Comparison, names: Sequence[str]) -> Figure:
    """Win rate of each row against each column, ties counting half; significant ones bold."""
    shown = _compared(analysis, found, names)
    k, n = len(shown), tests.n
    rate, bold = np.full((k, k), np.nan), np.zeros((k, k), dtype=bool)
    place = {analysis.grid.optimizers.index(name): i for i, name in enumerate(shown)}
    for pair in tests.pairs:
        a, b = place[pair.a], place[pair.b]
        rate[a, b] = (pair.wins + pair.ties / 2) / n
        rate[b, a] = (pair.losses + pair.ties / 2) / n
        bold[a, b] = bold[b, a] = significant(tests, pair.p_holm)
    size = max(COLUMN, 0.32 * k + 1.2)
    figure = Figure(figsize=(size, size * 0.8), layout="constrained")
    # Room for the slanted names, whose width the layout underestimates.
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr,call-arg]
    axis = figure.subplots()
    # Purple and orange differ for every kind of colour vision; white is an even match.
    image = axis.imshow(rate, cmap="PuOr_r", vmin=0, vmax=1)
    axis.grid(visible=False)
    labels = [short(name) for name in shown]
    axis.set_xticks(range(k), labels, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(k), labels)
    for i, j in np.argwhere(np.isfinite(rate)):
        colour = "white" if abs(rate[i, j] - 0.5) > 0.3 else "black"
        weight = "bold" if bold[i, j] else "normal"
        axis.text(j, i, f"{100 * rate[i, j]:.0f}", ha="center", va="center", color=colour, weight=weight, fontsize=7)
    bar = figure.colorbar(image, ax=axis, shrink=0.8, format=PercentFormatter(1.0, decimals=0))
    bar.set_label("row beats column")
    return figure


def boxed_tasks(found: Aggregate) -> Any:
    """Indices into the grid of the tasks that get box plots."""
    tasks = found.selection.tasks[found.with_regret]
    if len(tasks) <= MAX_BOXED:
        return tasks
    return tasks[np.linspace(0, len(tasks) - 1, MAX_BOXED).round().astype(int)]


def box_plots(analysis: Analysis, found: Aggregate, names: Sequence[str], looks: Looks) -> Figure:
    """Regrets of the runs of each task, a panel each."""
    tasks = boxed_tasks(found)
    shown = _compared(analysis, found, names)
    columns = min(4, len(tasks))
    rows = -(-len(tasks) // columns)
    width = COLUMN if columns == 1 else min(7.0, 1.9 * columns)
    figure, axes = framed(list(shown), looks, rows=rows, columns=columns, width=width, height=1.35 * rows)
    where = {int(t): i for i, t in enumerate(found.selection.tasks)}
    for axis in axes.flat[len(tasks) :]:
        axis.set_axis_off()
    for axis, t in zip(axes.flat, tasks, strict=False):
        runs = [found.seed_scores[i, where[int(t)]] for i in shown.values()]
        runs = [scores[~np.isnan(scores)] for scores in runs]
        boxes = axis.boxplot(runs, widths=0.7, patch_artist=True, medianprops={"color": "black"})
        for patch, name in zip(boxes["boxes"], shown, strict=True):
            patch.set(facecolor=looks[name].colour, alpha=0.75, linewidth=0.6)
        for part in ("whiskers", "caps"):
            for thing in boxes[part]:
                thing.set(linewidth=0.6)
        for points, name in zip(boxes["fliers"], shown, strict=True):
            points.set(marker=looks[name].marker, markersize=2.5, markeredgecolor=looks[name].colour)
        positive = np.concatenate(runs)
        if (positive > 0).all() and positive.max() > 5 * positive.min():
            log_y(axis)
        axis.set_xticks([])
        axis.set_title(_title(analysis.grid.tasks[int(t)]), fontsize=6.5)
        axis.tick_params(labelsize=6)
    for axis in axes[:, 0]:
        axis.set_ylabel("regret")
    return figure


def asking_figure(analysis: Analysis, names: Sequence[str], looks: Looks) -> Figure:
    """Mean seconds of a suggestion against the trials before it."""
    history, seconds = asking_by_history(analysis)
    shown = [name for name in names if np.isfinite(seconds[analysis.grid.optimizers.index(name)]).any()]
    figure, axes = framed(shown, looks, width=COLUMN, height=2.3)
    axis = axes[0, 0]
    for name in reversed(shown):
        y = 1e3 * seconds[analysis.grid.optimizers.index(name)]
        known = np.isfinite(y)
        steps(axis, history[known], y[known], looks[name])
    log_y(axis)
    axis.set_xlabel("trials so far")
    axis.set_ylabel("mean ms per suggestion")
    return figure


def _compared(analysis: Analysis, found: Aggregate, names: Sequence[str]) -> dict[str, int]:
    """Position in the aggregate of each optimizer that is compared, in the order of ``names``."""
    place = {analysis.grid.optimizers[o]: i for o, i in found.place.items()}
    return {name: place[name] for name in names if name in place}


def _title(task: str) -> str:
    return (task if len(task) <= 26 else "…" + task[-25:]).replace("$", r"\$")

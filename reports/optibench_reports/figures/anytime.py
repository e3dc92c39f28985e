"""Figures, drawn with matplotlib's Agg and PDF back ends: no window, no clock, no global state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from optibench_reports.figures import best_values, feasible_regret
from optibench_reports.figures.axes import COLUMN, framed, log_y, save, steps, wants_log
from optibench_reports.figures.cost import cost_caption, cost_figure
from optibench_reports.figures.critical_difference import cliques, critical_difference
from optibench_reports.figures.distributions import (
    asking_figure,
    box_plots,
    boxed_tasks,
    heat_map,
    profile_figure,
    targets_figure,
)
from optibench_reports.figures.style import RC, Style, styles
from optibench_reports.figures.ticks import power_ticks
from optibench_reports.format.text import plural
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.anytime import BAND_DRAWS, MIN_RANKED, Curves
from optibench_reports.stats.comparison import TIE
from optibench_reports.stats.profiles import PROFILE_TARGET, TARGETS
from optibench_reports.tables.regret import ranking

BEST_VALUES = "best_values"
"""The name of that figure."""


def draw(analysis: Analysis, folder: Path, drawn: tuple[Curves, list[Curves]]) -> list[tuple[str, str]]:
    """Write every figure that the results allow, as PNG and PDF.

    Args:
        analysis: The numbers.
        folder: An empty folder.
        drawn: The anytime curves, from :func:`optibench_reports.stats.anytime.curves`.

    Returns:
        (file name without suffix, caption) in the order of the report.
    """
    looks = styles(analysis.grid.optimizers)
    names = [analysis.grid.optimizers[o] for o in ranking(analysis)]
    overall, _ = drawn
    done = []
    with rc_context(cast(Any, RC)):
        for found in analysis.costs:
            save(cost_figure(found, analysis.grid.optimizers, names, looks), folder / f"regret_by_{found.unit}")
            done.append((f"regret_by_{found.unit}", cost_caption(found)))
        for name, figure, caption in curve_figures(analysis, drawn, names, looks):
            save(figure, folder / name)
            done.append((name, caption))
        if ((overall.mean > 0) & (overall.seconds > 0)).any():
            save(_cost(analysis, overall, names, looks), folder / "regret_by_ask_time")
            caption = "Mean normalised regret against the mean time an optimizer has spent on its suggestions so far"
            done.append(("regret_by_ask_time", f"{caption}, trial by trial from the first suggestion on"))
        for name, figure, caption in _of_the_headline(analysis, names, looks):
            save(figure, folder / name)
            done.append((name, caption))
        if (analysis.grid.ask > 0).any():
            save(asking_figure(analysis, names, looks), folder / "ask_time_by_history")
            caption = "Mean time of one suggestion against the number of trials before it, over all cells"
            done.append(("ask_time_by_history", f"{caption} (in bins; suggestions that took no time are left out)"))
    return done


def curve_figures(
    analysis: Analysis, drawn: tuple[Curves, list[Curves]], names: Sequence[str], looks: dict[str, Style]
) -> Iterator[tuple[str, Figure, str]]:
    """The curves of regret, of rank and of best values: file name, figure, caption; to be drawn in our style."""
    overall, families = drawn
    for quantity, words in (("mean", "regret"), ("rank", "rank")):
        # Without reference values there is no regret, and one optimizer has no rank.
        if not np.isfinite(getattr(overall, quantity)).any() or (quantity == "rank" and len(names) == 1):
            continue
        for part, suffix in (([overall], ""), (families, "_by_family")):
            shown = [curve for curve in part if np.isfinite(getattr(curve, quantity)).any()]
            if quantity == "rank" and suffix:
                shown = [curve for curve in shown if curve.n_tasks.max() >= MIN_RANKED]
            if shown:
                figure = _anytime(analysis, shown, quantity, names, looks)
                yield f"anytime_{words}{suffix}", figure, _caption(analysis, shown, words)
    if len(best_values.shown_tasks(analysis)):
        yield BEST_VALUES, best_values.best_values_figure(analysis, names, looks), _values_caption(analysis)
    if n := len(feasible_regret.shown_tasks(analysis)):
        caption = (
            f"Regret of the best feasible trial so far on {plural(n, 'task')} with constraints, mean over seeds. "
            "A seed without a feasible trial has the regret of the worst reference; curves are faint until every seed "
            "has one"
        )
        yield "feasible_regret", feasible_regret.feasible_figure(analysis, names, looks), caption


def _of_the_headline(
    analysis: Analysis, names: Sequence[str], looks: dict[str, Style]
) -> Iterator[tuple[str, Figure, str]]:
    """Figures at the headline trial count: file name, figure, caption."""
    found, tests = analysis.overall[analysis.headline], analysis.comparisons[analysis.headline]
    if found is None or tests is None:
        return
    count, n = analysis.counts[analysis.headline], int(found.with_regret.sum())
    if len(found.selection.optimizers) > 2 and tests.attainable:
        groups = cliques(found, tests)
        yield (
            "critical_difference",
            critical_difference(found, groups, analysis.grid.optimizers, looks),
            f"Mean ranks after {count} trials. A bar joins neighbours of which no "
            "two differ significantly (Wilcoxon's signed-rank test, Holm-adjusted); the table has the pairs",
        )
    if tests.pairs:
        yield (
            "win_rate",
            heat_map(analysis, found, tests, names),
            f"Share of {plural(n, 'task')} on which the row's mean regret after {count} trials is lower than the "
            f"column's, in per cent; a tie (within {TIE:g}) counts half. Bold: significant (Wilcoxon's signed-rank "
            "test, Holm-adjusted)",
        )
    if not n:
        return
    yield (
        "targets_reached",
        targets_figure(analysis, found, names, looks),
        f"Share of {len(TARGETS)} targets of the normalised regret, from {TARGETS[0]:g} to {TARGETS[-1]:g} on a "
        f"logarithmic scale, that the runs have reached; mean over seeds, then over {plural(n, 'task')}",
    )
    yield (
        "performance_profile",
        profile_figure(analysis, found, names, looks),
        f"Performance profile: share of {plural(n, 'task')} on which the median run comes to a regret of "
        f"{PROFILE_TARGET:g} within {count} trials and within a factor of the trials that the fastest optimizer needs "
        "there",
    )
    shown = len(boxed_tasks(found))
    which = plural(n, "task") if shown == n else f"{shown} of {n} tasks, evenly spaced in the list of their names"
    yield (
        "regret_by_task",
        box_plots(analysis, found, names, looks),
        f"Regret of the runs after {count} trials on {which}: median, quartiles, whiskers to the farthest run within "
        "1.5 times their distance, runs beyond",
    )


def _values_caption(analysis: Analysis) -> str:
    n, shown = int((~analysis.grid.has_regret).sum()), len(best_values.shown_tasks(analysis))
    which = plural(n, "task") if shown == n else f"{shown} of {n} tasks, evenly spaced in the list of their names,"
    return (
        f"Best value so far on {which} without reference values, mean over seeds, from where the optimizers part. "
        "Bands: Student's 95% intervals over seeds"
    )


def _caption(analysis: Analysis, shown: list[Curves], words: str) -> str:
    tasks = "" if len(shown) > 1 else f" over {int(shown[0].n_tasks.max())} tasks"
    quantity = "normalised regret" if words == "regret" else "rank (1 is best)"
    caption = f"Mean {quantity}{tasks}{' by family' if len(shown) > 1 else ''} after each trial"
    if words == "rank" and len(shown) > 1:
        caption += f"; families of at least {MIN_RANKED} tasks"
    if words == "regret" or len(shown) == 1:
        caption += f". Bands: 95% cluster bootstrap, {min(analysis.draws, BAND_DRAWS)} draws"
    if any(curve.breaks for curve in shown):
        caption += ". Dotted vertical line: from here on other optimizers or tasks are compared, curves may jump"
    return caption


def _anytime(
    analysis: Analysis, shown: Sequence[Curves], quantity: str, names: Sequence[str], looks: dict[str, Style]
) -> Figure:
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    width = COLUMN if columns == 1 else min(7.0, 2.4 * columns)
    height = 2.3 if columns == 1 else 1.9 * rows
    figure, axes = framed(names, looks, rows=rows, columns=columns, width=width, height=height)
    for place, axis in enumerate(axes.flat):
        if place >= len(shown):
            axis.set_axis_off()
            continue
        curve = shown[place]
        # Bands of ranks overlap too much for a small panel.
        bands = quantity == "mean" or len(shown) == 1
        _panel(axis, analysis, curve, quantity, names, looks, bands)
        if len(shown) > 1:
            axis.set_title(f"{curve.title} ({plural(int(curve.n_tasks.max()), 'task')})")
        if place % columns == 0:
            axis.set_ylabel("mean normalised regret" if quantity == "mean" else "mean rank")
        if place + columns >= len(shown):
            axis.set_xlabel("trials")
    return figure


def _cost(analysis: Analysis, curve: Curves, names: Sequence[str], looks: dict[str, Style]) -> Figure:
    """Each optimizer's regret against its own seconds of suggestions."""
    figure, axes = framed(names, looks, width=COLUMN, height=2.3)
    axis = axes[0, 0]
    for name in reversed(names):
        o, look = analysis.grid.optimizers.index(name), looks[name]
        shown = (curve.seconds[o] > 0) & (curve.mean[o] > 0)
        steps(axis, curve.seconds[o, shown], curve.mean[o, shown], look)
    axis.set_xscale("log")
    power_ticks(axis.xaxis)
    if wants_log(curve.mean):
        log_y(axis)
    axis.set_xlabel("seconds of asking so far (one run)")
    axis.set_ylabel("mean normalised regret")
    return figure


def _panel(
    axis: Axes,
    analysis: Analysis,
    curve: Curves,
    quantity: str,
    names: Sequence[str],
    looks: dict[str, Style],
    bands: bool,
) -> None:
    middle, low, high = (getattr(curve, quantity + suffix) for suffix in ("", "_low", "_high"))
    logarithmic = quantity == "mean" and wants_log(middle)
    floor = np.nanmin(middle[middle > 0]) / 3 if logarithmic else -np.inf
    every = max(1, len(curve.counts) // 6)
    position = {name: o for o, name in enumerate(analysis.grid.optimizers)}
    for index, name in enumerate(reversed(names)):
        o, look = position[name], looks[name]
        y = np.where(np.isnan(middle[o]), np.nan, np.maximum(middle[o], floor))
        if bands:
            bottom = np.maximum(low[o], floor)
            axis.fill_between(curve.counts, bottom, high[o], step="mid", color=look.colour, alpha=0.11, linewidth=0)
        steps(axis, curve.counts, y, look, markers=6, offset=index * every // max(1, len(names)), where="mid")
    for count in curve.breaks:
        axis.axvline(count + 0.5, color="#555555", linewidth=0.8, linestyle=":")
    if logarithmic:
        log_y(axis)
    if quantity == "rank":
        axis.yaxis.set_major_locator(MaxNLocator(7, integer=True))
        axis.invert_yaxis()
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.margins(x=0.02)

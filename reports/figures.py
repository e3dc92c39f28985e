"""Figures, drawn with matplotlib's Agg and PDF back ends: no window, no clock, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from reports.analysis import Analysis
from reports.critical import cliques, critical_difference
from reports.curves import BAND_DRAWS, FEWEST_RANKED, Curves
from reports.style import RC, Style, styles
from reports.tables import ranking
from reports.text import many

COLUMN = 3.4
"""Width of one column of a paper, in inches."""
LEGEND_ROW = 0.16


def draw(analysis: Analysis, folder: Path, drawn: tuple[Curves, list[Curves]]) -> list[tuple[str, str]]:
    """Write every figure that the results allow, as PNG and PDF.

    Args:
        analysis: The numbers.
        folder: An empty folder.
        drawn: The anytime curves, from :func:`reports.curves.curves`.

    Returns:
        (file name without suffix, caption) in the order of the report.
    """
    looks = styles(analysis.grid.optimizers)
    names = [analysis.grid.optimizers[o] for o in ranking(analysis)]
    overall, families = drawn
    done = []
    with rc_context(cast(Any, RC)):
        for quantity, words in (("mean", "regret"), ("rank", "rank")):
            # Without reference values there is no regret, and one optimizer has no rank.
            if not np.isfinite(getattr(overall, quantity)).any() or (quantity == "rank" and len(names) == 1):
                continue
            for part, suffix in (([overall], ""), (families, "_by_family")):
                shown = [curve for curve in part if np.isfinite(getattr(curve, quantity)).any()]
                if quantity == "rank" and suffix:
                    shown = [curve for curve in shown if curve.n_tasks.max() >= FEWEST_RANKED]
                if shown:
                    figure = _anytime(analysis, shown, quantity, names, looks)
                    _save(figure, folder / f"anytime_{words}{suffix}")
                    done.append((f"anytime_{words}{suffix}", _caption(analysis, shown, words)))
        if np.isfinite(overall.mean).any() and (overall.asked > 0).any():
            _save(_cost(analysis, overall, names, looks), folder / "regret_by_ask_time")
            caption = "Mean normalised regret against the mean time an optimizer has spent on its suggestions so far"
            done.append(("regret_by_ask_time", f"{caption}, trial by trial from the first suggestion on"))
        found, tests = analysis.overall[analysis.headline], analysis.comparisons[analysis.headline]
        if found is not None and tests is not None and len(found.selection.optimizers) > 2 and tests.attainable:
            groups = cliques(found, tests)
            _save(critical_difference(found, groups, analysis.grid.optimizers, looks), folder / "critical_difference")
            done.append(
                (
                    "critical_difference",
                    f"Mean ranks after {analysis.counts[analysis.headline]} trials. A bar joins neighbours of which no "
                    "two differ significantly (Wilcoxon's signed-rank test, Holm-adjusted); the table has the pairs",
                )
            )
    return done


def _caption(analysis: Analysis, shown: list[Curves], words: str) -> str:
    tasks = "" if len(shown) > 1 else f" over {int(shown[0].n_tasks.max())} tasks"
    quantity = "normalised regret" if words == "regret" else "rank (1 is best)"
    caption = f"Mean {quantity}{tasks}{' by family' if len(shown) > 1 else ''} after each trial"
    if words == "rank" and len(shown) > 1:
        caption += f"; families of at least {FEWEST_RANKED} tasks"
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
    legend_columns = _legend_columns(names, width)
    legend = LEGEND_ROW * -(-len(names) // legend_columns) + 0.1
    height = (2.3 if columns == 1 else 1.9 * rows) + legend
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(rect=(0, legend / height, 1, 1 - legend / height))  # type: ignore[union-attr,call-arg]
    axes = figure.subplots(rows, columns, squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place >= len(shown):
            axis.set_axis_off()
            continue
        curve = shown[place]
        # Bands of ranks overlap too much for a small panel.
        bands = quantity == "mean" or len(shown) == 1
        _panel(axis, analysis, curve, quantity, names, looks, bands)
        if len(shown) > 1:
            axis.set_title(f"{curve.title} ({many(int(curve.n_tasks.max()), 'task')})")
        if place % columns == 0:
            axis.set_ylabel("mean normalised regret" if quantity == "mean" else "mean rank")
        if place + columns >= len(shown):
            axis.set_xlabel("trials")
    handles = [_handle(name, looks[name]) for name in names]
    figure.legend(handles=handles, loc="lower center", ncols=legend_columns, columnspacing=1.2, handlelength=2.4)
    return figure


def _cost(analysis: Analysis, curve: Curves, names: Sequence[str], looks: dict[str, Style]) -> Figure:
    """What thinking buys: each optimizer's curve of regret over its own seconds of asking."""
    legend_columns = _legend_columns(names, COLUMN)
    legend = LEGEND_ROW * -(-len(names) // legend_columns) + 0.1
    figure = Figure(figsize=(COLUMN, 2.3 + legend), layout="constrained")
    figure.get_layout_engine().set(rect=(0, legend / (2.3 + legend), 1, 2.3 / (2.3 + legend)))  # type: ignore[union-attr,call-arg]
    axis = figure.subplots()
    for name in reversed(names):
        o, look = analysis.grid.optimizers.index(name), looks[name]
        shown = (curve.asked[o] > 0) & (curve.mean[o] > 0)
        axis.plot(
            curve.asked[o, shown],
            curve.mean[o, shown],
            drawstyle="steps-post",
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markevery=max(1, int(shown.sum()) // 5),
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
    axis.set_xscale("log")
    if _wants_log(curve.mean):
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("seconds of asking so far (one run)")
    axis.set_ylabel("mean normalised regret")
    handles = [_handle(name, looks[name]) for name in names]
    figure.legend(handles=handles, loc="lower center", ncols=legend_columns, columnspacing=1.2, handlelength=2.4)
    return figure


def _handle(name: str, look: Style) -> Line2D:
    label = _short(name).replace("$", r"\$")
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.line, label=label)


def _legend_columns(names: Sequence[str], width: float) -> int:
    """As many columns as fit: a handle, and about 0.056 inches for each letter of a column's longest name."""
    for columns in range(min(5, len(names)), 1, -1):
        rows = -(-len(names) // columns)
        parts = [names[start : start + rows] for start in range(0, len(names), rows)]
        if sum(0.55 + 0.056 * max(len(_short(name)) for name in part) for part in parts) <= width:
            return columns
    return 1


def _short(name: str) -> str:
    return name if len(name) <= 22 else name[:21] + "…"


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
    logarithmic = quantity == "mean" and _wants_log(middle)
    floor = np.nanmin(middle[middle > 0]) / 3 if logarithmic else -np.inf
    every = max(1, len(curve.counts) // 6)
    position = {name: o for o, name in enumerate(analysis.grid.optimizers)}
    for index, name in enumerate(reversed(names)):
        o, look = position[name], looks[name]
        y = np.where(np.isnan(middle[o]), np.nan, np.maximum(middle[o], floor))
        if bands:
            bottom = np.maximum(low[o], floor)
            axis.fill_between(curve.counts, bottom, high[o], step="mid", color=look.colour, alpha=0.11, linewidth=0)
        axis.plot(
            curve.counts,
            y,
            drawstyle="steps-mid",
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markevery=(index * every // max(1, len(names)), every),
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
    for count in curve.breaks:
        axis.axvline(count + 0.5, color="#555555", linewidth=0.8, linestyle=":")
    if logarithmic:
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(NullFormatter())
    if quantity == "rank":
        axis.yaxis.set_major_locator(MaxNLocator(7, integer=True))
        axis.invert_yaxis()
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.margins(x=0.02)


def _wants_log(middle: np.ndarray[Any, Any]) -> bool:
    """A logarithmic axis where the curves span more than a factor of 5 and there is something positive to show."""
    positive = middle[middle > 0]
    return bool(positive.size) and float(positive.max()) > 5 * float(positive.min())


def _save(figure: Figure, path: Path) -> None:
    """Both formats, without the clock that matplotlib writes into a PDF."""
    figure.savefig(path.with_suffix(".png"), dpi=200, metadata={"Software": None})
    figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})

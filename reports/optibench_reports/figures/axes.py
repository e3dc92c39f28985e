"""Shared parts of figures: width, legend, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from optibench_reports.data.score_array import Ints
from optibench_reports.figures.style import Style
from optibench_reports.figures.ticks import plain_log_ticks, power_ticks
from optibench_reports.format.text import shortened

COLUMN = 3.4
"""Width of one column of a paper, in inches."""
MAX_PANELS = 12
"""Tasks with a panel; of more, an evenly spaced selection is shown."""
LEGEND_ROW = 0.16
LEGEND_NAME = 28
"""Letters of a name that a legend shows: ``optiformer:preset=thorough`` in full."""


def framed(
    names: Sequence[str], looks: Mapping[str, Style], *, rows: int = 1, columns: int = 1, width: float, height: float
) -> tuple[Figure, np.ndarray[Any, np.dtype[Any]]]:
    """Axes with the legend of all optimizers below them.

    Returns:
        The figure and its axes, (rows, columns).
    """
    rows_of_names = -(-len(names) // legend_columns(names, width))
    legend = LEGEND_ROW * rows_of_names + 0.1
    figure = Figure(figsize=(width, height + legend), layout="constrained")
    share = legend / (height + legend)
    figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))  # type: ignore[union-attr,call-arg]
    axes = figure.subplots(rows, columns, squeeze=False)
    handles = [handle(name, looks[name]) for name in names]
    # As few columns as these rows need: six names become two rows of three, not one row of five and one of one.
    columns_of_names = -(-len(names) // rows_of_names)
    figure.legend(handles=handles, loc="lower center", ncols=columns_of_names, columnspacing=1.2, handlelength=2.4)
    return figure, axes


def evenly(tasks: Ints) -> Ints:
    """At most ``MAX_PANELS`` of some tasks, (T,), evenly spaced."""
    if len(tasks) <= MAX_PANELS:
        return tasks
    return np.asarray(tasks[np.linspace(0, len(tasks) - 1, MAX_PANELS).round().astype(int)])


def steps(axis: Axes, x: Any, y: Any, look: Style, *, markers: int = 5, offset: int = 0, where: str = "post") -> None:
    """A step function in an optimizer's style, with about ``markers`` markers."""
    trace(axis, x, y, look, markers=markers, offset=offset, drawstyle=f"steps-{where}")


def trace(
    axis: Axes, x: Any, y: Any, look: Style, *, markers: int = 5, offset: int = 0, drawstyle: str = "default"
) -> None:
    """A line in an optimizer's style, with about ``markers`` markers."""
    every = max(1, len(x) // markers)
    axis.plot(
        x,
        y,
        drawstyle=drawstyle,
        color=look.colour,
        linestyle=look.line,
        marker=look.marker,
        markersize=marker_size(look),
        markevery=(offset % every, every),
        markeredgecolor="white",
        markeredgewidth=0.4,
    )


def handle(name: str, look: Style) -> Line2D:
    style: Any = {"color": look.colour, "marker": look.marker, "markersize": marker_size(look), "linestyle": look.line}
    return Line2D([], [], label=short(name, LEGEND_NAME), **style)


def marker_size(look: Style) -> float:
    """In points; a star covers less of its size than other markers and would vanish in its white edge."""
    return 7.0 if look.marker == "*" else 4.0


def legend_columns(names: Sequence[str], width: float) -> int:
    """As many columns as fit: a handle, and about 0.06 inches for each letter of a column's longest name."""
    for columns in range(min(5, len(names)), 1, -1):
        rows = -(-len(names) // columns)
        parts = [names[start : start + rows] for start in range(0, len(names), rows)]
        if sum(0.58 + 0.06 * max(len(short(name, LEGEND_NAME)) for name in part) for part in parts) <= width:
            return columns
    return 1


def short(name: str, most: int = 22) -> str:
    """A name of at most ``most`` letters, in which matplotlib finds no formula."""
    return shortened(name, most).replace("$", r"\$")


def wants_log(middle: np.ndarray[Any, Any]) -> bool:
    """A logarithmic axis where the curves span more than a factor of 5 and there is something positive to show."""
    positive = middle[middle > 0]
    return bool(positive.size) and float(positive.max()) > 5 * float(positive.min())


def log_y(axis: Axes) -> None:
    """Make the vertical axis logarithmic after drawing the curves; over two decades or less, with plain numbers."""
    axis.set_yscale("log")
    power_ticks(axis.yaxis)
    low, high = axis.get_ylim()
    if high <= 100 * low:
        plain_log_ticks(axis.yaxis, 72 * axis.bbox.height / axis.figure.dpi)


def save(figure: Figure, path: Path) -> None:
    """Both formats, laid out once, and without the time that matplotlib writes into a PDF."""
    figure.savefig(path.with_suffix(".png"), dpi=200, metadata={"Software": None})
    figure.set_layout_engine("none")  # a third of the time goes into the layout
    figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})

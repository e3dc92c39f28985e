"""The figure of ask + tell times."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from optibench_reports.figures.axes import COLUMN, framed, save, trace
from optibench_reports.figures.style import RC, styles
from optibench_reports.format.text import plural
from optibench_reports.studies.latency_cases import Latency, names_by_speed


def draw(found: Latency, path: Path) -> None:
    """Write the figure as PDF and PNG; ``path`` is without a suffix."""
    with rc_context(cast(Any, RC)):
        save(figure(found), path)


def figure(found: Latency) -> Figure:
    """Mean time against past trials, both logarithmic, a panel for each number of parameters."""
    names = names_by_speed(found)
    looks = styles(names)
    dimensions = sorted({case.d for case in found.cases})
    past = sorted({case.n for case in found.cases})
    # A single panel is one column of a paper wide, unless its legend would be longer than itself.
    width = min(7.0, 2.4 * len(dimensions)) if len(dimensions) > 1 else COLUMN if len(names) <= 8 else 4.8
    drawing, axes = framed(names, looks, columns=len(dimensions), width=width, height=2.9)
    for axis, d in zip(axes[0], dimensions, strict=True):
        if axis is not axes[0, 0]:
            axis.sharey(axes[0, 0])  # before drawing, so that the limits follow all panels
            axis.tick_params(labelleft=False)
        for name in reversed(names):
            curve = sorted((case.n, 1e3 * case.mean) for case in found.cases if (case.optimizer, case.d) == (name, d))
            if curve:
                x, y = zip(*curve, strict=True)
                trace(axis, x, y, looks[name], markers=len(curve))
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.xaxis.set_major_locator(FixedLocator(past))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_title(plural(d, "parameter"))
        axis.set_xlabel("past trials")
    axes[0, 0].set_ylabel("mean ms per ask + tell")
    return drawing

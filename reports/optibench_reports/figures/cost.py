"""The figure of regret against cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from optibench_reports.figures.axes import COLUMN, framed, log_y, steps, wants_log
from optibench_reports.figures.style import Style
from optibench_reports.format.text import plural
from optibench_reports.stats.cost import CURVE, UNITS, Costs


def cost_figure(found: Costs, optimizers: Sequence[str], names: Sequence[str], looks: dict[str, Style]) -> Figure:
    """Mean regret after each part of the whole cost, ``names`` in the order of the legend."""
    figure, axes = framed(names, looks, width=COLUMN, height=2.3)
    axis = axes[0, 0]
    x = np.arange(1, CURVE + 1) / CURVE * (found.same or 100.0)
    for index, name in enumerate(reversed(names)):
        y = found.curve[list(optimizers).index(name)]
        steps(axis, x, np.where(y > 0, y, np.nan) if wants_log(found.curve) else y, looks[name], offset=4 * index)
    if wants_log(found.curve):
        log_y(axis)
    unit = "each task's trials" if found.unit == "trials" else UNITS[found.unit]
    axis.set_xlabel(f"cost in {unit}" if found.same is not None else f"cost in % of {unit}")
    axis.set_ylabel("mean normalised regret")
    axis.margins(x=0.02)
    return figure


def cost_caption(found: Costs) -> str:
    """The figure's caption."""
    last = found.overall[-1]
    tasks = 0 if last is None else int(last.with_regret.sum())
    caption = f"Mean normalised regret over {plural(tasks, 'task')} against the cost of the evaluations so far"
    if found.unit == "trials":
        return caption.replace("the cost of the evaluations so far", "the share of each task's own number of trials")
    return f"{caption}, in {UNITS[found.unit]}; only full evaluations that are over count for regret"

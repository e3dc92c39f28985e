"""What the runs attained on tasks with two objectives, beside the frozen front."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from optibench_reports.data.merge import relabelled
from optibench_reports.data.score_array import Floats
from optibench_reports.figures.axes import COLUMN, framed, marker_size, save, short
from optibench_reports.figures.style import RC, Style, styles
from optibench_reports.format.text import plural

COLUMNS = ("optimizer", "task", "seed", "state", "cost_fidelity", "values")
MAX_TASKS = 12
"""Tasks with a panel; of more, an evenly spaced selection by name is shown."""
NOWHERE = 1e300
"""Where a run without a feasible trial attains something."""


@dataclass(frozen=True)
class AttainedFronts:
    """The trials on tasks with two objectives.

    Attributes:
        trials: One row for each, with :data:`COLUMNS`; ``values`` has both objectives, or ``None``. Only feasible
            trials at the full fidelity (a ``cost_fidelity`` of 1) attain something.
        tasks: Of each task ``objectives`` (directions by name), ``reference_point`` and, if it has any, the points of
            its ``front``.
    """

    trials: pd.DataFrame
    tasks: Mapping[str, Mapping[str, Any]]

    def renamed(self, names: Mapping[str, str]) -> AttainedFronts:
        """With new names of optimizers, as :func:`optibench_reports.data.merge.renamed`."""
        return replace(self, trials=self.trials.assign(optimizer=relabelled(self.trials["optimizer"], names)))

    def only(self, optimizers: Collection[str], tasks: Collection[str]) -> AttainedFronts | None:
        """Those of some optimizers on some tasks; ``None`` if there is none."""
        kept = self.trials["optimizer"].astype(str).isin(optimizers) & self.trials["task"].astype(str).isin(tasks)
        return replace(self, trials=self.trials[kept].reset_index(drop=True)) if kept.any() else None

    def draw(self, folder: Path, order: Sequence[str]) -> list[tuple[str, str]]:
        """Write the figure.

        Args:
            folder: An existing folder.
            order: The optimizers in the order of the legend.

        Returns:
            (file name without suffix, caption), once.
        """
        from matplotlib import rc_context

        names, ran = sorted(self.trials["task"].unique()), set(self.trials["optimizer"].unique())
        places = np.linspace(0, len(names) - 1, min(MAX_TASKS, len(names))).round().astype(int)
        shown = [names[place] for place in places]
        optimizers = [name for name in order if name in ran]
        with rc_context(cast(Any, RC)):
            save(_figure(self, shown, optimizers), folder / "attained_fronts")
        which = plural(len(shown), "task") if len(shown) == len(names) else f"{len(shown)} of {len(names)} tasks"
        return [
            (
                "attained_fronts",
                f"Median attained fronts on {which} with two objectives: what at least half of the seeds dominate with "
                "all their feasible trials; black crosses, the frozen front",
            )
        ]


def attained(runs: Sequence[Floats]) -> Floats:
    """The corners of what at least half of some runs dominate, (k, 2), the first objective ascending.

    Args:
        runs: The points of each run, (n, 2), lower is better; a run may have none.
    """
    import moocore

    parts = [run if len(run) else np.full((1, 2), NOWHERE) for run in runs]
    sets = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    corners = moocore.eaf(np.concatenate(parts), sets, percentiles=[50])[:, :2]
    corners = corners[(corners < NOWHERE).all(axis=1)]
    return np.asarray(corners[np.argsort(corners[:, 0], kind="stable")])


def _figure(fronts: AttainedFronts, tasks: Sequence[str], optimizers: Sequence[str]) -> Figure:
    looks = styles(tuple(optimizers))
    columns = min(len(tasks), 3)
    rows = -(-len(tasks) // columns)
    width, height = (COLUMN, 2.6) if columns == 1 else (min(7.0, 2.4 * columns), 2.1 * rows)
    figure, axes = framed(optimizers, looks, rows=rows, columns=columns, width=width, height=height)
    grouped = dict(list(fronts.trials.groupby("task", observed=True)))
    for place, axis in enumerate(axes.flat):
        if place < len(tasks):
            _panel(axis, grouped[tasks[place]], fronts.tasks[tasks[place]], optimizers, looks)
            axis.set_title(short(tasks[place], 30))
        else:
            axis.set_axis_off()
    return figure


def _panel(
    axis: Axes, rows: pd.DataFrame, task: Mapping[str, Any], optimizers: Sequence[str], looks: Mapping[str, Style]
) -> None:
    """One task: the frozen front, and a surface for each optimizer, in the objectives' own directions."""
    sign = np.array([1.0 if direction == "minimize" else -1.0 for direction in task["objectives"].values()])
    last = np.array(task["reference_point"], dtype=float) * sign
    front = np.array(task.get("front", ()), dtype=float).reshape(-1, 2)
    axis.plot(*front.T, linestyle="none", marker="+", markersize=3.5, markeredgewidth=0.6, color="black", zorder=1)
    drawn = [front * sign]
    for name in optimizers:
        mine = rows[rows["optimizer"] == name]
        ok = mine[(mine["state"] == "ok") & (mine["cost_fidelity"] >= 1.0)]
        points = {
            seed: np.array(part["values"].tolist(), dtype=float) * sign
            for seed, part in ok.groupby("seed", observed=True)
        }
        corners = attained([points.get(seed, np.empty((0, 2))) for seed in sorted(set(mine["seed"]))])
        inside = corners[(corners < last).all(axis=1)]
        if not len(inside):
            continue
        drawn.append(inside)
        stairs = np.column_stack([np.repeat(inside[:, 0], 2)[1:], np.repeat(inside[:, 1], 2)[:-1]]) * sign
        look = looks[name]
        axis.plot(*stairs.T, color=look.colour, linestyle=look.line, linewidth=1.0)
        axis.plot(
            *(inside * sign).T,
            color=look.colour,
            linestyle="none",
            marker=look.marker,
            markersize=marker_size(look) / 2,
        )
    whole = np.concatenate(drawn) * sign
    low, high = whole.min(axis=0), whole.max(axis=0)
    room = 0.05 * np.where(high > low, high - low, 1.0)
    axis.set_xlim(low[0] - room[0], high[0] + room[0])
    axis.set_ylim(low[1] - room[1], high[1] + room[1])
    first, second = task["objectives"]
    axis.set_xlabel(short(first))
    axis.set_ylabel(short(second))

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

COLUMNS = ("optimizer", "task", "seed", "trial", "state", "cost_fidelity", "values")
MAX_TASKS = 12
"""Tasks with a panel; of more, an evenly spaced selection by name is shown."""
NOWHERE = 1e300
"""Where a run without a feasible trial attains something."""
MAX_POINTS, MIN_POINTS, MAX_FRONT = 40_000, 8, 200
"""Trials that a page draws in all, and at least of each optimizer on a task; points of a frozen front."""


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

    def drawn(self, order: Sequence[str]) -> list[dict[str, Any]]:
        """The fronts of every task for a page to draw, in the objectives' own directions.

        Of each task ``objectives``, the points of the ``front``, and ``runs``: of each optimizer in ``order`` the
        ``points`` of its front over all seeds, (objectives, seed, trial from 1), and the corners of its ``surface``;
        ``None`` of one that attained nothing.
        """
        panels = _panels(self)
        most = max(MIN_POINTS, MAX_POINTS // max(1, len(panels) * len(order)))
        return [
            {
                "task": task,
                "objectives": list(self.tasks[task]["objectives"]),
                "front": _numbers(_thinned(panel.front, MAX_FRONT)),
                "runs": [panel.run(optimizer, most) for optimizer in order],
            }
            for task, panel in panels.items()
        ]

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
        shown = _thinned(names, MAX_TASKS)
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
    panels = _panels(fronts)
    for place, axis in enumerate(axes.flat):
        if place < len(tasks):
            task = tasks[place]
            _draw_panel(axis, panels[task], list(fronts.tasks[task]["objectives"]), optimizers, looks)
            axis.set_title(short(task, 30))
        else:
            axis.set_axis_off()
    return figure


class _Panel:
    """What was attained on one task, in its objectives' own directions.

    Args:
        rows: The task's trials.
        task: The task.
    """

    def __init__(self, rows: pd.DataFrame, task: Mapping[str, Any]) -> None:
        self._rows = dict(list(rows.groupby("optimizer", observed=True)))
        directions = task["objectives"].values()
        self._sign = np.array([1.0 if direction == "minimize" else -1.0 for direction in directions])
        self._last = np.array(task["reference_point"], dtype=float) * self._sign
        self.front = np.array(task.get("front", ()), dtype=float).reshape(-1, 2)

    def _feasible(self, optimizer: str) -> tuple[Floats, pd.DataFrame]:
        """The points of an optimizer's feasible full evaluations, lower is better, (n, 2), and their rows."""
        rows = self._rows[optimizer]
        ok = rows[(rows["state"] == "ok") & (rows["cost_fidelity"] >= 1.0)]
        return np.array(ok["values"].tolist(), dtype=float).reshape(-1, 2) * self._sign, ok

    def surface(self, optimizer: str) -> Floats:
        """The corners of what half of the seeds attain and that dominate the reference point, (k, 2)."""
        if optimizer not in self._rows:
            return np.empty((0, 2))
        points, ok = self._feasible(optimizer)
        seeds = sorted(set(self._rows[optimizer]["seed"]))
        corners = attained([points[(ok["seed"] == seed).to_numpy()] for seed in seeds])
        return np.asarray(corners[(corners < self._last).all(axis=1)] * self._sign)

    def run(self, optimizer: str, most: int) -> dict[str, Any] | None:
        """The front over all seeds, at most so many points, and the surface; ``None`` if nothing is attained."""
        import moocore

        if optimizer not in self._rows:
            return None
        points, ok = self._feasible(optimizer)
        kept = np.flatnonzero((points < self._last).all(axis=1))
        if not len(kept):
            return None
        kept = kept[moocore.is_nondominated(points[kept])]
        kept = _thinned(kept[np.argsort(points[kept, 0], kind="stable")], most)
        found = ok.iloc[kept]
        places = zip(_numbers(points[kept] * self._sign), found["seed"].tolist(), found["trial"].tolist(), strict=True)
        return {
            "points": [[*values, seed, trial + 1] for values, seed, trial in places],
            "surface": _numbers(_thinned(self.surface(optimizer), most)),
        }


def _panels(fronts: AttainedFronts) -> dict[str, _Panel]:
    """The tasks by name."""
    grouped = fronts.trials.groupby("task", observed=True)
    return {str(task): _Panel(rows, fronts.tasks[str(task)]) for task, rows in grouped}


def _thinned(values: Any, most: int) -> Any:
    """At most so many of some values, evenly spaced."""
    places = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return values[places] if isinstance(values, np.ndarray) else [values[place] for place in places]


def _numbers(points: Floats) -> list[list[float]]:
    """Points with five significant digits."""
    return [[float(f"{number:.5g}") for number in point] for point in points.tolist()]


def _draw_panel(
    axis: Axes, panel: _Panel, objectives: Sequence[str], optimizers: Sequence[str], looks: Mapping[str, Style]
) -> None:
    """One task: the frozen front, and a surface for each optimizer."""
    axis.plot(
        *panel.front.T, linestyle="none", marker="+", markersize=3.5, markeredgewidth=0.6, color="black", zorder=1
    )
    drawn = [panel.front]
    for name in optimizers:
        corners = panel.surface(name)
        if not len(corners):
            continue
        drawn.append(corners)
        stairs = np.column_stack([np.repeat(corners[:, 0], 2)[1:], np.repeat(corners[:, 1], 2)[:-1]])
        look = looks[name]
        axis.plot(*stairs.T, color=look.colour, linestyle=look.line, linewidth=1.0)
        size = marker_size(look) / 2
        axis.plot(*corners.T, color=look.colour, linestyle="none", marker=look.marker, markersize=size)
    whole = np.concatenate(drawn)
    if len(whole):
        low, high = whole.min(axis=0), whole.max(axis=0)
        room = 0.05 * np.where(high > low, high - low, 1.0)
        axis.set_xlim(low[0] - room[0], high[0] + room[0])
        axis.set_ylim(low[1] - room[1], high[1] + room[1])
    first, second = objectives
    axis.set_xlabel(short(first))
    axis.set_ylabel(short(second))

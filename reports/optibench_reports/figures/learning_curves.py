"""Learning curves of the trainings behind a grid's values."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from optibench_reports.data.merge import relabelled
from optibench_reports.data.results import ReportError, describe
from optibench_reports.format.text import plural, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("optimizer", "task", "seed", "trial", "state", "value", "curve")
MAX_TASKS = 12
"""Panels of the figure; of more tasks, an evenly spaced selection by name is shown."""
MAX_THIN = 80
"""Single trainings in the background of a panel."""
ACROSS = 3


@dataclass(frozen=True)
class LearningCurves:
    """The trials that trained something in steps.

    Attributes:
        trials: One row for each, with :data:`COLUMNS`; ``curve`` is JSON: a list of numbers for each quantity, the step
            itself first.
        directions: ``minimize`` or ``maximize`` of each task.

    Raises:
        ReportError: A column is missing, or a curve is not JSON of that kind.
    """

    trials: pd.DataFrame
    directions: Mapping[str, str]

    def __post_init__(self) -> None:
        lacking = [name for name in COLUMNS if name not in self.trials.columns]
        if lacking:
            raise ReportError(
                f"The learning curves lack the column(s) {', '.join(lacking)}: give trials of this bench."
            )
        for place, text in enumerate(self.trials["curve"]):
            if not _is_curve(text):
                row = describe(self.trials, np.arange(len(self.trials)) == place)
                raise ReportError(f"The learning curve of {row} is damaged: run that cell again.")

    def renamed(self, names: Mapping[str, str]) -> LearningCurves:
        """With new names of optimizers, as :func:`optibench_reports.data.merge.renamed`."""
        return replace(self, trials=self.trials.assign(optimizer=relabelled(self.trials["optimizer"], names)))

    def only(self, optimizers: Collection[str], tasks: Collection[str]) -> LearningCurves | None:
        """Those of some optimizers on some tasks; ``None`` if there is none."""
        kept = self.trials["optimizer"].astype(str).isin(optimizers) & self.trials["task"].astype(str).isin(tasks)
        return LearningCurves(self.trials[kept].reset_index(drop=True), self.directions) if kept.any() else None

    def table(self) -> pd.DataFrame:
        """All curves in long form: optimizer, task, seed, trial, step, quantity, value (NaN if it was not finite)."""
        rows: list[dict[str, Any]] = []
        for trial in self.trials.itertuples():
            step, *quantities = (curve := _columns(str(trial.curve)))
            cell = {name: getattr(trial, name) for name in ("optimizer", "task", "seed", "trial")}
            for quantity in quantities:
                pairs = zip(curve[step], curve[quantity], strict=True)
                rows += [{**cell, "step": x, "quantity": quantity, "value": y} for x, y in pairs]
        return pd.DataFrame(rows, columns=["optimizer", "task", "seed", "trial", "step", "quantity", "value"])

    def draw(self, folder: Path, order: Sequence[str]) -> list[tuple[str, str]]:
        """Write the figure and ``learning_curves.csv`` beside it.

        Args:
            folder: An existing folder.
            order: The optimizers in the order of the legend.

        Returns:
            (file name without suffix, caption), once or not at all: a task whose values end no curve is left out.
        """
        from matplotlib import rc_context

        from optibench_reports.figures.axes import save
        from optibench_reports.figures.style import RC

        measures = {task: found for task, rows in self._by_task() if (found := objective(rows)) is not None}
        if not measures:
            return []
        write_csv(self.table(), folder / "learning_curves.csv")
        names = sorted(measures)
        places = np.linspace(0, len(names) - 1, min(MAX_TASKS, len(names))).round().astype(int)
        shown = [names[place] for place in places]
        optimizers = [name for name in order if name in set(self.trials["optimizer"])]
        with rc_context(cast(Any, RC)):
            save(_figure(self, shown, measures, optimizers), folder / "learning_curves")
        which = plural(len(shown), "task") if len(shown) == len(names) else f"{len(shown)} of {len(names)} tasks"
        return [
            (
                "learning_curves",
                f"Learning curves on {which}: the training that gave each run's best value, mean over seeds up to the "
                "shortest one's end; grey, single trainings of all optimizers",
            )
        ]

    def _by_task(self) -> Iterator[tuple[str, pd.DataFrame]]:
        for task, rows in self.trials[self.trials["state"] == "ok"].groupby("task", observed=True):
            yield str(task), rows


def objective(trials: pd.DataFrame) -> str | None:
    """The first quantity whose last values are the trials' values; ``None`` if there is none."""
    counts: dict[str, int] = {}
    for text, value in zip(trials["curve"], trials["value"], strict=True):
        for quantity, column in list(_columns(text).items())[1:]:
            counts[quantity] = counts.get(quantity, 0) + bool(np.isclose(column[-1], value, rtol=1e-5, atol=1e-9))
    best = max(counts, key=lambda quantity: counts[quantity], default=None)
    return best if best is not None and counts[best] else None


def _columns(text: str) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    return {name: np.array(column, dtype=float) for name, column in json.loads(text).items()}


def _is_curve(text: object) -> bool:
    try:
        columns = _columns(str(text))
        if any(column.ndim != 1 for column in columns.values()):
            return False
    except (ValueError, TypeError, AttributeError):
        return False
    lengths = {len(column) for column in columns.values()}
    return len(columns) > 1 and len(lengths) == 1 and lengths != {0}


def _figure(
    curves: LearningCurves, tasks: Sequence[str], measures: Mapping[str, str], optimizers: Sequence[str]
) -> Figure:
    from optibench_reports.figures.axes import framed, short
    from optibench_reports.figures.style import styles

    looks = styles(optimizers)
    across = min(ACROSS, len(tasks))
    down = -(-len(tasks) // across)
    figure, axes = framed(optimizers, looks, rows=down, columns=across, width=2.4 * across + 0.4, height=1.9 * down)
    grouped = dict(curves._by_task())
    for place, axis in enumerate(axes.flat):
        if place >= len(tasks):
            axis.set_axis_off()
            continue
        task = tasks[place]
        _panel(axis, grouped[task], measures[task], curves.directions[task], optimizers, looks)
        axis.set_title(short(task, 34))
        axis.set_ylabel(measures[task].replace("_", " "))
    return figure


def _panel(
    axis: Axes, rows: pd.DataFrame, quantity: str, direction: str, optimizers: Sequence[str], looks: Mapping[str, Any]
) -> None:
    from optibench_reports.figures.axes import trace

    step = "step"
    for text in rows["curve"].iloc[:: -(-len(rows) // MAX_THIN)]:
        step, *_ = (columns := _columns(text))
        if quantity in columns:
            axis.plot(columns[step], columns[quantity], color="#d8d8d8", linewidth=0.4, zorder=1)
    sign = 1.0 if direction == "minimize" else -1.0
    for place, name in enumerate(optimizers):
        mine = rows[rows["optimizer"] == name]
        if mine.empty:
            continue
        best = mine.loc[(sign * mine["value"]).groupby(mine["seed"]).idxmin()]
        several = [columns for text in best["curve"] if quantity in (columns := _columns(text))]
        if not several:
            continue
        n = min(len(columns[quantity]) for columns in several)
        longest = max(several, key=lambda columns: len(columns[quantity]))
        mean = np.mean([columns[quantity][:n] for columns in several], axis=0)
        trace(axis, next(iter(longest.values()))[:n], mean, looks[name], offset=place)
    axis.set_xlabel(step.replace("_", " "))

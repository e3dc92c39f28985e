"""Parallel coordinates of one run: hyperparameters and objective of its trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from optibench_reports.data.results import ReportError
from optibench_reports.data.score_array import Floats
from optibench_reports.format.text import number, plural

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

DECADES = 2.0
"""A positive hyperparameter that spans more than this many powers of ten gets a logarithmic axis."""
MISSING_PLACE = -0.12
"""Position of trials in which the hyperparameter is inactive, below the axis from 0 to 1."""
Ticks = list[tuple[float, str]]


@dataclass(frozen=True)
class Run:
    """One run to draw beside a report.

    Attributes:
        optimizer, task, seed: Its cell.
        direction: ``minimize`` or ``maximize``.
        trials: Its trials, as :func:`parallel_coordinates` takes them.
    """

    optimizer: str
    task: str
    seed: int
    direction: str
    trials: pd.DataFrame

    def draw(self, folder: Path) -> tuple[str, str]:
        """Write its figure into the folder; returns (file name without suffix, caption).

        Raises:
            ReportError: As :func:`parallel_coordinates`.
        """
        from optibench_reports.figures.axes import save

        save(parallel_coordinates(self.trials, direction=self.direction), folder / "run")
        shown = int((self.trials["state"] == "ok").sum())
        return "run", (
            f"One run, {self.optimizer} on {self.task} with seed {self.seed}: a line for each of its "
            f"{plural(shown, 'successful trial')} across the hyperparameters and the objective "
            f"({self.direction}d), the better the darker"
        )


def axis_of(values: Sequence[Any]) -> tuple[Floats, Ticks]:
    """Places of values on an axis from 0 to 1, ``MISSING_PLACE`` for ``None``, and the axis' ticks as (place, text).

    Numbers are placed linearly, or logarithmically over more than ``DECADES``; anything else by its order as text.
    """
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        numbers = np.array([np.nan if value is None else float(value) for value in values])
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        logarithmic = low > 0 and high / low > 10**DECADES
        scaled = np.log10(numbers) if logarithmic else numbers
        start, end = (np.log10(low), np.log10(high)) if logarithmic else (low, high)
        if start == end:
            return np.where(np.isnan(numbers), MISSING_PLACE, 0.5), [(0.5, number(low))]
        middle = 10 ** ((start + end) / 2) if logarithmic else (low + high) / 2
        ticks = [(0.0, number(low)), (0.5, number(float(middle))), (1.0, number(high))]
        return np.where(np.isnan(numbers), MISSING_PLACE, (scaled - start) / (end - start)), ticks
    names = sorted({str(value) for value in known})
    width = max(1, len(names) - 1)
    place = {name: index / width if len(names) > 1 else 0.5 for index, name in enumerate(names)}
    return np.array([MISSING_PLACE if v is None else place[str(v)] for v in values]), [(y, n) for n, y in place.items()]


def parallel_coordinates(run: pd.DataFrame, *, direction: str, value: str = "objective") -> Figure:
    """One line per successful trial across the hyperparameters, the better the darker and the further in front.

    Args:
        run: The trials of one cell: ``config`` (JSON of the active hyperparameters), ``value``, ``state``.
        direction: ``minimize`` or ``maximize``.
        value: The objective's name.

    Raises:
        ReportError: A column is missing, a configuration is not JSON, or no trial succeeded.
    """
    lacking = [column for column in ("config", "value", "state") if column not in run.columns]
    if lacking:
        raise ReportError(
            f"The run lacks the column(s) {', '.join(lacking)}: give the trials as the bench stores them."
        )
    good = run[(run["state"] == "ok").to_numpy()]
    if good.empty:
        raise ReportError("The run has no successful trial: there is no line to draw.")
    if good["config"].isna().any():
        raise ReportError(
            "The run has no configurations, which `optibench publish --compact` leaves out: take another."
        )
    try:
        configs = [json.loads(text) for text in good["config"]]
    except (TypeError, ValueError) as error:
        raise ReportError(f"A configuration of the run is not JSON: {error}.") from error
    names = sorted({name for config in configs for name in config})
    objective = good["value"].to_numpy(float)
    columns = [axis_of([config.get(name) for config in configs]) for name in names]
    columns.append(axis_of(list(objective)))
    return _drawn([*names, value], columns, objective if direction == "minimize" else -objective)


def _drawn(names: Sequence[str], columns: Sequence[tuple[Floats, Ticks]], loss: Floats) -> Figure:
    from matplotlib import colormaps, rc_context
    from matplotlib.figure import Figure

    from optibench_reports.figures.axes import short
    from optibench_reports.figures.style import RC

    # By rank, because a single bad trial would give all others the same colour.
    order = np.argsort(-loss, kind="stable")
    colours = colormaps["viridis_r"](np.linspace(0, 1, len(order)))
    lines = np.stack([places for places, _ in columns], axis=1)
    with rc_context(cast(Any, RC)):
        figure = Figure(figsize=(max(3.4, 0.95 * len(names)), 2.4), layout="constrained")
        axis = figure.subplots()
        for shade, trial in enumerate(order):
            axis.plot(range(len(names)), lines[trial], color=colours[shade], linewidth=0.8, alpha=0.8)
        for x, (_, ticks) in enumerate(columns):
            axis.axvline(x, color="black", linewidth=0.7)
            for y, text in ticks:
                axis.text(
                    x + 0.03,
                    y,
                    short(text, 12),
                    fontsize=6,
                    va="center",
                    bbox={"fc": "white", "ec": "none", "pad": 0.4},
                )
        if any((places == MISSING_PLACE).any() for places, _ in columns):
            axis.text(0, MISSING_PLACE, "inactive ", fontsize=6, ha="right", va="center")
        labels = [short(name, 18) for name in names]
        axis.set_xticks(range(len(names)), labels, rotation=20, ha="right", rotation_mode="anchor")
        axis.set_yticks([])
        axis.grid(visible=False)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.margins(x=0.03)
    return figure

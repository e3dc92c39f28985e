"""The input of a report, checked: trials, tasks, the planned cells and the provenance of a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

STATES = ("ok", "failed", "timeout", "infeasible")
NUMBERS = ("value", "incumbent", "regret", "ask_seconds", "evaluate_seconds", "cost_seconds")
COLUMNS = ("optimizer", "task", "seed", "trial", "phase", "state", *NUMBERS)
COSTS = ("cost_fidelity", "simulated_end")
"""Further columns of trials with different costs: full evaluations, and the end on a simulated clock."""
IGD_PLUS = "igd_plus"
"""A further column, for tasks with several objectives: the IGD+ of the feasible trials so far; NaN if there is none."""
ENDED = "ended_regret"
"""A further column where several workers of a simulated clock run tasks with several objectives: the regret of all
trials that have ended when this one ends."""
MEASURED = ("values", "constraints")
"""Further columns, for tasks with several objectives or constraints: a list of each trial's; ``None`` if unknown."""
METRIC = "metric:"
"""Prefix of a column with a metric of each trial; NaN where it has none."""
PLANNED = ("optimizer", "task", "seed", "n_trials")


class ReportError(Exception):
    """Invalid input; the message says in one sentence what is wrong, where, and how to fix it."""


@dataclass(frozen=True)
class Results:
    """The stored results of one grid, validated on construction; the frames are never modified.

    Attributes:
        trials: One row per trial with at least the columns of ``COLUMNS``. ``trial`` counts from 0 inside a cell;
            ``value`` and ``incumbent`` are in the benchmark's own direction; ``regret`` is the normalised regret of
            the incumbent, not clipped. Seconds are wall-clock seconds, except ``cost_seconds`` (the cost of a real
            evaluation). A column ``metric:NAME`` has that metric of each trial's own evaluation.
        tasks: Per task at least ``direction`` (``minimize`` or ``maximize``) and ``reference`` (a mapping, or
            ``None`` for a task without regret); ``metrics`` has the directions of its metrics.
        planned: One row per cell of the grid: ``optimizer, task, seed, n_trials``. If empty, the
            cells in ``trials`` are the plan, and no cell can be missing. Cells whose budget is a cost have it in
            ``budget`` and its ``unit`` (``fidelity`` or ``seconds``), those of a grid whose number of trials depends
            on the task have that number and the unit ``trials``.
        provenance: Identifies the run; printed. Four keys are interpreted: ``first_model_trials`` has by optimizer the
            trial, counted from 1, from which a model or a second generation suggests; ``training`` has the cost of each
            optimizer's training phase (``seconds``), shown beside the cost of suggestions; ``initial_design`` and
            ``optimizer_packages`` (by optimizer, package -> version, or a list of these after an upgrade) should agree
            in merged grids, or the report warns.

    Raises:
        ReportError: A column, a task or a regret is missing, a state is unknown, or a cell has a trial twice or a gap.
    """

    trials: pd.DataFrame
    tasks: Mapping[str, Mapping[str, Any]]
    planned: pd.DataFrame
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        _check_columns(self.trials, COLUMNS, "The table of trials")
        _check_columns(self.planned, PLANNED, "The table of planned cells")
        if self.trials.empty:
            raise ReportError("There is no finished trial to report yet: run the grid first, or give its folder.")
        _check_values(self.trials)
        _check_tasks(self.trials, self.tasks)


def _check_columns(frame: pd.DataFrame, wanted: tuple[str, ...], name: str) -> None:
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise ReportError(f"{name} lacks the column(s) {', '.join(missing)}: it was not written by this bench.")


def _check_values(trials: pd.DataFrame) -> None:
    for column in ("optimizer", "task", "seed", "trial", "phase", "state"):
        holes = int(trials[column].isna().sum())
        if holes:
            raise ReportError(
                f"The column {column!r} of the trials is empty in {holes} row(s): compact the grid again."
            )
    for column in ("seed", "trial"):
        if not pd.api.types.is_integer_dtype(trials[column].dtype):
            raise ReportError(f"The column {column!r} of the trials holds {trials[column].dtype}, not whole numbers.")
    for column in NUMBERS:
        if not pd.api.types.is_numeric_dtype(trials[column].dtype):
            raise ReportError(f"The column {column!r} of the trials holds {trials[column].dtype}, not numbers.")
    if int(trials["trial"].min()) < 0:
        raise ReportError(f"The trials hold the index {trials['trial'].min()}: a cell counts its trials from 0.")
    unknown = sorted(set(map(str, trials["state"].unique())) - set(STATES))
    if unknown:
        raise ReportError(f"Unknown trial state(s) {', '.join(map(repr, unknown))}: known are {', '.join(STATES)}.")
    bad = (trials["state"] == "ok").to_numpy() & ~np.isfinite(trials["value"].to_numpy(float))
    if bad.any():
        raise ReportError(
            f"{bad.sum()} trial(s) are marked ok without a finite value, first {describe(trials, bad)}: "
            "such a trial must be stored as failed."
        )


def _check_tasks(trials: pd.DataFrame, tasks: Mapping[str, Mapping[str, Any]]) -> None:
    codes, names = pd.factorize(trials["task"])
    for name in names:
        if name not in tasks:
            raise ReportError(f"Task {name!r} has trials but no entry among the tasks: tasks.json is of another grid.")
        if tasks[name].get("direction") not in ("minimize", "maximize"):
            raise ReportError(f"Task {name!r} has no direction: tasks.json must say 'minimize' or 'maximize'.")
    has_reference = np.array([tasks[name].get("reference") is not None for name in names])
    bad = has_reference[codes] & ~np.isfinite(trials["regret"].to_numpy(float))
    if bad.any():
        raise ReportError(
            f"{bad.sum()} trial(s) of tasks with reference values have no finite regret, first "
            f"{describe(trials, bad)}: the table and tasks.json do not belong together."
        )


def describe(trials: pd.DataFrame, where: np.ndarray[Any, Any]) -> str:
    """The first row that ``where`` marks, in words for an error message."""
    row = trials.iloc[int(np.argmax(where))]
    return f"{row['optimizer']} on {row['task']}, seed {row['seed']}, trial {row['trial']}"

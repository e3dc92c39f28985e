"""Trials of other frameworks, from a plain CSV or Parquet file.

One row per trial, in any order:

| column | needed | meaning |
|---|---|---|
| ``optimizer`` | yes | label of the optimizer, any text |
| ``task`` | yes | name of the task, as this bench calls it |
| ``seed`` | yes | whole number; one optimizer, task and seed are one run |
| ``trial`` | yes | 0-based index within the run, without gaps |
| ``value`` | yes | objective in the task's own direction; empty where the trial has none |
| ``state`` | no | ``ok``, ``failed``, ``timeout`` or ``infeasible``; without it, ``failed`` where the value is empty |
| ``ask_seconds`` | no | seconds that the optimizer took to suggest the trial |
| ``evaluate_seconds`` | no | seconds of the evaluation on the machine that ran it |
| ``cost_seconds`` | no | seconds that the evaluation stands for |
| ``objective:NAME`` | on tasks with several objectives, in place of ``value`` | each objective, in its own direction |
| ``constraint:NAME`` | on tasks with constraints | each constraint, fulfilled where it is <= 0 |

Further columns are ignored. Incumbents and regrets are computed here, from the same frozen references as all others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.results import STATES, ReportError, Results, describe
from optibench_reports.format.text import join_names

NEEDED = ("optimizer", "task", "seed", "trial", "value")
SECONDS = ("ask_seconds", "evaluate_seconds", "cost_seconds")
NAMES = ("optimizer", "task", "state")
NUMBERS = ("seed", "trial", "value", *SECONDS)
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
CELL = ["optimizer", "task", "seed"]
OBJECTIVE, CONSTRAINT = "objective:", "constraint:"
"""Prefixes of the columns of several objectives and of constraints."""
Volumes = Callable[[Sequence[Sequence[float] | None], Sequence[float], Sequence[float]], list[float]]


def load(
    path: Path, tasks: Mapping[str, Mapping[str, Any]], *, suffix: str = "", volumes: Volumes | None = None
) -> Results:
    """Read and check a file of foreign trials.

    Their runs chose their own initial design, so every trial counts as a suggestion, and seeds are not paired with
    those of this bench; the report says so.

    Args:
        path: A ``.csv`` (comma-separated, UTF-8, one header line) or ``.parquet`` file with the columns above.
        tasks: Direction and reference of each task by name, as in a grid's ``tasks.json``; more than needed is fine.
        suffix: Appended to every optimizer's label, to distinguish a foreign ``tpe`` from one of this bench.
        volumes: Computes the hypervolume after each trial of a run from its objectives (``None`` where a trial does
            not count), the ideal and the reference point; needed for tasks with several objectives.

    Raises:
        ReportError: One sentence that says what is wrong with the file, and where.
    """
    path = Path(path)
    trials = _read(path)
    frame = _typed(path, trials, suffix, [name for name, task in tasks.items() if task.get("objectives")])
    unknown = sorted(set(frame["task"].unique()) - set(tasks))
    if unknown:
        raise ReportError(
            f"{path} has trials of task(s) that are not known here: {join_names([repr(name) for name in unknown], 3)}; "
            "name them as this bench does."
        )
    several = {
        name for name in frame["task"].unique() if tasks[name].get("objectives") or tasks[name].get("constraints")
    }
    if several:
        frame = _with_objectives(path, trials, frame, {name: tasks[name] for name in sorted(several)})
    frame = frame.sort_values([*CELL, "trial"], ignore_index=True)
    _check_sequence(path, frame)
    used = {name: tasks[name] for name in sorted(frame["task"].unique())}
    for name, task in used.items():
        if task.get("direction") not in ("minimize", "maximize"):
            raise ReportError(f"Task {name!r} has no direction: tasks.json must say 'minimize' or 'maximize'.")
    if any(task.get("objectives") for task in used.values()):
        assert volumes is not None, "tasks with several objectives need `volumes`"
        frame = frame.assign(value=_alone(frame, used, volumes))
    incumbent, regret = _incumbents(frame, used, volumes)
    frame = frame.assign(phase="search", incumbent=incumbent, regret=regret)
    planned = frame.groupby(CELL, observed=True).size().rename("n_trials").reset_index().assign(initial="own")
    return Results(frame, used, planned, {"imported": path.name})


def task_names(path: Path) -> list[str]:
    """The sorted tasks of a file, which :func:`load` needs to know.

    Raises:
        ReportError: The file cannot be read or lacks a column.
    """
    return sorted({str(name) for name in _read(Path(path))["task"].dropna().unique()})


def _read(path: Path) -> pd.DataFrame:
    """The table as it is in the file, with all columns that are needed and at least one row."""
    trials = _parse(path)
    if any(str(column).startswith(OBJECTIVE) for column in trials.columns) and "value" not in trials.columns:
        trials = trials.assign(value=np.nan)
    missing = [column for column in NEEDED if column not in trials.columns]
    if missing:
        raise ReportError(f"{path} lacks the column(s) {', '.join(missing)}: needed are {', '.join(NEEDED)}.")
    if trials.empty:
        raise ReportError(f"{path} has no trial: there is nothing to report.")
    return trials


def _parse(path: Path) -> pd.DataFrame:
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise ReportError(f"{path} is neither .csv nor .parquet: export the trials as one of the two.")
    try:
        if kind == ".parquet":
            return pd.read_parquet(path)
        # names such as NA, null or 007 are text; numbers may be missing in any of the usual ways
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise ReportError(f"{path} has the column {twice[0]!r} more than once: keep one.")
        more = [name for name in header if name.startswith((OBJECTIVE, CONSTRAINT))]
        missing = {**{name: [""] for name in NAMES}, **dict.fromkeys([*NUMBERS, *more], MISSING)}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more fields than the first line
            types = dict.fromkeys(NAMES, str)
            return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=missing, index_col=False)
    except pd.errors.ParserWarning as error:
        raise ReportError(f"{path} has rows with more fields than its first line: name every column there.") from error
    except FileNotFoundError as error:
        raise ReportError(f"There is no file {path}: give the CSV or Parquet file of the trials.") from error
    except pd.errors.EmptyDataError as error:
        raise ReportError(f"{path} is empty: its first line must name the columns.") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's parsing errors are ValueErrors
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise ReportError(f"{path} cannot be read as {kind[1:].upper()}: {reason}.") from error


def _typed(path: Path, trials: pd.DataFrame, suffix: str, several: Collection[str]) -> pd.DataFrame:
    """The known columns in their types; ``several``: the tasks with several objectives, whose trials have no value."""
    columns: dict[str, Any] = {}
    for column in ("optimizer", "task", "seed", "trial"):
        empty = trials[column].isna().to_numpy()
        if empty.any():
            raise ReportError(f"{path} has no {column} in data row {int(np.argmax(empty)) + 1}: every trial needs one.")
    for column in ("seed", "trial"):
        numbers = pd.to_numeric(trials[column], errors="coerce").to_numpy(float)
        wrong = ~(np.isfinite(numbers) & (numbers == np.rint(numbers)) & (numbers >= 0) & (numbers < 2**31))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ReportError(
                f"{path} has the {column} '{trials[column].iloc[row]}' in data row {row + 1}: it must be a whole "
                "number from 0 on."
            )
        columns[column] = numbers.astype(np.int32)
    columns["optimizer"] = trials["optimizer"].astype(str) + suffix
    columns["task"] = trials["task"].astype(str)
    for column in ("value", *SECONDS):
        columns[column] = _numbers(path, trials, column)
    known = np.isfinite(columns["value"])
    if "state" in trials.columns:
        columns["state"] = trials["state"].astype(str)
        unknown = sorted(set(columns["state"].unique()) - set(STATES))
        if unknown:
            raise ReportError(f"{path} has the state {unknown[0]!r}: known are {', '.join(STATES)}.")
        bad = (columns["state"] == "ok").to_numpy() & ~known & ~columns["task"].isin(several).to_numpy()
        if bad.any():
            raise ReportError(f"{path} has an ok trial without a value, {describe(trials, bad)}: is its state failed?")
        # A failed trial has no value of the task.
        columns["value"] = np.where((columns["state"] == "ok").to_numpy(), columns["value"], np.nan)
    else:
        columns["state"] = np.where(known, "ok", "failed")
    return pd.DataFrame(columns)


def _numbers(path: Path, trials: pd.DataFrame, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column as numbers, NaN where it is empty or absent."""
    if column not in trials.columns:
        return np.full(len(trials), np.nan)
    numbers = np.asarray(pd.to_numeric(trials[column], errors="coerce"), dtype=float)
    wrong = (np.isnan(numbers) & trials[column].notna().to_numpy()) | np.isinf(numbers)
    if column in SECONDS:
        wrong |= numbers < 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ReportError(
            f"{path} has the {column} '{trials[column].iloc[row]}' in data row {row + 1}: it must be a finite number"
            f"{' of seconds' if column in SECONDS else ''}, or empty."
        )
    return numbers


def _with_objectives(
    path: Path, trials: pd.DataFrame, frame: pd.DataFrame, tasks: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """The frame with ``values`` and ``constraints`` of these tasks' trials, and with their states.

    A trial without one of its numbers has failed; one with a constraint above 0 is infeasible.
    """
    values: list[Any] = [None] * len(frame)
    constraints: list[Any] = [None] * len(frame)
    state, value = frame["state"].to_numpy(object).copy(), frame["value"].to_numpy(float).copy()
    for name, task in tasks.items():
        rows = np.flatnonzero((frame["task"] == name).to_numpy())
        columns = [OBJECTIVE + objective for objective in task.get("objectives") or ()] or ["value"]
        bounds = [CONSTRAINT + constraint for constraint in task.get("constraints") or ()]
        lacking = [column for column in (*columns, *bounds) if column not in trials.columns]
        if lacking:
            raise ReportError(f"{path} lacks the column(s) {', '.join(lacking)}, which task {name!r} needs.")
        numbers = np.stack([_numbers(path, trials, column)[rows] for column in (*columns, *bounds)], axis=1)
        given = "state" in trials.columns
        for row, found in zip(rows, numbers, strict=True):
            if given and state[row] not in ("ok", "infeasible"):
                continue
            if not np.isfinite(found).all():
                if given:
                    where = np.arange(len(frame)) == row
                    raise ReportError(
                        f"{path} has an {state[row]} trial without all its numbers, {describe(frame, where)}."
                    )
                state[row], value[row] = "failed", np.nan
                continue
            values[row] = tuple(found[: len(columns)].tolist())
            constraints[row] = tuple(found[len(columns) :].tolist())
            state[row] = "infeasible" if (found[len(columns) :] > 0.0).any() else "ok"
            if state[row] == "infeasible":
                value[row] = np.nan
    return frame.assign(state=state, value=value, values=values, constraints=constraints)


def _alone(
    frame: pd.DataFrame, tasks: Mapping[str, Mapping[str, Any]], volumes: Volumes
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values, where those of trials with several objectives are the hypervolumes that they dominate alone."""
    found = frame["value"].to_numpy(float).copy()
    for row, (name, state, values) in enumerate(zip(frame["task"], frame["state"], frame["values"], strict=True)):
        task = tasks[name]
        if task.get("objectives"):
            ok = state == "ok"
            found[row] = volumes([values], task["ideal"], task["reference_point"])[0] if ok else np.nan
    return found


def _check_sequence(path: Path, frame: pd.DataFrame) -> None:
    """Each run's trials must be 0, 1, 2, ...; the frame is sorted."""
    expected = frame.groupby(CELL, observed=True, sort=False).cumcount().to_numpy()
    wrong = frame["trial"].to_numpy() != expected
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    place = describe(frame, wrong).rpartition(", trial")[0]
    if frame["trial"].iloc[row] < expected[row]:
        raise ReportError(f"{path} has trial {frame['trial'].iloc[row]} of {place}, more than once: keep one of them.")
    if expected[row] == 0:
        raise ReportError(f"{path} counts the trials of {place}, from {frame['trial'].iloc[row]}: count from 0.")
    raise ReportError(f"{path} lacks trial {expected[row]} of {place}: a failed trial needs a row as well.")


def _incumbents(
    frame: pd.DataFrame, tasks: Mapping[str, Mapping[str, Any]], volumes: Volumes | None
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Best value so far, in the task's direction, and its normalised regret, per row; the frame is sorted."""
    codes, names = pd.factorize(frame["task"])
    references = [tasks[name].get("reference") for name in names]
    sign = np.array([-1.0 if tasks[name]["direction"] == "maximize" else 1.0 for name in names])[codes]
    signed = pd.Series(sign * frame["value"].to_numpy(float)).fillna(np.inf)
    groups = [frame[column].to_numpy() for column in CELL]
    best = signed.groupby(groups, sort=False).cummin().to_numpy()
    incumbent = np.where(np.isinf(best), np.nan, sign * best)
    if volumes is not None and "values" in frame.columns:
        for rows in frame.groupby(CELL, sort=False).indices.values():
            task = tasks[frame["task"].iloc[rows[0]]]
            if task.get("objectives"):
                known = frame["values"].iloc[rows].where(frame["state"].iloc[rows] == "ok", None)
                incumbent[rows] = volumes(known.tolist(), task["ideal"], task["reference_point"])

    def each(key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([np.nan if r is None else float(r[key]) for r in references])[codes]

    f_best, f_ref, f_worst = each("f_best"), each("f_ref"), each("f_worst")
    counted = np.where(np.isnan(incumbent), f_worst, incumbent)
    return incumbent, (counted - f_best) / (f_ref - f_best)

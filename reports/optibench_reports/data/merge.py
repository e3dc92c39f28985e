"""Several grids in one report: merged, or compared with each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.results import COSTS, ENDED, IGD_PLUS, MEASURED, METRIC, PLANNED, ReportError, Results
from optibench_reports.data.score_array import Bools, Ints
from optibench_reports.format.text import join_names, plural

CELL = ["optimizer", "task", "seed"]
SAME = ("phase", "state", "value")
"""Columns that must be equal in two runs of one cell, with what both know of ``MEASURED``; seconds always differ."""
BY_OPTIMIZER = ("training", "optimizer_packages", "first_model_trials")
"""Keys of the provenance with an entry for each optimizer."""
_FROZEN = ("f_best", "f_ref", "f_worst", "version")
_BOX = ("ideal", "reference_point")


def merge(grids: Sequence[Results]) -> Results:
    """One table of the trials of several grids, to be reported as if it were one grid.

    A cell of several grids is taken once, from the grid with the most metrics. The cells of a grid without a plan are
    its plan.

    Args:
        grids: At least one; their order affects only the printed provenance.

    Raises:
        ReportError: The grids disagree on a task's direction, data or reference values, on the trials of a cell that
            they share, or on the training of an optimizer; or there is no grid.
    """
    if not grids:
        raise ReportError("There is no grid to report: give at least one folder.")
    if len(grids) == 1:
        return grids[0]
    tasks = _tasks(grids)
    first, *others = sorted(grids, key=lambda grid: -int(grid.trials.filter(like=METRIC).notna().to_numpy().sum()))
    seen, parts = first.trials, [first.trials]
    for grid in others:
        shared = _shared(seen, grid.trials)
        _check_equal(seen, grid.trials, shared)
        new = grid.trials if shared.empty else grid.trials[~_in(grid.trials, shared)]
        parts.append(new)
        seen = _concatenate([seen, new])
    plans = pd.concat([_plan(grid) for grid in grids], ignore_index=True)
    # A cell in two plans is planned once, with the larger budget.
    plans = plans.sort_values("n_trials", ascending=False, kind="stable").drop_duplicates(CELL).sort_index()
    return Results(seen, tasks, plans.reset_index(drop=True), _provenance(grids))


def on_shared_tasks(grids: Sequence[Results]) -> Results:
    """The grids merged on the tasks that every optimizer ran.

    An optimizer that ran on only some tasks is compared with the others there instead of being left out.

    Raises:
        ReportError: As :func:`merge`, or no task was run by every optimizer.
    """
    ran: dict[str, set[str]] = {}
    for grid in grids:
        for optimizer, tasks in _cells(grid.trials).groupby("optimizer")["task"]:
            ran.setdefault(str(optimizer), set()).update(tasks)
    common = set.intersection(*ran.values()) if ran else set()
    if grids and not common:
        raise ReportError("No task was run by every optimizer: there is nothing to compare.")
    kept = [(grid, common & set(map(str, grid.trials["task"].unique()))) for grid in grids]
    return merge([restricted(grid, tasks) for grid, tasks in kept if tasks])


@dataclass(frozen=True)
class Agreement:
    """How far two grids agree: common cells, and those of them with equal trials.

    Attributes:
        common: Cells in both grids.
        identical: Those of them with the same values, objectives, constraints and states, trial by trial.
        only_a: Cells of the first grid only.
        only_b: Cells of the second grid only.
        differing: ``optimizer on task, seed n`` of the common cells that differ, in order.
    """

    common: int
    identical: int
    only_a: int
    only_b: int
    differing: tuple[str, ...]

    def __str__(self) -> str:
        words = f"{self.identical:,} of {plural(self.common, 'common cell')} are identical"
        if self.differing:
            words += f"; different are {join_names(list(self.differing), 3)}"
        return f"{words}; {self.only_a:,} are in the first grid only, {self.only_b:,} in the second only."


def agreement(a: Results, b: Results) -> Agreement:
    """Compare two grids cell by cell."""
    shared = _shared(a.trials, b.trials)
    differing = _differing(a.trials, b.trials, shared)
    return Agreement(
        common=len(shared),
        identical=len(shared) - len(differing),
        only_a=len(_cells(a.trials)) - len(shared),
        only_b=len(_cells(b.trials)) - len(shared),
        differing=tuple(_words(cell) for cell in differing),
    )


def compare_grids(a: Results, b: Results, names: tuple[str, str] = ("a", "b")) -> Results:
    """Both grids on their common tasks, for a report on the effect of a change or of another machine.

    An optimizer that both ran appears twice, as ``tpe (a)`` and ``tpe (b)``, so that the two are compared like any
    other pair; where it has the same trials in both, it appears once. The initial designs of one seed are the same in
    both, so the runs are pairs.

    Args:
        a: The first grid.
        b: The second grid.
        names: Their names; must differ.

    Raises:
        ReportError: They share no task, or disagree on one as in :func:`merge`, or have one name.
    """
    if names[0] == names[1]:
        raise ReportError(f"Both grids are called {names[0]!r}: give them two names.")
    _tasks([a, b])
    common = set(map(str, a.trials["task"].unique())) & set(map(str, b.trials["task"].unique()))
    if not common:
        raise ReportError("The two grids have no task in common: there is nothing to compare.")
    a, b = (restricted(grid, common) for grid in (a, b))
    changed = {str(cell[0]) for cell in _differing(a.trials, b.trials, _shared(a.trials, b.trials))}
    both = set(map(str, a.trials["optimizer"].unique())) & set(map(str, b.trials["optimizer"].unique()))
    cells_a, cells_b = _cells(a.trials), _cells(b.trials)
    for optimizer in both - changed:
        mine, theirs = (set(map(tuple, x[x["optimizer"] == optimizer].to_numpy())) for x in (cells_a, cells_b))
        if mine != theirs:
            changed.add(optimizer)
    return merge([renamed(grid, apart(changed, name)) for grid, name in zip((a, b), names, strict=True)])


def apart(optimizers: Iterable[str], name: str) -> dict[str, str]:
    """Names that tell optimizers of one grid from those of another: ``tpe (name)``."""
    return {optimizer: f"{optimizer} ({name})" for optimizer in optimizers}


def restricted(grid: Results, tasks: set[str]) -> Results:
    """Only these tasks of a grid, each of which it has."""
    trials = grid.trials[grid.trials["task"].astype(str).isin(tasks)]
    planned = grid.planned[grid.planned["task"].astype(str).isin(tasks)]
    return replace(grid, trials=trials, planned=planned, tasks={name: grid.tasks[name] for name in sorted(tasks)})


def renamed(grid: Results, names: Mapping[str, str]) -> Results:
    """The grid with other names for some optimizers; several may get the same one, if they share no cell.

    Args:
        grid: The grid.
        names: The new names, by names or globs like ``tpe:*``; the first that matches counts.

    Raises:
        ReportError: Two optimizers that ran on the same task with the same seed get the same name.
    """
    cells = _cells(grid.trials)
    called = cells.assign(new=_new_names(cells["optimizer"], names)).sort_values(["new", *CELL])
    twice = called[called.duplicated(["new", "task", "seed"], keep=False)]
    if len(twice):
        first = twice.iloc[0]
        same = (twice[["new", "task", "seed"]] == first[["new", "task", "seed"]]).all(axis=1)
        raise ReportError(
            f"{join_names([repr(name) for name in twice[same]['optimizer']])} cannot have one name, {first['new']!r}: "
            f"they ran on {first['task']} with the same seed ({first['seed']}); give them different names."
        )
    entries = [
        {key: {new: known[old]}}
        for key in BY_OPTIMIZER
        if (known := grid.provenance.get(key))
        for old, new in zip(known, _new_names(known, names), strict=True)
    ]
    provenance = {key: value for key, value in grid.provenance.items() if key not in BY_OPTIMIZER}
    return Results(
        trials=grid.trials.assign(optimizer=relabelled(grid.trials["optimizer"], names)),
        tasks=grid.tasks,
        planned=grid.planned.assign(optimizer=relabelled(grid.planned["optimizer"], names)),
        provenance=provenance | _by_optimizer(entries),
    )


def relabelled(column: pd.Series, names: Mapping[str, str]) -> pd.Series:
    """A column of optimizers with the new names of :func:`renamed`."""
    codes, values = pd.factorize(column)
    places, labels = pd.factorize(np.array(_new_names(map(str, values), names), dtype=object))
    renumbered = places[codes] if len(places) else codes
    return pd.Series(pd.Categorical.from_codes(renumbered, pd.Index(labels)), index=column.index)


def _new_names(optimizers: Iterable[str], names: Mapping[str, str]) -> list[str]:
    return [
        next((new for old, new in names.items() if name == old or fnmatchcase(name, old)), name) for name in optimizers
    ]


def _tasks(grids: Sequence[Results]) -> dict[str, Mapping[str, Any]]:
    tasks: dict[str, Mapping[str, Any]] = {}
    for grid in grids:
        for name, task in grid.tasks.items():
            known = tasks.setdefault(name, task)
            metrics = {**(task.get("metrics") or {}), **(known.get("metrics") or {})}
            for metric, direction in (task.get("metrics") or {}).items():
                if metrics[metric] != direction:
                    raise ReportError(
                        f"The metric {metric!r} of task {name!r} is minimized in one grid and maximized in another: "
                        "report the grids one by one."
                    )
            for what in ("direction", "data_version"):
                one, other = known.get(what), task.get(what)
                if one is not None and other is not None and one != other:
                    raise ReportError(
                        f"Task {name!r} has the {what.replace('_', ' ')} {one!r} in one grid and {other!r} in "
                        "another: their values cannot be compared; report the grids one by one."
                    )
            for what in ("objectives", "constraints"):
                if list(known.get(what) or ()) != list(task.get(what) or ()):
                    raise ReportError(
                        f"Task {name!r} has other {what} in one grid than in another: their trials cannot be compared; "
                        "report the grids one by one."
                    )
            if not _same_reference(known, task):
                raise ReportError(
                    f"Task {name!r} has other reference values in one grid than in another: their regrets cannot be "
                    "compared; run the older grid again, or report them one by one."
                )
            if metrics:
                tasks[name] = {**known, "metrics": metrics}
    return tasks


def _same_reference(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two descriptions of a task have the same frozen values, up to rounding on different CPUs."""
    a, b = one.get("reference"), other.get("reference")
    if a is None or b is None:
        return a is b
    return all(_close(a.get(key), b.get(key)) for key in _FROZEN) and all(
        len(one.get(key) or ()) == len(other.get(key) or ())
        and all(map(_close, one.get(key) or (), other.get(key) or ()))
        for key in _BOX
    )


def _close(a: Any, b: Any) -> bool:
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9))


def _coded(trials: pd.DataFrame) -> tuple[Ints, pd.DataFrame]:
    """For each row the number of its cell, (R,), and the cells, names as text."""
    factors = [pd.factorize(trials[column]) for column in CELL]
    code = np.zeros(len(trials), dtype=np.int64)
    for codes, values in factors:
        code = code * len(values) + codes
    distinct, number = np.unique(code, return_inverse=True)
    columns: dict[str, Any] = {}
    for column, (_, values) in zip(reversed(CELL), reversed(factors), strict=True):
        distinct, place = np.divmod(distinct, len(values))
        columns[column] = np.asarray(values)[place]
    cells = pd.DataFrame({column: columns[column] for column in CELL})
    return number, cells.astype({"optimizer": str, "task": str, "seed": np.int64})


def _cells(trials: pd.DataFrame) -> pd.DataFrame:
    """The distinct cells, names as text."""
    return _coded(trials)[1]


def _shared(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    return _cells(a).merge(_cells(b), on=CELL).sort_values(CELL, ignore_index=True)


def _in(trials: pd.DataFrame, cells: pd.DataFrame) -> Bools:
    """The rows of the cells, (R,)."""
    number, found = _coded(trials)
    return np.asarray(pd.MultiIndex.from_frame(found).isin(pd.MultiIndex.from_frame(cells)), dtype=bool)[number]


def _differing(a: pd.DataFrame, b: pd.DataFrame, shared: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The common cells with different trials, sorted."""
    if shared.empty:
        return []
    measured = [column for column in MEASURED if column in a.columns and column in b.columns]
    one, other = (_rows(trials, shared, measured) for trials in (a, b))
    joined = one.merge(other, on=[*CELL, "trial"], how="outer", suffixes=("", "_other"), indicator=True)
    bad = np.asarray(joined["_merge"] != "both")
    for column in (*SAME, *measured):
        left, right = joined[column], joined[f"{column}_other"]
        unknown = left.isna() | right.isna() if column in measured else left.isna() & right.isna()
        bad = bad | ~np.asarray((left == right) | unknown)
    cells = joined.loc[bad, CELL].drop_duplicates().sort_values(CELL)
    return list(cells.itertuples(index=False, name=None))


def _rows(trials: pd.DataFrame, cells: pd.DataFrame, measured: Sequence[str]) -> pd.DataFrame:
    rows = trials.loc[_in(trials, cells), [*CELL, "trial", *SAME, *measured]]
    for column in measured:
        rows[column] = rows[column].map(_exact)
    text = dict.fromkeys(("optimizer", "task", "phase", "state"), str)
    return rows.astype({**text, "seed": np.int64, "trial": np.int64})


def _exact(numbers: Any) -> bytes | None:
    """Equal for equal lists, which may contain NaN; ``None`` for none."""
    return None if np.ndim(numbers) == 0 else (np.asarray(numbers, dtype=float) + 0.0).tobytes()


def _check_equal(a: pd.DataFrame, b: pd.DataFrame, shared: pd.DataFrame) -> None:
    differing = _differing(a, b, shared)
    if differing:
        raise ReportError(
            f"{plural(len(differing), 'cell')} in two grids with different trials, first {_words(differing[0])}: "
            "compare the grids instead, or report them one by one."
        )


def _words(cell: Sequence[Any]) -> str:
    return f"{cell[0]} on {cell[1]}, seed {cell[2]}"


def _concatenate(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenated rows with the columns that all have; names stay categories, which are small.

    Where some have costs, a trial of the others is a full evaluation, without a simulated clock.
    """
    unknown = (1.0, np.nan, np.nan, np.nan, None, None)
    for name, usual in zip((*COSTS, ENDED, IGD_PLUS, *MEASURED), unknown, strict=True):
        if any(name in frame.columns for frame in frames):
            frames = [frame if name in frame.columns else frame.assign(**{name: usual}) for frame in frames]
    columns = [column for column in frames[0].columns if all(column in frame.columns for frame in frames)]
    aligned = []
    for frame in frames:
        changed = {}
        for column in ("optimizer", "task", "phase", "state"):
            names = sorted({str(name) for each in frames for name in each[column].unique()})
            codes, values = pd.factorize(frame[column])
            places = np.array([names.index(str(value)) for value in values], dtype=np.int64)
            changed[column] = pd.Categorical.from_codes(places[codes] if len(places) else codes, pd.Index(names))
        aligned.append(frame[columns].assign(**changed))
    return pd.concat(aligned, ignore_index=True)


def _plan(grid: Results) -> pd.DataFrame:
    if not grid.planned.empty:
        columns = [*PLANNED, *(name for name in ("initial", "unit", "budget") if name in grid.planned.columns)]
        return grid.planned[columns].astype({"optimizer": str, "task": str})
    found = grid.trials.groupby(CELL, observed=True).size().rename("n_trials").reset_index()
    return found.astype({"optimizer": str, "task": str})


def _provenance(grids: Sequence[Results]) -> dict[str, Any]:
    """All runs, what there is of each optimizer, and every distinct value of anything else."""
    merged: dict[str, Any] = {}
    for grid in grids:
        for key, value in grid.provenance.items():
            if key not in BY_OPTIMIZER:
                items = list(value) if isinstance(value, (list, tuple)) else [value]
                merged.setdefault(key, []).extend(item for item in items if item not in merged.get(key, []))
    single = {key: value[0] if len(value) == 1 and key != "runs" else value for key, value in merged.items()}
    return single | _by_optimizer([grid.provenance for grid in grids])


def _by_optimizer(provenances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each optimizer's training, its latest first model trial and its distinct packages; those of them that exist."""
    training: dict[str, Any] = {}
    first: dict[str, int] = {}
    packages: dict[str, list[Any]] = {}
    for provenance in provenances:
        for name, entry in (provenance.get("training") or {}).items():
            known = training.setdefault(name, entry)
            if isinstance(known, Mapping) and isinstance(entry, Mapping) and known.get("key") != entry.get("key"):
                raise ReportError(
                    f"{name!r} was trained in two ways: it is not one optimizer; give the two different names, compare "
                    "the grids, or report them one by one."
                )
        for name, trial in (provenance.get("first_model_trials") or {}).items():
            first[name] = max(trial, first.get(name, 0))
        for name, versions in (provenance.get("optimizer_packages") or {}).items():
            found = packages.setdefault(name, [])
            several = [versions] if isinstance(versions, Mapping) else versions
            found.extend(each for each in several if each not in found)
    parts = zip(BY_OPTIMIZER, (training, packages, first), strict=True)
    return {key: entries for key, entries in parts if entries}

"""Trials as dense arrays: optimizer x task x seed x trial count, read once through integer codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from optibench_reports.data.results import ENDED, STATES, ReportError, Results

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def family(task: str) -> str:
    """The family of a task: its name without the last part, two parts at most, as in ``yahpo/lcbench``."""
    parts = task.split("/")
    return "/".join(parts[:-1][:2]) or task


@dataclass(frozen=True)
class ScoreArray:
    """A grid's trials, sorted by cell and trial, as flat arrays of codes, and its cells as dense arrays.

    O optimizers, T tasks, S seed slots, R rows. A slot is a position among the seeds of one task, so that slot ``s``
    of two optimizers on the same task is the same seed (the cells share their initial design: they are pairs).

    Attributes:
        optimizers: O names, sorted.
        tasks: T names, sorted.
        families: The family of each task, T names.
        seeds: Seed in each slot, (T, S); -1 where a task has fewer seeds than S.
        has_regret: Whether the task has reference values, (T,).
        planned: Planned trials in each cell, (O, T, S); 0 where no cell is planned.
        finished: Stored trials in each cell, (O, T, S); 0 where there is none.
        unplanned: Number of cells with trials that the plan does not name.
        cell: Flat cell index ``(o * T + t) * S + s`` of each row, (R,), ascending.
        trial: Trial index of each row, (R,).
        order: Each row's position in the table of trials, (R,).
        score: What is compared, (R,): lower is better and never negative. With a reference, the normalised regret
            clipped at 0; without one, the distance of the incumbent from the best value any optimizer found there.
        ask: Seconds of the suggestion of each row, (R,); 0 where unknown.
        timed: Optimizers with known seconds for at least one suggestion, (O,).
        clipped: Trials whose regret was clipped at 0, (O, T).
        lowest: The lowest regret before clipping, (T,); NaN without a reference.
        states: Trials in each of ``STATES``, (O, 4).
        ends: If trials cost differently: by unit (``fidelity``, ``seconds``) the cost of the cell at the end of the
            row, (R,); infinite if the row never ends. If a grid gives its tasks different numbers of trials: by
            ``trials`` the row's number, from 1.
        own: By unit of ``ends``, what the row contributes, (R,): its own regret, clipped at 0, infinite unless it is a
            success in full; on tasks with several objectives the regret of all trials that have ended with it.
        full: Whether the row is a full evaluation, (R,).
        worst: Regret of the worst reference, (T,); NaN without a reference.
        best: The best value that any optimizer found on the task, (T,).
        sign: 1 where the task is minimized, -1 where it is maximized, (T,).
        left_out: Why a task is not counted, by task; empty if no task would be left.
    """

    optimizers: tuple[str, ...]
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    seeds: Ints
    has_regret: Bools
    planned: Ints
    finished: Ints
    unplanned: int
    cell: Ints
    trial: Ints
    order: Ints
    score: Floats
    ask: Floats
    timed: Bools
    clipped: Ints
    lowest: Floats
    states: Ints
    ends: Mapping[str, Floats]
    own: Mapping[str, Floats]
    full: Bools
    worst: Floats
    best: Floats
    sign: Floats
    left_out: Mapping[str, str]

    def counted(self, family: str | None = None) -> Ints:
        """Indices of the tasks behind means, ranks and tests: all that are not left out, or those of a family."""
        return np.array(
            [
                t
                for t, task in enumerate(self.tasks)
                if task not in self.left_out and family in (None, self.families[t])
            ],
            dtype=np.int64,
        )

    @property
    def counted_families(self) -> list[str]:
        """The families with a counted task, sorted."""
        return sorted({self.families[t] for t in self.counted()})

    @property
    def costly(self) -> bool:
        """Whether trials cost differently."""
        return bool({*self.ends} - {"trials"})

    @property
    def longest(self) -> int:
        """The largest number of trials in a cell."""
        return int(self.finished.max())

    def at(self, counts: Sequence[int]) -> Floats:
        """The score of every cell after ``counts`` trials.

        Returns:
            (O, T, S, len(counts)); NaN where a cell is missing or shorter than the count. Scores are those of the
            incumbent at exactly that trial: a step function, nothing is interpolated.
        """
        return self.dense(self.score, counts)

    def ask_seconds(self, counts: Sequence[int]) -> Floats:
        """Cumulative seconds of suggestions after ``counts`` trials, (O, T, S, len(counts)); NaN like :meth:`at`."""
        return self.dense(self.spent, counts)

    @cached_property
    def spent(self) -> Floats:
        """Cumulative seconds of suggestions in the row's cell, including the row, (R,)."""
        total = np.cumsum(self.ask)
        start = np.arange(len(self.trial)) - self.trial
        return np.asarray(total - (total[start] - self.ask[start]))

    def dense(self, rows_of: Floats, counts: Sequence[int]) -> Floats:
        """Values of rows, (R,), in every cell after ``counts`` trials, (O, T, S, len(counts)); NaN like :meth:`at`."""
        column = np.full(max(self.longest, *counts) + 1, -1, dtype=np.int64)
        column[np.asarray(counts)] = np.arange(len(counts))
        position = column[self.trial + 1]
        rows = position >= 0
        result = np.full((self.finished.size, len(counts)), np.nan)
        result[self.cell[rows], position[rows]] = rows_of[rows]
        return result.reshape(*self.finished.shape, len(counts))


def read(results: Results) -> ScoreArray:
    """Encode validated results.

    Raises:
        ReportError: A cell has the same trial twice, or a trial is missing between two others.
    """
    trials, planned = results.trials, results.planned
    optimizers = sorted({*map(str, trials["optimizer"].unique()), *map(str, planned["optimizer"].unique())})
    tasks = sorted({*map(str, trials["task"].unique()), *map(str, planned["task"].unique())})
    o, t = _codes(trials["optimizer"], optimizers), _codes(trials["task"], tasks)
    planned_o, planned_t = _codes(planned["optimizer"], optimizers), _codes(planned["task"], tasks)
    seeds, slot_of, seed_values = _slots(trials, planned, t, planned_t, len(tasks))
    s = slot_of[t, np.searchsorted(seed_values, trials["seed"].to_numpy(np.int64))]
    planned_s = slot_of[planned_t, np.searchsorted(seed_values, planned["seed"].to_numpy(np.int64))]
    shape = (len(optimizers), len(tasks), seeds.shape[1])

    cell = np.ravel_multi_index((o, t, s), shape)
    trial = trials["trial"].to_numpy(np.int64)
    order = np.argsort(cell * (trial.max() + 1) + trial, kind="stable")
    _check_sequence(trials, cell[order], trial[order], order)
    finished = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    wanted = np.zeros(shape, dtype=np.int64)
    wanted[planned_o, planned_t, planned_s] = planned["n_trials"].to_numpy(np.int64)
    unplanned = int(((wanted == 0) & (finished > 0)).sum())
    wanted = np.where(wanted == 0, finished, wanted)

    has_regret = np.array([results.tasks.get(task, {}).get("reference") is not None for task in tasks])
    regret, ask = trials["regret"].to_numpy(float), trials["ask_seconds"].to_numpy(float)
    sign = np.array([-1.0 if results.tasks.get(task, {}).get("direction") == "maximize" else 1.0 for task in tasks])
    distance, best = _distance(results, len(tasks), t, sign)
    score = np.where(has_regret[t], np.maximum(regret, 0.0), distance)
    negative = has_regret[t] & (regret < 0)
    clipped = np.bincount((o * len(tasks) + t)[negative], minlength=shape[0] * shape[1]).reshape(shape[:2])
    lowest = np.full(len(tasks), np.inf)
    np.minimum.at(lowest, t[has_regret[t]], regret[has_regret[t]])
    states = np.bincount(o * len(STATES) + _codes(trials["state"], list(STATES)), minlength=shape[0] * len(STATES))
    share = _shares(trials)
    worst, own = _own_regret(results, tasks, t, share)
    ends = _ends(trials, planned, share, cell[order], order)
    several = np.array([bool(results.tasks.get(task, {}).get("objectives")) for task in tasks])[t]
    together = np.where(several, np.maximum(regret, 0.0), own)
    ended = trials[ENDED].to_numpy(float) if ENDED in trials.columns else np.full(len(trials), np.nan)
    on_clock = np.where(several & np.isfinite(ended), np.maximum(ended, 0.0), together)
    return ScoreArray(
        optimizers=tuple(optimizers),
        tasks=tuple(tasks),
        families=tuple(family(task) for task in tasks),
        seeds=seeds,
        has_regret=has_regret,
        planned=wanted,
        finished=finished,
        unplanned=0 if planned.empty else unplanned,
        cell=cell[order],
        trial=trial[order],
        order=order,
        score=score[order],
        ask=np.nan_to_num(ask, posinf=0.0)[order],
        timed=np.bincount(o[np.isfinite(ask)], minlength=len(optimizers)) > 0,
        clipped=clipped,
        lowest=np.where(np.isfinite(lowest), lowest, np.nan),
        states=states.reshape(shape[0], len(STATES)),
        ends=ends,
        own={unit: (on_clock if unit == "seconds" else together)[order] for unit in ends},
        full=(share >= 1.0)[order],
        worst=worst,
        best=sign * best,
        sign=sign,
        left_out=_left_out(results, tasks),
    )


def _left_out(results: Results, tasks: list[str]) -> dict[str, str]:
    reasons = {task: str(reason) for task in tasks if (reason := results.tasks.get(task, {}).get("left_out"))}
    return reasons if len(reasons) < len(tasks) else {}


def _shares(trials: pd.DataFrame) -> Floats:
    """The cost of each trial in full evaluations, (R,)."""
    if "cost_fidelity" not in trials.columns:
        return np.ones(len(trials))
    return np.asarray(np.nan_to_num(trials["cost_fidelity"].to_numpy(float), nan=1.0))


def _own_regret(results: Results, tasks: list[str], t: Ints, share: Floats) -> tuple[Floats, Floats]:
    """The regret of each task's worst reference, (T,), and of each trial by itself, (R,)."""
    frozen = [results.tasks.get(task, {}).get("reference") or {} for task in tasks]
    best, middle, last = (np.array([r.get(key, np.nan) for r in frozen]) for key in ("f_best", "f_ref", "f_worst"))
    value = results.trials["value"].to_numpy(float)
    counts = (results.trials["state"] == "ok").to_numpy() & (share >= 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        regret = np.maximum((value - best[t]) / (middle - best)[t], 0.0)
        worst = (last - best) / (middle - best)
    return worst, np.where(counts & np.isfinite(regret), regret, np.inf)


def _ends(trials: pd.DataFrame, planned: pd.DataFrame, share: Floats, cell: Ints, order: Ints) -> dict[str, Floats]:
    """The cost of the rows' cells at the end of each row, in the units in which trials or tasks differ."""
    found = {}
    if "unit" in planned.columns and planned.loc[planned["unit"] == "trials", "budget"].nunique() > 1:
        found["trials"] = trials["trial"].to_numpy(float)[order] + 1.0
    if (share < 1.0).any() or ("unit" in planned.columns and (planned["unit"] == "fidelity").any()):
        total = np.cumsum(share[order])
        first = np.diff(cell, prepend=-1) != 0
        before = np.where(first, total - share[order], -np.inf)
        found["fidelity"] = total - np.maximum.accumulate(before)
    if "simulated_end" in trials.columns:
        over = trials["simulated_end"].to_numpy(float)[order]
        if np.isfinite(over).any():
            found["seconds"] = np.where(np.isfinite(over), over, np.inf)
    return found


def _codes(column: pd.Series, names: list[str]) -> Ints:
    """Each value's position in ``names``; only the distinct values are compared as strings."""
    codes, values = pd.factorize(column)
    position = {name: index for index, name in enumerate(names)}
    return np.array([position[str(value)] for value in values], dtype=np.int64)[codes]


def _slots(
    trials: pd.DataFrame, planned: pd.DataFrame, t: Ints, planned_t: Ints, n_tasks: int
) -> tuple[Ints, Ints, Ints]:
    """Seed of each slot (T, S), slot of each (task, seed code) and the sorted seeds that the codes stand for."""
    codes, values = pd.factorize(trials["seed"], sort=True)
    seed_values = np.union1d(np.asarray(values, dtype=np.int64), planned["seed"].to_numpy(np.int64))
    present = np.zeros((n_tasks, len(seed_values)), dtype=bool)
    present[t, np.searchsorted(seed_values, np.asarray(values, dtype=np.int64))[codes]] = True
    present[planned_t, np.searchsorted(seed_values, planned["seed"].to_numpy(np.int64))] = True
    slot_of = np.cumsum(present, axis=1) - 1
    seeds = np.full((n_tasks, int(present.sum(axis=1).max())), -1, dtype=np.int64)
    task_index, code = np.nonzero(present)
    seeds[task_index, slot_of[task_index, code]] = seed_values[code]
    return seeds, slot_of, seed_values


def _check_sequence(trials: pd.DataFrame, cell: Ints, trial: Ints, order: Ints) -> None:
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    expected = np.arange(len(cell)) - np.repeat(starts, np.diff(starts, append=len(cell)))
    wrong = trial != expected
    if not wrong.any():
        return
    first = int(np.argmax(wrong))
    row = trials.iloc[int(order[first])]
    where = f"{row['optimizer']} on {row['task']}, seed {row['seed']}"
    if trial[first] < expected[first]:
        raise ReportError(f"{where} has trial {trial[first]} more than once: two runs of it were mixed; compact again.")
    raise ReportError(f"{where} lacks trial {expected[first]}: the cell's file is incomplete; remove it and run again.")


def _distance(results: Results, n_tasks: int, t: Ints, sign: Floats) -> tuple[Floats, Floats]:
    """Per row, how far the incumbent is from the best value in the table of its task; lower is better, (R,).

    Only for tasks without a reference: it can rank, but is not a regret. Before its first success a cell has the worst
    value of the task, as it would have ``f_worst`` if the task had a reference.

    Returns:
        The distances, and the best value of each task times its sign, (T,).
    """
    value = np.where(_shares(results.trials) >= 1.0, results.trials["value"].to_numpy(float), np.nan) * sign[t]
    incumbent = results.trials["incumbent"].to_numpy(float) * sign[t]
    ok = np.isfinite(value)
    best, worst = np.full(n_tasks, np.inf), np.full(n_tasks, -np.inf)
    np.minimum.at(best, t[ok], value[ok])
    np.maximum.at(worst, t[ok], value[ok])
    with np.errstate(invalid="ignore"):
        return np.asarray(np.maximum(np.where(np.isnan(incumbent), worst[t], incumbent) - best[t], 0.0)), best

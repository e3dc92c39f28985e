"""Feasible trials on tasks with constraints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optibench_reports.data.results import Results
from optibench_reports.data.score_array import Floats, Ints, ScoreArray


@dataclass(frozen=True)
class Feasibility:
    """Feasible trials, for O optimizers, C tasks with constraints and S seed slots.

    Attributes:
        tasks: The places of the tasks among all, (C,).
        share: Feasible trials among the full evaluations, (O, C, S); NaN where there is none.
        first: Trials up to the first feasible full evaluation, (O, C, S); infinite where none is, NaN where the cell is
            missing.
    """

    tasks: Ints
    share: Floats
    first: Floats

    @property
    def all_feasible(self) -> Floats:
        """Trials until every seed has a feasible one, (O, C); infinite if that is never, NaN without a cell."""
        return np.asarray(np.fmax.reduce(self.first, axis=2))


def feasibility(results: Results, grid: ScoreArray) -> Feasibility | None:
    """Count feasible trials, only full evaluations; ``None`` if no task has constraints."""
    tasks = np.flatnonzero([bool(results.tasks.get(task, {}).get("constraints")) for task in grid.tasks])
    if not len(tasks):
        return None
    state = results.trials["state"].astype(str).to_numpy()[grid.order]
    ok = (state == "ok") & grid.full
    evaluated = np.bincount(grid.cell[ok | ((state == "infeasible") & grid.full)], minlength=grid.finished.size)
    feasible = np.bincount(grid.cell[ok], minlength=grid.finished.size)
    first = np.full(grid.finished.size, np.inf)
    np.minimum.at(first, grid.cell[ok], grid.trial[ok] + 1.0)
    first[grid.finished.ravel() == 0] = np.nan
    with np.errstate(invalid="ignore"):
        share = feasible / np.where(evaluated > 0, evaluated, np.nan)
    shape = grid.finished.shape
    return Feasibility(tasks, share.reshape(shape)[:, tasks], first.reshape(shape)[:, tasks])

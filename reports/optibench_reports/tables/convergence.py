"""Trials, and seconds of suggestions, until the regret falls to a threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.score_array import Floats
from optibench_reports.format.text import MISSING, Cell, Table, number
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.thresholds import first_reached
from optibench_reports.tables.regret import ranking

THRESHOLDS = (0.1, 0.05, 0.01)


def convergence_table(analysis: Analysis) -> Table:
    """Share of runs that reach each threshold, median trials and median seconds of suggestions, per optimizer."""
    grid, count = analysis.grid, analysis.counts[analysis.headline]
    found = analysis.overall[analysis.headline]
    order = ranking(analysis)
    cells: dict[int, list[Cell]] = {o: [Cell(grid.optimizers[o])] for o in order}
    data: list[dict[str, Any]] = []
    for threshold in THRESHOLDS:
        trials, seconds = first_reached(analysis, threshold, count)
        for o in order:
            if found is None or o not in found.selection.optimizers or not found.with_regret.any():
                cells[o] += [Cell(MISSING)] * 3
                continue
            tasks = found.selection.tasks[found.with_regret]
            runs = trials[o, tasks]
            known = ~np.isnan(runs)
            share = (np.isfinite(runs).sum(axis=1) / known.sum(axis=1)).mean()
            each = (float(share), _median_of_medians(runs), _median_of_medians(seconds[o, tasks]))
            never = int((known & np.isinf(runs)).sum())
            cells[o] += [Cell(f"{each[0]:.0%}"), Cell(_never(each[1])), Cell(_never(each[2]))]
            names = ("share_reached", "median_trials", "median_ask_seconds")
            data.append(
                {
                    **{"threshold": threshold, "within_trials": count, "optimizer": grid.optimizers[o]},
                    **{"tasks": len(tasks), "runs": int(known.sum()), "never_reached": never},
                    **dict(zip(names, each, strict=True)),
                }
            )
    columns = [
        *("threshold", "within_trials", "optimizer", "tasks", "runs", "never_reached"),
        *("share_reached", "median_trials", "median_ask_seconds"),
    ]
    return Table(
        name="convergence",
        title=f"Trials until a regret is reached, within {count} trials",
        note=(
            "Runs: share of the runs that get there, mean over complete tasks. Trials, ask s: median over runs in a "
            "task, then over tasks, of the trials and of the seconds of asking spent; a run that never gets there "
            "counts as infinitely long"
        ),
        header=("optimizer", *(f"{words} to {x:g}" for x in THRESHOLDS for words in ("runs", "trials", "ask s"))),
        rows=tuple(tuple(cells[o]) for o in order) if data else (),
        data=pd.DataFrame(data, columns=columns),
    )


def _median_of_medians(runs: Floats) -> float:
    """Median over seeds, then over tasks; infinite values are ordinary large ones, and NaN are left out (all: NaN)."""
    if np.isnan(runs).all():
        return float("nan")
    with np.errstate(invalid="ignore"):
        # Between a finite and an infinite middle value numpy gives inf, as it should.
        return float(np.median(np.nanmedian(runs, axis=1)))


def _never(x: float) -> str:
    return "never" if np.isinf(x) else f"{x:g}" if x >= 1 and x == int(x) else number(x)

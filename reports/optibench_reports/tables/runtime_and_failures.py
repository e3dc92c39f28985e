"""Tables of latency, failures, missing cells and clipped regrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.results import STATES, ReportError
from optibench_reports.format.text import MISSING, MODEL_FROM, MODEL_FROM_NOTE, Cell, Table, number
from optibench_reports.stats.analysis import Analysis


def training_seconds(provenance: Mapping[str, Any]) -> dict[str, float]:
    """Seconds that the training phases of the grid's optimizers took, by optimizer; empty if there were none.

    Raises:
        ReportError: An entry of ``provenance["training"]`` has no number of seconds.
    """
    found = {}
    for name, entry in (provenance.get("training") or {}).items():
        seconds = entry.get("seconds") if isinstance(entry, Mapping) else None
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < float("inf"):
            raise ReportError(
                f"The training of {name!r} has no number of seconds in the provenance: run the grid again to train."
            )
        found[str(name)] = float(seconds)
    return found


def seconds_table(analysis: Analysis) -> Table:
    """Latency of suggestions, totals, and the training time of optimizers trained for the grid."""
    names, seconds = analysis.grid.optimizers, analysis.seconds
    training = training_seconds(analysis.provenance)
    first = analysis.first_model_trials
    data = pd.DataFrame(
        {
            "optimizer": names,
            "suggestions": seconds.suggestions,
            "ask_mean_seconds": seconds.mean,
            "ask_median_seconds": seconds.median,
            "ask_p95_seconds": seconds.p95,
            "ask_total_seconds": seconds.total_ask,
            "evaluate_total_seconds": seconds.total_evaluate,
            "cost_total_seconds": seconds.total_cost,
        }
    )
    if training:
        data["training_seconds"] = [training.get(name, np.nan) for name in names]
    data["first_model_trial"] = [first.get(name, np.nan) for name in names]
    rows = []
    for o, name in enumerate(names):
        each = (seconds.mean[o] * 1e3, seconds.median[o] * 1e3, seconds.p95[o] * 1e3)
        totals = (seconds.total_ask[o], seconds.total_evaluate[o], seconds.total_cost[o])
        trained = (training.get(name, np.nan),) if training else ()
        shown = (*each, *totals, *trained)
        numbers = (Cell(number(x)) for x in shown)
        rows.append((Cell(name), Cell(f"{seconds.suggestions[o]:,}"), *numbers, Cell(str(first.get(name, MISSING)))))
    return Table(
        name="latency",
        title="Time per suggestion",
        note=(
            "Wall-clock milliseconds of asking, over the trials of the search phase (the initial design is not "
            "suggested by the optimizer); totals in seconds over all trials. Cost: what the evaluations would have "
            "taken for real, where the benchmark knows"
            + (
                ". Training: what was spent once, before the first cell of the grid, by those that train"
                if training
                else ""
            )
            + f". {MODEL_FROM_NOTE}"
        ),
        header=(
            *("optimizer", "asks", "mean ms", "median ms", "p95 ms", "ask s", "evaluate s", "cost s"),
            *(("training s",) if training else ()),
            MODEL_FROM,
        ),
        rows=tuple(rows),
        data=data,
    )


def failures_table(analysis: Analysis) -> Table:
    """Trials by state, clipped regrets and missing cells per optimizer."""
    grid = analysis.grid
    planned, finished = grid.planned > 0, grid.finished > 0
    counts = {
        "cells_planned": planned.sum(axis=(1, 2)),
        "cells_missing": (planned & ~finished).sum(axis=(1, 2)),
        "cells_short": (finished & (grid.finished < grid.planned)).sum(axis=(1, 2)),
        "trials": grid.states.sum(axis=1),
        **{f"trials_{state}": grid.states[:, i] for i, state in enumerate(STATES)},
        "trials_clipped": grid.clipped.sum(axis=1),
    }
    data = pd.DataFrame({"optimizer": grid.optimizers, **counts})
    rows = [
        (Cell(name), *(Cell(f"{int(column[o]):,}") for column in counts.values()))
        for o, name in enumerate(grid.optimizers)
    ]
    return Table(
        name="failures",
        title="Cells and trials that are missing, failed or clipped",
        note=(
            "Short: fewer trials than planned. A failed, timed-out or infeasible trial keeps the incumbent, and before "
            "the first success the worst reference value. Clipped: the regret was below 0 and was set to 0"
        ),
        header=("optimizer", "cells", "missing", "short", "trials", *STATES, "clipped"),
        rows=tuple(rows),
        data=data,
    )


def missing_table(analysis: Analysis) -> Table:
    """Optimizer and task pairs that lack planned cells, or have short ones."""
    grid = analysis.grid
    planned = (grid.planned > 0).sum(axis=2)
    finished = (grid.finished > 0).sum(axis=2)
    short = ((grid.finished > 0) & (grid.finished < grid.planned)).sum(axis=2)
    records = []
    for o, t in np.argwhere((finished < planned) | (short > 0)):
        lacking = (grid.planned[o, t] > 0) & (grid.finished[o, t] == 0)
        records.append(
            {
                "optimizer": grid.optimizers[o],
                "task": grid.tasks[t],
                "seeds_planned": int(planned[o, t]),
                "seeds_finished": int(finished[o, t]),
                "seeds_short": int(short[o, t]),
                "missing_seeds": " ".join(map(str, grid.seeds[t][lacking])),
            }
        )
    columns = ["optimizer", "task", "seeds_planned", "seeds_finished", "seeds_short", "missing_seeds"]
    rows = [tuple(Cell(str(value) or "none") for value in record.values()) for record in records]
    return Table(
        name="missing",
        title="Missing and short cells",
        note="",
        header=("optimizer", "task", "planned", "finished", "short", "missing seeds"),
        rows=tuple(rows),
        data=pd.DataFrame(records, columns=columns),
        labels=2,
    )


def clips_table(analysis: Analysis) -> Table:
    """Tasks on which an optimizer beat the best reference value."""
    grid = analysis.grid
    clipped = grid.clipped.sum(axis=0)
    records = [
        {
            "task": grid.tasks[t],
            "trials_clipped": int(clipped[t]),
            "lowest_regret": float(grid.lowest[t]),
            "reference_source": str(analysis.references[grid.tasks[t]].get("source", "unknown")),
        }
        for t in np.flatnonzero(clipped)
    ]
    rows = [
        (
            Cell(str(r["task"])),
            Cell(f"{r['trials_clipped']:,}"),
            Cell(number(float(str(r["lowest_regret"])))),
            Cell(str(r["reference_source"])),
        )
        for r in records
    ]
    return Table(
        name="clips",
        title="Tasks where a trial beat the best reference value",
        note="Their f_best is not the optimum: their regrets are too low, and were clipped at 0",
        header=("task", "clipped trials", "lowest regret", "source of the reference"),
        rows=tuple(rows),
        data=pd.DataFrame(records, columns=["task", "trials_clipped", "lowest_regret", "reference_source"]),
    )

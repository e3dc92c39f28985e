"""The table of feasible trials."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optibench_reports.format.text import MISSING, Cell, Table
from optibench_reports.stats.analysis import Analysis
from optibench_reports.tables.regret import ranking


def feasibility_tables(analysis: Analysis) -> list[Table]:
    """Feasible trials by task and optimizer; no table if no task has constraints."""
    found, grid = analysis.feasibility, analysis.grid
    if found is None:
        return []
    records = []
    for c, t in enumerate(found.tasks):
        for o in ranking(analysis):
            first = found.first[o, c][~np.isnan(found.first[o, c])]
            if not len(first):
                continue
            share = found.share[o, c]
            known = share[~np.isnan(share)]
            records.append(
                {
                    "task": grid.tasks[t],
                    "optimizer": grid.optimizers[o],
                    "seeds": len(first),
                    "share_feasible": float(known.mean()) if len(known) else np.nan,
                    "median_first_feasible": float(np.quantile(first, 0.5, method="higher")),
                    "all_feasible": float(found.all_feasible[o, c]),
                    "never_feasible": int(np.isinf(first).sum()),
                }
            )
    columns = [
        "task",
        "optimizer",
        "seeds",
        "share_feasible",
        "median_first_feasible",
        "all_feasible",
        "never_feasible",
    ]
    rows = [
        (
            *(Cell(str(one["task"])), Cell(str(one["optimizer"])), Cell(str(one["seeds"]))),
            Cell(MISSING if np.isnan(one["share_feasible"]) else f"{one['share_feasible']:.0%}"),
            *(Cell(_trials(one[key])) for key in ("median_first_feasible", "all_feasible")),
            Cell(str(one["never_feasible"])),
        )
        for one in records
    ]
    return [
        Table(
            name="feasibility",
            title="Feasible trials on tasks with constraints",
            note=(
                "Feasible: share of the full evaluations that fulfil all constraints, mean over seeds. First: trials "
                "up to the first feasible one, median over seeds; a seed without one counts as infinitely long. All: "
                "trials until every seed has one. Never: seeds without a feasible trial"
            ),
            header=("task", "optimizer", "seeds", "feasible", "first", "all", "never"),
            rows=tuple(rows),
            data=pd.DataFrame(records, columns=columns),
            labels=2,
        )
    ]


def _trials(count: float) -> str:
    return "never" if np.isinf(count) else f"{count:.0f}"

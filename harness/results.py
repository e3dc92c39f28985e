"""What the reports get: a run folder's trials, tasks, plan and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import provenance
from harness.cells import plan
from harness.store import Store

if TYPE_CHECKING:
    from reports import Results


def load(folder: Path) -> Results:
    """Read a run folder, finished or not.

    Raises:
        HarnessError: It is not a run folder, or a file of it is damaged.
    """
    import pandas as pd

    from reports import Results
    from reports.results import COLUMNS

    store = Store.open(folder)
    resolved = store.resolved()
    cells = list(plan(resolved))
    trials = store.trials(cells, COLUMNS).to_pandas(split_blocks=True, self_destruct=True)
    planned = pd.DataFrame(
        {
            "optimizer": [cell.optimizer for cell in cells],
            "task": [cell.task for cell in cells],
            "seed": [cell.seed for cell in cells],
            "n_trials": [cell.trials for cell in cells],
            "initial": resolved["grid"]["initial"],
        }
    )
    history = {"initial_design": _initial_design(resolved["grid"]), **provenance.read(store)}
    history["training"] = provenance.training(store)
    return Results(trials=trials, tasks=resolved["tasks"], planned=planned, provenance=history)


def _initial_design(grid: Mapping[str, Any]) -> str:
    """In words, since a table must say which."""
    if grid["initial"] == "own":
        return "each library's own"
    return f"shared: {grid['initial_size']} random configurations, the same for all optimizers of a task and seed"

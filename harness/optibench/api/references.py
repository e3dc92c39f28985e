"""``reference="random"``: random configurations of a task, evaluated before its run.

They are a separate grid inside the run folder, so they resume, respect the limits and contain a function's failures.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import msgspec
import numpy as np

from optibench.api.given import Given
from optibench.api.task import N_RANDOM, FunctionTask
from optibench.cell.trials import EVALUATED
from optibench.errors import HarnessError
from optibench.plan.plan import GRID, Plan
from optibench.plan.tasks import RandomValues
from optibench.runs.run import refuse_unreachable, run
from optibench.spec.grid import Grid, Settings
from optibench.store.run_folder import REFERENCES, Store

SEEDS = tuple(range(2**31 - 10, 2**31))
"""The seeds of the random configurations, each for a tenth of them; optimizers may not use these seeds."""
MIN_SUCCESS = 0.5
"""Minimum fraction of the configurations that must have a value."""


def measure(given: Given, grid: Grid, settings: Settings) -> None:
    """Measure the random references that a call's tasks need, or read them from the run folder.

    Raises:
        HarnessError: Too few configurations have a value, or the grid has a seed of :data:`SEEDS`.
        KeyboardInterrupt: The run was stopped.
    """
    wanted = [one for one in given.benchmarks.values() if isinstance(one, FunctionTask) and one.random]
    if not wanted:
        return
    if set(grid.seeds) & set(SEEDS):
        raise HarnessError(f'The seeds from {SEEDS[0]} on belong to reference="random": leave them out of `seeds`.')
    folder = settings.out or Path("runs") / grid.name
    Store(folder).refuse_foreign()
    with given.registered():
        plan = Plan.of(grid)  # mistakes are found here, not after hours of measuring other tasks
        if settings.executor != "serial":
            refuse_unreachable(plan, settings.executor)
    known = Plan.load(folder).tasks if (folder / GRID).exists() else {}
    for task in wanted:
        before = known.get(task.name)
        found = None if before is None else before.random
        given.benchmarks[task.name] = task.measured(found or _measure(task, grid, settings, folder))


def _measure(task: FunctionTask, grid: Grid, settings: Settings, folder: Path) -> RandomValues:
    out = folder / REFERENCES / re.sub(r"[^\w.-]", "-", task.name)
    alone = Grid(
        ("random",), (task.name,), SEEDS, N_RANDOM // len(SEEDS), initial="own", name="references", limits=grid.limits
    )
    print(f"Measuring {N_RANDOM} random configurations of {task.name}, for its reference.", file=sys.stderr, flush=True)
    with Given.of(None, [task]).registered():
        outcome = run(alone, msgspec.structs.replace(settings, out=out))
    if outcome.stopped:
        raise KeyboardInterrupt(
            f"stopped with {outcome.finished} of {outcome.cells} parts of the random reference of {task.name} "
            "measured; run the same call again to resume"
        )
    store = outcome.store
    table = store.trials(store.plan().cells(), ["value", "state", "error"]).to_pandas()
    values = table.loc[table["state"] == "ok", "value"].to_numpy(float)
    failed = int((~table["state"].isin(EVALUATED)).sum())
    if failed > (1.0 - MIN_SUCCESS) * len(table):
        raise HarnessError(
            f"{failed} of {len(table)} random configurations of {task.name} have no value (first "
            f"error: {table['error'].dropna().iloc[0]}): fix this and give another `out`, or leave the reference out."
        )
    if not len(values):
        raise HarnessError(
            f"None of {len(table)} random configurations of {task.name} is feasible: loosen its constraints, or leave "
            "the reference out."
        )
    worst = float(values.max() if task.direction == "minimize" else values.min())
    assert math.isfinite(worst)
    return RandomValues(float(np.median(values)), worst, len(table), failed)

"""Loads a run folder for the reports: its trials, tasks, plan and provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from optibench.cell.trials import SEVERAL, metric_values, refuse_absent, regrets
from optibench.errors import HarnessError
from optibench.numbers import whole
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.store import changed, provenance
from optibench.store.run_folder import Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from optibench.plan.tasks import Task
    from optibench.spec.grid import Grid
    from optibench_benchmarks.hypervolume import Floats
    from optibench_reports import Results
    from optibench_reports.figures.attained_fronts import AttainedFronts
    from optibench_reports.figures.learning_curves import LearningCurves
    from optibench_reports.figures.parallel_coordinates import Run


CELL = ["optimizer", "task", "seed"]
ENDS = ["trial", "state", "cost_fidelity", "simulated_end"]


def load(folder: Path, metrics: Sequence[str] = ()) -> Results:
    """Read a run folder, finished or not.

    Args:
        folder: The folder.
        metrics: Entries of the trials' ``info`` to read as well, into columns ``metric:NAME``.

    Raises:
        HarnessError: It is not a run folder, or a file of it is damaged.
    """
    from optibench_reports import Results
    from optibench_reports.data.results import COLUMNS, COSTS, ENDED, IGD_PLUS, METRIC

    store = Store.open(folder)
    plan = store.plan()
    cells = list(plan.cells())
    columns = (*COLUMNS, *COSTS) if plan.has_costs else COLUMNS
    columns = (*columns, "info") if metrics else columns
    several = {name: task for name, task in plan.tasks.items() if task.objectives}
    measured = SEVERAL if any(task.objectives or task.constraints for task in plan.tasks.values()) else ()
    more = ("cost_fidelity", *measured) if several else measured
    table = store.trials(cells, list(dict.fromkeys([*columns, "run", *more])))
    ran = _cells_by_run(table)
    infos = table.column("info").to_pylist() if "info" in table.column_names else [None] * len(table)
    if several:
        table = table.append_column(IGD_PLUS, [_igd_plus(table, several)])
    table = table.select([name for name in table.column_names if name in {*columns, *measured, IGD_PLUS} - {"info"}])
    trials = table.to_pandas(split_blocks=True, self_destruct=True)
    del table
    if plan.grid.simulated_workers > 1 and any(task.objectives for task in plan.tasks.values()):
        trials[ENDED] = _ended_regrets(store.trials(cells, [*CELL, *ENDS, "values"]), plan)
    try:
        trials = trials.assign(**{METRIC + name: metric_values(infos, name) for name in metrics})
    except ValueError as error:
        raise HarnessError(
            f"The trials of {store.folder} are damaged ({error}); restore them, or run the grid into another folder."
        ) from error
    planned = _existing_cells(trials) if plan.imported else _planned(cells, plan.grid, trials)
    tasks = msgspec.to_builtins(plan.tasks)
    return Results(trials=trials, tasks=tasks, planned=planned, provenance=_history(store, plan, ran))


def _igd_plus(table: pa.Table, tasks: Mapping[str, Task]) -> Floats:
    """The IGD+ of the feasible trials so far, (R,); NaN on tasks other than these and while there is none."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    from optibench_benchmarks.hypervolume import igd_plus

    found = np.full(len(table), np.nan)
    for name, task in tasks.items():
        rows = np.flatnonzero(compute.equal(table.column("task").cast(pa.string()), name))
        part = table.take(rows)
        known = compute.and_(
            compute.equal(part.column("state").cast(pa.string()), "ok"),
            compute.greater_equal(part.column("cost_fidelity"), 1.0),
        )
        values = np.full((len(part), len(task.objectives)), np.nan)
        numbers = compute.list_flatten(part.column("values").filter(known)).to_numpy()
        values[known.to_numpy()] = numbers.reshape(-1, len(task.objectives))
        trials = part.select(["optimizer", "seed", "trial"]).to_pandas().sort_values("trial")
        order = trials.index.to_numpy()
        for places in trials.groupby(["optimizer", "seed"], observed=True).indices.values():
            mine = order[places]
            found[rows[mine]] = igd_plus(values[mine], task.front, task.ideal, task.reference_point)
    return found


def _cells_by_run(table: pa.Table) -> dict[str, int]:
    """Number of cells that each run made, by the run's id; a cell that several runs made counts for each."""
    from pyarrow import compute

    counts: dict[str, int] = {}
    if "run" in table.column_names:
        made = table.filter(compute.equal(table.column("trial"), 0)).column("run").value_counts()
        for one in made.to_pylist():
            for name in filter(None, (one["values"] or "").split("+")):
                counts[name] = counts.get(name, 0) + one["counts"]
    return counts


def load_run(folders: Sequence[Path], optimizer: str, task: str, seed: str) -> Run:
    """The trials of one finished cell, configurations included, from the first folder that has it.

    Raises:
        HarnessError: No folder has it, or a file is damaged.
    """
    from pyarrow import compute

    from optibench_reports.figures.parallel_coordinates import Run

    number = whole(seed)
    if number is None:
        raise HarnessError(f"A seed is a whole number from 0 on, not {seed!r}: `--run OPTIMIZER TASK SEED`.")
    wanted: dict[str, str | int] = {"optimizer": optimizer, "task": task, "seed": number}
    for folder in folders:
        store = Store.open(folder)
        plan = store.plan()
        table = store.trials(plan.cells(), [*wanted, "trial", "config", "value", "state"])
        for column, value in wanted.items():
            table = table.filter(compute.equal(table.column(column), value))
        if len(table):
            trials = table.sort_by("trial").to_pandas()
            return Run(optimizer, task, number, plan.tasks[task].direction, trials)
    raise HarnessError(
        f"No finished run of {optimizer} on {task} with seed {seed} is in {', '.join(map(str, folders))}; "
        "`optibench status DIR` lists the optimizers, and tasks.json in that folder the tasks."
    )


def refuse_absent_metrics(folders: Sequence[Path], metrics: Sequence[str]) -> None:
    """Reject a metric that no trial of some run folders has.

    Raises:
        HarnessError: No trial has it; the message names the existing ones.
    """
    infos: list[str | None] = []
    for folder in folders if metrics else ():
        store = Store.open(folder)
        table = store.trials(store.plan().cells(), ["info"])
        infos += table.column("info").to_pylist() if "info" in table.column_names else []
    for metric in metrics:
        refuse_absent(metric, infos, ", ".join(map(str, folders)))


def load_curves(folders: Sequence[Path]) -> LearningCurves | None:
    """The learning curves of all trials of some run folders; ``None`` if no trial has one.

    Raises:
        HarnessError: A folder is not a run folder, or a file is damaged.
    """
    import pandas as pd

    from optibench_reports.figures.learning_curves import COLUMNS, LearningCurves

    found: list[pd.DataFrame] = []
    directions: dict[str, str] = {}
    for folder in folders:
        store = Store.open(folder)
        plan = store.plan()
        cells = list(plan.cells())
        curves = store.trials(cells, ["curve"])
        if "curve" not in curves.column_names or curves.column("curve").null_count == len(curves):
            continue
        table = store.trials(cells, COLUMNS)
        found.append(table.filter(table.column("curve").is_valid()).to_pandas())
        directions |= {name: task.direction for name, task in plan.tasks.items()}
    if not found:
        return None
    names = {"optimizer": str, "task": str}
    trials = pd.concat([frame.astype(names) for frame in found], ignore_index=True)
    # a cell that is in several folders counts once
    return LearningCurves(trials.drop_duplicates(["optimizer", "task", "seed", "trial"], ignore_index=True), directions)


def load_fronts(folders: Sequence[Path]) -> AttainedFronts | None:
    """The trials of some run folders on tasks with two objectives; ``None`` if there is none.

    Raises:
        HarnessError: A folder is not a run folder, or a file is damaged.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import compute

    from optibench_reports.figures.attained_fronts import COLUMNS, AttainedFronts

    found: list[pd.DataFrame] = []
    tasks: dict[str, Any] = {}
    for folder in folders:
        store = Store.open(folder)
        plan = store.plan()
        mine = {name: task for name, task in plan.tasks.items() if len(task.objectives) == 2}
        if not mine:
            continue
        tasks |= msgspec.to_builtins(mine)
        table = store.trials(plan.cells(), COLUMNS)
        known = compute.is_in(table.column("task").cast(pa.string()), pa.array(list(mine)))
        found.append(table.filter(known).to_pandas().astype({"optimizer": str, "task": str, "state": str}))
    trials = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    if trials.empty:
        return None
    # a cell that is in several folders counts once
    return AttainedFronts(trials.drop_duplicates(["optimizer", "task", "seed", "trial"], ignore_index=True), tasks)


def _ended_regrets(table: pa.Table, plan: Plan) -> list[float]:
    """On tasks with several objectives, the regret of all trials that have ended when each trial ends; else NaN."""
    from optibench_benchmarks.hypervolume import volumes

    frame = table.to_pandas()
    found = [math.nan] * len(frame)
    for (_, name, _), rows in frame.groupby(CELL, observed=True, sort=False):
        task = plan.tasks[str(name)]
        if task.objectives and task.reference is not None:
            ended = rows.sort_values(["simulated_end", "trial"])
            counts = (ended["state"] == "ok") & (ended["cost_fidelity"] >= 1.0)
            reached = volumes(
                (values if counted else None for values, counted in zip(ended["values"], counts, strict=True)),
                task.ideal,
                task.reference_point,
            )
            for row, regret in zip(ended.index, regrets(reached, task.reference), strict=True):
                found[row] = regret
    return found


def _planned(cells: Sequence[Cell], grid: Grid, trials: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    planned = pd.DataFrame(
        {
            "optimizer": [cell.optimizer for cell in cells],
            "task": [cell.task for cell in cells],
            "seed": [cell.seed for cell in cells],
            "n_trials": [cell.trials for cell in cells],
            "initial": grid.initial,
        }
    )
    if isinstance(grid.trials, str):
        return planned.assign(unit="trials", budget=planned["n_trials"])
    budget = grid.budget
    if budget is None:
        return planned
    # the number of trials that the budget allows is known once a cell is finished
    counts = _existing_cells(trials).rename(columns={"n_trials": "found"})[[*CELL, "found"]]
    found = planned.merge(counts, on=CELL, how="left")["found"]
    planned["n_trials"] = found.fillna(planned["n_trials"]).astype(int)
    return planned.assign(unit=budget.unit, budget=budget.amount)


def _existing_cells(trials: pd.DataFrame) -> pd.DataFrame:
    """The existing cells: what else another framework planned is unknown."""
    counts = trials.groupby(CELL, observed=True).size().rename("n_trials").reset_index()
    return counts.assign(initial="own").astype({"optimizer": str, "task": str})


def _history(store: Store, plan: Plan, ran: Mapping[str, int]) -> dict[str, Any]:
    history = {"initial_design": _initial_design(plan.grid), **provenance.read(store)}
    history["runs"] = [run | ({"cells": ran.get(run["id"], 0)} if "id" in run else {}) for run in history["runs"]]
    if plan.grid.skipped:
        history["skipped_tasks"] = list(plan.grid.skipped)
    versions: dict[str, Any] = {label: optimizer.packages for label, optimizer in plan.optimizers.items()}
    known = changed.read(store)  # a run that was resumed after an upgrade has several versions
    for label, prints in known.optimizers.items():
        versions[label] = [_packages(known.parts.get(one, {})) for one in prints]
    history |= {"training": provenance.training(store), "optimizer_packages": versions}
    return history | ({"first_model_trials": first} if (first := _first_model_trials(plan)) else {})


def _first_model_trials(plan: Plan) -> dict[str, int]:
    """By optimizer, the trial from which a model or a second generation suggests; the latest of them, where it depends
    on the dimension."""
    import optibench_optimizers

    size, dimensions = plan.grid.initial_size, max(task.dimensions for task in plan.tasks.values())
    entries, found = optibench_optimizers.entries(), dict[str, int]()
    for label, optimizer in plan.optimizers.items():
        startup = entries[optimizer.name].startup if optimizer.name in entries else None
        if startup is not None:
            first = startup.first(optimizer.settings, n_initial=size, dimensions=dimensions)
            found |= {} if first is None else {label: first}
    return found


def _packages(parts: Mapping[str, str]) -> dict[str, str]:
    """The versions in a fingerprint, by package."""
    return {name.partition(" ")[2]: version for name, version in parts.items() if name.startswith("package ")}


def _initial_design(grid: Grid) -> str:
    """The initial design as text, for the tables."""
    if grid.initial == "own":
        return "each library's own"
    return f"shared: {grid.initial_size} random configurations, the same for all optimizers of a task and seed"

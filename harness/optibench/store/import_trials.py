"""Imports trials of other frameworks as a run folder, so that they enter the same statistics as the bench's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from optibench.cell.trials import SEVERAL
from optibench.errors import HarnessError
from optibench.plan.optimizers import PlannedOptimizer
from optibench.plan.plan import GRID, TASKS, Plan
from optibench.plan.tasks import Task
from optibench.spec.grid import Grid
from optibench.store.run_folder import TRIALS, Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CELL = ["optimizer", "task", "seed"]
FILES = (TASKS, "provenance.json", TRIALS, GRID)
"""The written files, in this order: a folder that has a grid is complete."""


def import_trials(paths: Sequence[Path], folder: Path, *, suffix: str = "") -> Store:
    """Write imported trials as one folder, in the form of :meth:`optibench.store.run_folder.Store.publish`.

    The same files with the same references give the same bytes; importing them again changes nothing.

    Args:
        paths: CSV or Parquet files as :mod:`optibench_reports.data.read_trials` describes them; each run (optimizer,
            task, seed) is in one file.
        folder: The folder to write; must not hold anything else.
        suffix: Appended to every optimizer's label, to distinguish it from the bench's optimizers.

    Raises:
        HarnessError: A task is unknown, lacks data or a reference, or has a different name here; a run is in two
            files; or the folder holds something else or cannot be written.
        ReportError: A file is not as described.
    """
    import pandas as pd

    from optibench_benchmarks.hypervolume import volumes
    from optibench_reports.data import read_trials as foreign

    tasks: dict[str, Task] = {}
    frames, sources = [], []
    for path in map(Path, paths):
        for name in foreign.task_names(path):
            if name not in tasks:
                tasks[name] = _task(path, name)
        frames.append(foreign.load(path, msgspec.to_builtins(tasks), suffix=suffix, volumes=volumes).trials)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append({"imported_file": path.name, "imported_sha256": digest, "imported_trials": len(frames[-1])})
    _refuse_shared(paths, frames)
    trials = pd.concat(frames, ignore_index=True).sort_values([*CELL, "trial"], ignore_index=True)
    return _write(folder, _plan(folder.resolve().name, trials, dict(sorted(tasks.items())), sources), trials)


def _task(path: Path, name: str) -> Task:
    """A task as the registry describes it, with its reference."""
    import optibench_benchmarks

    try:
        benchmark = optibench_benchmarks.create(name)
    except optibench_benchmarks.BenchmarkError as error:
        raise HarnessError(f"{path} cannot be imported: {error}") from error
    if benchmark.name != name:
        raise HarnessError(
            f"{path} has trials of {name!r}, which is called {benchmark.name!r} here: rename it in the file."
        )
    if benchmark.reference is None and benchmark.front is None:
        raise HarnessError(
            f"{path} has trials of {name!r}, which has no reference values, so its regret is undefined: leave the task "
            f"out, or run `optibench references {name}` first."
        )
    return msgspec.structs.replace(Task.of(benchmark), metrics={})  # a file of trials has no metrics


def _refuse_shared(paths: Sequence[Path], frames: Sequence[pd.DataFrame]) -> None:
    seen: dict[tuple[Any, ...], Path] = {}
    for path, frame in zip(paths, frames, strict=True):
        for cell in frame[CELL].drop_duplicates().itertuples(index=False, name=None):
            if cell in seen:
                raise HarnessError(
                    f"{cell[0]} on {cell[1]}, seed {cell[2]}, is in both {seen[cell]} and {path}: keep each run in one "
                    "file, or import them into two folders."
                )
            seen[cell] = path


def _plan(name: str, trials: pd.DataFrame, tasks: Mapping[str, Task], sources: Sequence[Mapping[str, Any]]) -> Plan:
    """The plan of an imported folder: like the plan of a grid that was run, with ``imported`` set."""
    labels = [str(label) for label in trials["optimizer"].unique()]
    grid = Grid(
        optimizers=tuple(labels),
        benchmarks=tuple(str(task) for task in trials["task"].unique()),
        seeds=tuple(sorted(map(int, trials["seed"].unique()))),
        trials=int(trials["trial"].max()) + 1,
        initial="own",
        initial_size=0,
        name=name,
    )
    optimizers = {label: PlannedOptimizer(label, {}, {}) for label in labels}
    return Plan(grid, {}, optimizers, tasks, tuple(sources))


def _write(folder: Path, plan: Plan, trials: pd.DataFrame) -> Store:
    """Write the folder in one step."""
    import pyarrow.parquet as pq

    if folder.exists() and not folder.is_dir():
        raise HarnessError(f"{folder} is a file; choose another --out.")
    whole = folder.resolve()
    part = whole.with_name(f".{whole.name}.{os.getpid()}.tmp")
    try:
        part.mkdir(parents=True)
        provenance = {"imported": list(plan.imported), "runs": []}
        (part / "provenance.json").write_text(json.dumps(provenance, indent=1), encoding="utf-8")
        pq.write_table(_table(trials, plan.tasks), part / TRIALS, compression="zstd", compression_level=19)
        plan.save(part)
        if folder.exists() and any(folder.iterdir()):
            if not _same(part, folder):
                raise HarnessError(f"{folder} is not empty and does not hold this import; choose another --out.")
        else:
            part.rename(folder)  # the folder does not exist or is empty
    except OSError as error:
        raise HarnessError(f"Cannot write {folder}: {error.strerror}; choose another --out.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Store(folder)


def _same(one: Path, other: Path) -> bool:
    return all((other / n).is_file() and (one / n).read_bytes() == (other / n).read_bytes() for n in FILES)


def _table(trials: pd.DataFrame, tasks: Mapping[str, Task]) -> pa.Table:
    """The trials in the columns of every run folder; columns that imported trials lack are empty."""
    import numpy as np
    import pyarrow as pa

    from optibench.cell.trials import schema

    kinds = schema(several="values" in trials.columns)
    cells = trials.groupby(CELL, sort=False).ngroup().to_numpy()
    first = trials.drop_duplicates(CELL)
    keys = np.array([_key(row, tasks) for row in first[CELL].itertuples(index=False, name=None)])
    columns: dict[str, Any] = {"cell": keys[cells]}
    arrays = []
    for field in kinds:
        if field.name in columns or field.name in trials.columns:
            values = columns[field.name] if field.name in columns else trials[field.name].to_numpy()
            if field.name in SEVERAL:  # pandas turns what a frame lacks into NaN
                values = [one if isinstance(one, tuple) else None for one in values]
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            array = pa.array(values, type=kind).cast(field.type)
        elif pa.types.is_floating(field.type):
            array = pa.array(np.full(len(trials), np.nan), type=field.type)
        else:
            array = pa.nulls(len(trials), field.type)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=kinds)


def _key(cell: tuple[Any, ...], tasks: Mapping[str, Task]) -> str:
    """A key for the cell that no cell of a grid has; imported cells are never resumed."""
    text = json.dumps(["imported", cell[0], cell[1], int(cell[2]), msgspec.to_builtins(tasks[cell[1]])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]

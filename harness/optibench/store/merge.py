"""`optibench merge`: joins the cells of several run folders, as if one run had made them."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from optibench.cell.trials import SEVERAL
from optibench.errors import HarnessError
from optibench.external.registry import RECORD
from optibench.files import write_atomically
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan, listed
from optibench.store import changed, provenance
from optibench.store.run_folder import FINGERPRINTS, TRAINING, Store

if TYPE_CHECKING:
    import pyarrow as pa

SAME = ("trial", "phase", "config", "fidelity", "value", "state", "cost_fidelity", "simulated_end", *SEVERAL)
"""The columns in which two results of one cell must agree; compact tables lack the configurations."""


@dataclass(frozen=True)
class Merged:
    """A merged folder.

    Attributes:
        store: The folder.
        cells, finished: Numbers of cells in its grid, and of those that were finished in a source folder.
        shared: Number of finished cells that several source folders had, with the same trials.
    """

    store: Store
    cells: int
    finished: int
    shared: int


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Merge run folders, finished or not, published or not, into a new one, which can be resumed and extended.

    Its grid has all optimizers, tasks and seeds of the source folders; combinations that none has run are left to run.

    Raises:
        HarnessError: They differ in trials, limits, designs, budgets or task data; a cell has different trials in two
            of them; a file is damaged; or ``out`` exists or cannot be written. Nothing is written then.
    """
    if len(folders) < 2:
        raise HarnessError("Merging needs at least two run folders.")
    for place, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:place]]:
            raise HarnessError(f"{folder} is named twice; merging needs different run folders.")
    if out.exists():
        raise HarnessError(f"{out} exists; choose another --out.")
    stores = [Store.open(folder) for folder in folders]
    for store in stores:
        store.refuse_imported()
    with contextlib.ExitStack() as held:
        for store in stores:
            if not store.published() and os.access(store.folder, os.W_OK):
                held.enter_context(store.lock())
        plans = [store.plan() for store in stores]
        for store, plan in zip(stores[1:], plans[1:], strict=True):
            _refuse_conflict(stores[0], plans[0], store, plan)
        plan = functools.reduce(Plan.grown, plans)
        part = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            part.mkdir(parents=True)
            merged = _fill(Store(part), plan, stores, plans)
            part.rename(out)
        except OSError as error:
            raise HarnessError(f"Cannot write {out}: {error.strerror}; choose another --out.") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Merged(Store(out), *merged)


def _refuse_conflict(one: Store, plan: Plan, other: Store, its: Plan) -> None:
    conflicts = plan.conflicts(its)
    if plan.grid.trials != its.grid.trials:
        conflicts.insert(0, f"trials: {plan.grid.trials} there, {its.grid.trials} here")
    if conflicts:
        raise HarnessError(
            f"{other.folder} cannot be merged with {one.folder} ({listed(conflicts)}): rerun one of them with the "
            "options of the other, or report both without merging."
        )


def _fill(store: Store, plan: Plan, stores: Sequence[Store], plans: Sequence[Plan]) -> tuple[int, int, int]:
    """Write a merged folder; returns the numbers of all cells, finished cells and cells of several folders."""
    for name in ("cells", "journal"):
        (store.folder / name).mkdir()
    cells = {(cell.optimizer, cell.task, cell.seed): cell for cell in plan.cells()}
    done: dict[str, Store] = {}
    shared: set[str] = set()
    for one, its in zip(stores, plans, strict=True):
        for identity, table in _finished(one, its):
            cell = cells[identity]
            if cell.key in done:
                _refuse_other_trials(cell, store.cells.read(cell.key), table, (done[cell.key], one))
                shared.add(cell.key)
            else:
                store.cells.write(cell.key, _relabelled(table, cell.key))
                done[cell.key] = one
                _copy(one.folder / "logs", f"{table.column('cell')[0]}.log", store.folder / "logs", f"{cell.key}.log")
    for one, its in zip(stores, plans, strict=True):
        begun = set(one.begun())
        for old in its.cells():
            new = cells[old.optimizer, old.task, old.seed]
            if old.key in begun and new.key not in done and not store.journal(new).path.exists():
                shutil.copyfile(one.journal(old).path, store.journal(new).path)
    _write_records(store, stores)
    plan.save(store.folder)
    return len(cells), len(done), len(shared)


def _finished(store: Store, plan: Plan) -> Iterator[tuple[tuple[str, str, int], pa.Table]]:
    """The finished cells of a folder: optimizer, task and seed, and the trials."""
    import pyarrow as pa

    table = store.trials(plan.cells())
    frame = table.select(["optimizer", "task", "seed"]).to_pandas()
    for identity, rows in frame.groupby(["optimizer", "task", "seed"], observed=True, sort=False).indices.items():
        optimizer, task, seed = identity
        yield (str(optimizer), str(task), int(seed)), table.take(pa.array(rows)).sort_by("trial")


def _relabelled(table: pa.Table, key: str) -> pa.Table:
    """A cell's trials with all columns of this version, and its key in the merged grid."""
    import pyarrow as pa

    from optibench.cell.trials import schema

    n, kinds = len(table), schema(several={*SEVERAL} <= {*table.column_names})
    columns = {name: table.column(name) for name in table.column_names} | {"cell": pa.array([key] * n)}
    return pa.table(
        [columns[kind.name].cast(kind.type) if kind.name in columns else pa.nulls(n, kind.type) for kind in kinds],
        schema=kinds,
    )


def _refuse_other_trials(cell: Cell, one: pa.Table, other: pa.Table, stores: tuple[Store, Store]) -> None:
    for name in SAME:
        if not {name} <= {*one.column_names} & {*other.column_names}:
            continue
        mine, theirs = (table.column(name).to_pylist() for table in (one, other))
        compact = name == "config" and (not any(mine) or not any(theirs))
        alike = len(mine) == len(theirs) and all(
            a == b or (a != a and b != b) for a, b in zip(mine, theirs, strict=True)
        )
        if not compact and not alike:
            raise HarnessError(
                f"{cell.optimizer} on {cell.task}, seed {cell.seed}, has different trials in {stores[0].folder} and in "
                f"{stores[1].folder}: a merged grid has one result per cell; use `optibench compare` to see both."
            )


def _write_records(store: Store, stores: Sequence[Store]) -> None:
    """Write the folders' other records: runs, fingerprints, trainings, events, external definitions."""
    runs = [run for one in stores for run in provenance.read(one)["runs"]]
    runs = [run for index, run in enumerate(runs) if run not in runs[:index]]
    runs.sort(key=lambda run: run.get("started_at", 0.0))
    _write(store.folder / "provenance.json", {"runs": runs})
    training = {name: cost for one in reversed(stores) for name, cost in provenance.training(one).items()}
    if training:
        _write(store.folder / TRAINING, training)
    known = functools.reduce(changed.Known.joined, map(changed.read, stores))
    _write(store.folder / FINGERPRINTS, msgspec.to_builtins(known))
    for event in sorted((event for one in stores for event in one.events()), key=lambda event: event["time"]):
        store.event(event["event"], cell=event["cell"], text=event["text"], at=event["time"])
    external: dict[tuple[Any, Any], Any] = {}
    for one in stores:
        with contextlib.suppress(OSError, ValueError):
            for plain in json.loads((one.folder / RECORD).read_text(encoding="utf-8")):
                external.setdefault((plain.get("kind"), plain.get("name")), plain)
    if external:
        _write(store.folder / RECORD, list(external.values()))
        (store.folder / RECORD).chmod(0o600)


def _write(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, indent=1).encode())


def _copy(folder: Path, name: str, target: Path, new: str) -> None:
    if (folder / name).is_file():
        target.mkdir(exist_ok=True)
        shutil.copyfile(folder / name, target / new)

"""The run folder: durable results that survive a kill at any moment.

A finished cell is one file, renamed into place once it is complete (:mod:`optibench.store.cell_files`). A running cell
is an append-only journal with one line per trial. ``grid.yaml``, ``tasks.json`` and ``provenance.json`` say what was
run, ``events.jsonl`` records unplanned events (a worker died, a cell started again), and ``trials.parquet`` holds all
cells in one table.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench.cell.journal import History, Journal
from optibench.cell.trials import EVALUATED, Trial, compacted, schema, to_table
from optibench.errors import HarnessError, storable
from optibench.files import replacing
from optibench.plan.cells import Cell
from optibench.plan.plan import GRID, TASKS, Plan, listed
from optibench.plan.tasks import Task
from optibench.store.cell_files import CellFiles, DamagedError

if TYPE_CHECKING:
    import pyarrow as pa

TRIALS = "trials.parquet"
TRAINING = "training.json"
FINGERPRINTS = "fingerprints.json"
REFERENCES = "references"
"""The folder of the reference values that `reference="random"` measured."""
STAMP = b"optibench.cells"
"""Key in a compacted table's metadata: a hash of its cells and of when they were written."""
_held: set[str] = set()
"""The lock files that this process holds."""
_held_guard = threading.Lock()
_OWN = {"cells", "journal", "logs", REFERENCES, TASKS, ".lock"}
"""What a run folder may hold before it has a grid, if it was killed while it was created."""


class Store:
    """One run folder.

    Args:
        folder: Its path; it need not exist for :meth:`claim`, and must for :meth:`open`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells = CellFiles(folder / "cells")

    @classmethod
    @contextlib.contextmanager
    def claim(cls, folder: Path, plan: Plan, *, extend: bool = False) -> Iterator[Store]:
        """Create the folder, or reuse one that holds the same grid, and lock it for one runner.

        The lock is taken first, so that the next call can complete a folder whose creation was killed. With ``extend``
        the folder may hold a different grid, which the caller extends.

        Raises:
            HarnessError: The folder holds a different grid or other files, cannot be written, or is locked by another
                runner.
        """
        store = cls(folder)
        store.refuse_foreign()
        with store._write_errors():
            whole = (folder / GRID).exists()
            folder.mkdir(parents=True, exist_ok=True)
        if whole and store.published():
            store.refuse_difference(plan)
            yield store
            return
        with store.lock():
            with store._write_errors():
                store._fill(plan, extend)
            yield store

    def refuse_foreign(self) -> None:
        """Reject a path that is a file, or a non-empty folder that is not a run folder; it need not exist.

        Raises:
            HarnessError: The path is one of these.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise HarnessError(f"{self.folder} is a file; choose another --out.")
        with self._write_errors():
            whole = (self.folder / GRID).exists()
            foreign = [] if whole or not self.folder.is_dir() else _foreign(self.folder)
        if foreign:
            raise HarnessError(
                f"{self.folder} is not a run folder of optibench: it holds {foreign[0]}; choose another --out."
            )

    def _fill(self, plan: Plan, extend: bool) -> None:
        """Create what is missing in a run folder."""
        self.cells.remove_partial()  # left by a killed runner or a full disk
        for name in ("cells", "journal"):
            (self.folder / name).mkdir(exist_ok=True)
        if not (self.folder / GRID).exists():
            plan.save(self.folder)
        elif not extend:
            self.refuse_difference(plan)

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HarnessError(f"Cannot write to {self.folder}: {error.strerror}; choose another --out.") from error

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open an existing run folder.

        Raises:
            HarnessError: There is no such folder, or it holds no grid.
        """
        if not (folder / GRID).is_file():
            what = "holds no results of optibench" if folder.is_dir() else "does not exist"
            raise HarnessError(f"{folder} {what}; name the folder that `optibench run --out` wrote.")
        return cls(folder)

    def plan(self) -> Plan:
        """The plan of the folder.

        Raises:
            HarnessError: A file of the folder is damaged.
        """
        return Plan.load(self.folder)

    def refuse_imported(self) -> None:
        """Reject a folder of imported trials.

        Raises:
            HarnessError: It is one.
        """
        if self.plan().imported:
            raise HarnessError(
                f"{self.folder} holds imported trials, which are neither run nor published here; "
                f"`optibench report {self.folder}` reports them."
            )

    def refuse_difference(self, plan: Plan) -> None:
        """Reject a grid that differs from the folder's.

        Raises:
            HarnessError: They differ; the message shows where.
        """
        differences = self.plan().differences(plan)
        if differences:
            hint = "" if self.plan().conflicts(plan) else ", or add --extend to add what is new to it"
            raise HarnessError(
                f"{self.folder} holds a different grid ({listed(differences)}); choose another --out{hint}."
            )

    def refuse_conflict(self, plan: Plan) -> None:
        """Reject a grid by which the folder cannot be extended.

        Raises:
            HarnessError: The two grids conflict; the message shows where.
        """
        conflicts = self.plan().conflicts(plan)
        if conflicts:
            raise HarnessError(
                f"{self.folder} cannot be extended by this grid ({listed(conflicts)}); choose another --out."
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder for one runner.

        The lock belongs to this process, and forked children do not inherit it. Such a lock does not stop the same
        process from locking twice, so :data:`_held` does.

        Raises:
            HarnessError: Another runner holds the lock, or the file system has no locks.
        """
        path = self.folder / ".lock"
        busy = HarnessError(f"Another optibench is running into {self.folder}; wait for it or stop it.")
        name = os.path.realpath(path)
        with _held_guard:
            if name in _held:
                raise busy
            _held.add(name)
        try:
            with self._write_errors():
                file = path.open("w")
            with file:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except (BlockingIOError, PermissionError) as error:
                    raise busy from error
                except OSError as error:
                    raise HarnessError(
                        f"The file system of {self.folder} cannot lock files ({error.strerror}); without locks, two "
                        "runs could write into one folder: choose an --out on another file system, or mount this one "
                        "with locks (Lustre: -o flock)."
                    ) from error
                yield
        finally:
            with _held_guard:
                _held.discard(name)

    def finished(self) -> set[str]:
        """Keys of the finished cells."""
        if self.published():
            return set(self._compacted("cell").column("cell").unique().to_pylist())
        return set(self.cells.written())

    def begun(self) -> list[str]:
        """Keys of the cells that have a journal."""
        return [path.stem for path in (self.folder / "journal").glob("*.jsonl")]

    def set_aside(self, cell: Cell, made: str, *, journal: bool = True) -> None:
        """Rename a cell's files so that it runs again; ``made`` becomes part of their new names."""
        for path in (self.cells.path(cell.key), *([self.journal(cell).path] if journal else [])):
            if path.exists():
                path.replace(path.with_name(f"{path.name}.{made}.old"))

    def remove(self, cell: Cell) -> None:
        """Remove a cell's files after their content is in the journal of a different cell."""
        for path in (self.cells.path(cell.key), self.journal(cell).path):
            path.unlink(missing_ok=True)

    def set_aside_damaged(self, keys: Iterable[str]) -> list[str]:
        """Rename the cell files that cannot be read so that their cells run again; returns the keys."""
        damaged = []
        for key in keys:
            problem = self.cells.damaged(key)
            if problem is not None:
                path = self.cells.path(key)
                path.replace(path.with_suffix(".damaged"))
                self.event("damaged result set aside, its cell runs again", cell=key, text=problem)
                damaged.append(key)
        return damaged

    def set_aside_file(self, name: str) -> None:
        """Rename a file of the folder that is there but cannot be read."""
        if (self.folder / name).exists():
            (self.folder / name).replace(self.folder / f"{name}.damaged")
            self.event("damaged file set aside", text=name)

    def finish(self, cell: Cell, trials: Sequence[Trial], task: Task, history: History | None = None) -> None:
        """Store a finished cell's result, then remove its journal; ``history`` says which code ran it."""
        made = history or History()
        table = to_table(cell, trials, task, "+".join(made.fingerprints), "+".join(made.runs))
        self.cells.write(cell.key, table)
        (self.folder / "journal" / f"{cell.key}.jsonl").unlink(missing_ok=True)

    def journal(self, cell: Cell) -> Journal:
        return Journal(self.folder / "journal" / f"{cell.key}.jsonl")

    def log(self, cell: Cell) -> Path:
        """The file for what a cell's optimizer and benchmark print."""
        return self.folder / "logs" / f"{cell.key}.log"

    def running(self) -> dict[str, int]:
        """Number of trials so far of the unfinished cells, by key."""
        return {path.stem: len(Journal(path).read().trials) for path in (self.folder / "journal").glob("*.jsonl")}

    def event(self, event: str, *, cell: str | None = None, text: str = "", at: float | None = None) -> None:
        """Append to the run's log of unplanned events; ``at`` is Unix time, default now."""
        record = {
            "time": round(time.time() if at is None else at, 3),
            "event": event,
            "cell": cell,
            "text": storable(text),
        }
        line = json.dumps(record).encode() + b"\n"
        with (self.folder / "events.jsonl").open("ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":  # a kill cut the last line short
                line = b"\n" + line
            file.write(line)

    def events(self) -> list[dict[str, Any]]:
        try:
            lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # a line that a kill cut short
                found.append(json.loads(line))
        return found

    def trials(self, cells: Iterable[Cell], columns: Sequence[str] = ()) -> pa.Table:
        """The trials of all finished cells, in the order of the plan; the table is cached on disk.

        Args:
            cells: The cells of the plan.
            columns: The columns to read, without those that an earlier version did not write; all if empty.

        Raises:
            HarnessError: A file is damaged; the message names it and the command that fixes it.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.published():
            return self._compacted(*columns)
        written = self.cells.written()
        keys = [cell.key for cell in cells if cell.key in written]
        stamp = hashlib.sha256("".join(f"{key}{written[key]}" for key in keys).encode()).hexdigest()[:20].encode()
        with contextlib.suppress(HarnessError):
            whole = self._compacted(*columns)
            if (whole.schema.metadata or {}).get(STAMP) == stamp:
                return whole
        try:
            tables = list(self.cells.tables(keys))
        except DamagedError as error:
            raise HarnessError(
                f"{error.path} is damaged ({(error.text or 'empty').splitlines()[0][:100]}); run `optibench run --out "
                f"{self.folder}` to run that cell again."
            ) from error
        table = pa.concat_tables(tables, promote_options="default") if tables else schema().empty_table()
        del tables
        table = table.unify_dictionaries().combine_chunks().replace_schema_metadata({STAMP: stamp})
        # a read-only folder can be read, too
        with contextlib.suppress(OSError), replacing(self.folder / TRIALS) as part:
            pq.write_table(table, part, compression="zstd")
        return table.select([name for name in columns if name in table.column_names]) if columns else table

    def failed_trials(self, cells: Iterable[Cell]) -> int:
        """Number of trials of finished cells that were not evaluated, or whose tell failed."""
        from pyarrow import compute

        return int(compute.sum(failed_rows(self.trials(cells, ["state", "error"]))).as_py() or 0)

    def _compacted(self, *columns: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.folder / TRIALS) as file:
                return file.read(columns=list(columns) or None)
        except (pa.ArrowException, OSError) as error:
            raise HarnessError(
                f"{self.folder / TRIALS} is missing or damaged; fetch it again, or run the grid into another folder."
            ) from error

    def published(self) -> bool:
        """Whether :meth:`publish` wrote this folder: it has one table and no cells."""
        return (self.folder / TRIALS).exists() and not (self.folder / "cells").exists()

    def published_of(self, cells: Sequence[Cell]) -> int:
        """Number of a plan's cells that are in the published table."""
        table = self._compacted("optimizer", "task", "seed").to_pandas().drop_duplicates()
        found = set(zip(table["optimizer"], table["task"], table["seed"], strict=True))
        return sum((cell.optimizer, cell.task, cell.seed) in found for cell in cells)

    def publish(
        self, cells: Sequence[Cell], folder: Path, *, compact: bool = False, metrics: Sequence[str] = ()
    ) -> Store:
        """Write a finished grid as a small folder to commit or share: its table, plan and provenance.

        Args:
            cells: The cells of the plan.
            folder: A new folder.
            compact: Leave out configurations and times that no report shows; see
                :func:`optibench.cell.trials.compacted`.
            metrics: The metrics of ``info`` that a compact table keeps.

        Raises:
            HarnessError: The grid is not finished, a metric is in no trial, or the folder exists or cannot be written.
        """
        import pyarrow.parquet as pq

        missing = len({cell.key for cell in cells} - self.finished())
        if missing:
            raise HarnessError(
                f"{missing} cells of {self.folder} are not finished; run `optibench run --out {self.folder}`."
            )
        if folder.exists():
            raise HarnessError(f"{folder} exists; remove it or choose another folder.")
        table = self.trials(cells).replace_schema_metadata()
        table = compacted(table, metrics) if compact else table
        part = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        try:
            part.mkdir(parents=True)
            for name in (GRID, TASKS, "provenance.json", TRAINING, FINGERPRINTS):
                if (self.folder / name).exists():
                    shutil.copyfile(self.folder / name, part / name)
            pq.write_table(table, part / TRIALS, compression="zstd", compression_level=19)
            part.rename(folder)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise HarnessError(f"Cannot write {folder}: {error.strerror}; choose another folder.") from error
        return Store(folder)


def failed_rows(table: pa.Table) -> pa.ChunkedArray:
    """Which trials were not evaluated, or could not be told to their optimizer."""
    import pyarrow as pa
    from pyarrow import compute

    evaluated = compute.is_in(table.column("state").cast(pa.string()), pa.array(EVALUATED))
    return compute.or_(compute.invert(evaluated), table.column("error").is_valid())


def _foreign(folder: Path) -> list[str]:
    """Names in a folder without a grid that do not belong to a run folder."""
    found = (path.name for path in folder.iterdir())
    return sorted(name for name in found if name not in _OWN and not name.endswith(".tmp"))

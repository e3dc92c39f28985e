"""`optibench run`: plans the cells, runs the unfinished ones and stores the results."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optibench import external, threads
from optibench.cell import containment
from optibench.errors import HarnessError
from optibench.executors.base import CellRunner
from optibench.executors.registry import EXECUTORS
from optibench.files import write_atomically
from optibench.own import is_own, wire
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.runs.own import refuse_absent
from optibench.spec.grid import Grid, Settings, load, load_settings
from optibench.store import changed, continued, fingerprint, provenance
from optibench.store.run_folder import TRAINING, Store
from optiformer import cores


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        store: The run folder.
        finished, cells: Finished cells and all cells.
        stopped: Whether it was asked to stop before it was done.
        failed: Trials of finished cells that have no value, or whose tell failed.
    """

    store: Store
    finished: int
    cells: int
    stopped: bool
    failed: int = 0


def start(
    grid: str | Path | None = None, *, command: str = "Python", place: str = "The call", **options: Any
) -> Outcome:
    """Run a grid that is given by options, or resume the one in a folder if only ``out`` is given.

    Args:
        grid: A YAML file or the name of a shipped grid; options override it.
        command: The command line, for the provenance.
        place: Where the options were given, for error messages.
        options: As in a YAML file: ``seeds=5``, ``evaluation_limit="5m"``, ``jobs=2``.

    Raises:
        HarnessError, BenchmarkError, OptimizerError: Nothing was run, and the message says what to fix.
    """
    return run(*read_options(grid, options, place=place), command=command)


def read_options(grid: str | Path | None, options: Mapping[str, Any], *, place: str) -> tuple[Grid | None, Settings]:
    """The grid and settings of :func:`start`; the grid is ``None`` if the one in the folder is resumed.

    Raises:
        HarnessError: A value is wrong; the message says where it was given.
    """
    if grid is None and not (options.get("optimizers") or options.get("benchmarks") or options.get("extend")):
        return None, load_settings(options, place=place)
    return load(None if grid is None else str(grid), options, place=place, before=_planned)


def _planned(settings: Settings) -> Grid:
    """The grid of the folder to extend."""
    store = open_run(settings)
    if store.published():
        raise HarnessError(
            f"{store.folder} holds a published table, which cannot be extended: run the new cells into another folder "
            "and report both."
        )
    return store.plan().grid


def open_run(settings: Settings) -> Store:
    """Open the folder of an earlier run, and register the external programs that it names."""
    if settings.out is None:
        raise HarnessError(
            "Nothing to extend: give the --out of an earlier run."
            if settings.extend
            else "Nothing to run: give a grid (a YAML file, or -o and -b), or the --out of a run to resume."
        )
    store = Store.open(settings.out)
    store.refuse_imported()
    external.recall(store.folder, allowed=settings.allow_external)
    refuse_absent(store.folder, store.plan())
    return store


def run(grid: Grid | None, settings: Settings, *, command: str = "Python") -> Outcome:
    """Run a grid, or resume the one in ``settings.out`` if ``grid`` is ``None``.

    The caller's environment, signal handlers, working directory and random generators are restored at the end.

    Args:
        grid: The grid to run.
        settings: How to run it.
        command: The command line, for the provenance.

    Raises:
        HarnessError, BenchmarkError, OptimizerError: Nothing was run, and the message says what to fix.
    """
    with threads.limited(), containment.untouched():
        return _run(grid, settings, command)


def _run(grid: Grid | None, settings: Settings, command: str) -> Outcome:
    if grid is None:
        grid = open_run(settings).plan().grid
    if settings.executor == "serial":
        grid.limits.refuse_in_process()
    plan = Plan.of(grid)
    if settings.executor != "serial":
        refuse_unreachable(plan, settings.executor)
    if settings.executor == "dask":
        from optibench.executors.dask.connection import check

        check(str(settings.scheduler))
    now = fingerprint.current(plan)
    jobs = settings.jobs or (None if settings.executor == "dask" else cores.usable())
    with Store.claim(settings.out or Path("runs") / grid.name, plan, extend=settings.extend) as store:
        if store.published():
            return _published(store, list(store.plan().cells()))
        with _stop_on_signal() as stopping, _write_errors(store.folder):
            extended = _extend(store, plan) if settings.extend else None
            cells = list(store.plan().cells())  # as first planned: an earlier version had different keys
            external.record(store.folder, {one.name for one in plan.optimizers.values()}, plan.families)
            keys = {cell.key for cell in cells}
            store.set_aside_damaged(sorted(store.finished() & keys))
            settled = changed.settle(store, cells, now, settings.changed)
            retried = continued.retry_failed(store, cells) if settings.retry_failed else None
            finished = store.finished() & keys
            waiting = [cell for cell in cells if cell.key not in finished]
            if waiting:
                _train(store, plan)
            run = provenance.describe(settings.executor, jobs, command)
            said = {"changed": settled, "extended": extended, "retried": retried}
            said = {name: sentence for name, sentence in said.items() if sentence is not None}
            if waiting or said:
                provenance.record(store, run | said)
            if waiting:
                names = dataclasses.replace(now, parts={})  # workers do not need the parts
                runner = CellRunner(store.folder, plan.tasks, grid.limits, names, run["id"])
                more = {"scheduler": settings.scheduler, "packages": plan.versions}
                execute = functools.partial(EXECUTORS[settings.executor], **more if settings.executor == "dask" else {})
                _execute(cells, waiting, runner, execute, jobs, stopping)
            finished = store.finished() & keys
        failed = store.failed_trials(cells)
    return Outcome(store, len(finished), len(cells), stopped=len(finished) < len(cells), failed=failed)


def _extend(store: Store, plan: Plan) -> str | None:
    """Extend a folder by a new plan; returns and prints a sentence on what happens to its cells.

    Raises:
        HarnessError: The new plan conflicts with the folder's.
    """
    store.refuse_conflict(plan)
    sentence = continued.extend(store, store.plan().grown(plan))
    if sentence is not None:
        print(f"{store.folder}: {sentence}.", file=sys.stderr)
    return sentence


def _published(store: Store, cells: list[Cell]) -> Outcome:
    """The outcome of a folder that holds a published table.

    Raises:
        HarnessError: The table is incomplete, and without cells it cannot be resumed.
    """
    found = store.published_of(cells)
    if found < len(cells):
        raise HarnessError(
            f"{store.folder} holds a table of {found:,} of the grid's {len(cells):,} cells and no `cells` folder, so "
            "it cannot be resumed: run the grid into another folder."
        )
    return Outcome(store, found, len(cells), stopped=False, failed=store.failed_trials(cells))


def refuse_unreachable(plan: Plan, executor: str) -> None:
    """Reject optimizers and tasks that worker processes cannot import.

    Raises:
        HarnessError: One is defined where only this process can find it, as in a notebook.
    """
    import optibench_benchmarks
    import optibench_optimizers

    entries = [optibench_optimizers.parse(one.name)[0] for one in plan.optimizers.values()]
    families = [optibench_benchmarks.families()[prefix] for prefix in plan.families]
    found: list[tuple[str, Any, bool]] = [
        (f"Optimizer {one.name!r}", one, optibench_optimizers.is_installed(one.name)) for one in entries
    ]
    found += [
        (f"Benchmark family {one.prefix!r}", one, optibench_benchmarks.is_installed(one.prefix)) for one in families
    ]
    wire.refuse_unsent(entries, families, all_at_once=executor == "dask")
    for what, one, installed in found:
        if external.is_external(one) or is_own(one) or installed:
            continue
        if executor == "dask":
            raise HarnessError(
                f"{what} ({one.target}) is registered only in this process, and Dask's workers do not know it: give "
                "it an entry point and install it on the workers, or use another executor."
            )
        if not _importable(one.target.partition(":")[0]):
            raise HarnessError(
                f"{what} is {one.target}, which worker processes cannot import: move it into a module that is "
                "installed or on PYTHONPATH, or add --executor serial."
            )


def _importable(module: str) -> bool:
    if module == "__main__":  # worker processes import the script again; its `__main__` guard keeps it from running
        script = getattr(sys.modules["__main__"], "__file__", None)
        return script is not None and Path(script).is_file()
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _train(store: Store, plan: Plan) -> None:
    """Run the training phases that the grid's optimizers declare, once each, and store their costs."""
    import optibench_optimizers

    costs = {}
    for name, optimizer in plan.optimizers.items():
        if optimizer.training is not None:
            entry, _ = optibench_optimizers.parse(optimizer.name)
            training = entry.load().training(optimizer.settings)
            assert training is not None, "the same settings asked for training when the grid was planned"
            costs[name] = {"key": training.key, **training.run()}
    if costs:
        write_atomically(store.folder / TRAINING, json.dumps(costs, indent=1).encode())


def _execute(
    cells: list[Cell],
    waiting: list[Cell],
    runner: CellRunner,
    execute: Callable[..., None],
    jobs: int | None,
    stopping: Callable[[], bool],
) -> None:
    from optibench.runs.progress import ProgressBar

    # with a budget, the number of trials of a cell is known once it is finished
    known = cells[0].budget is None
    trials, left = (sum(cell.trials for cell in some) if known else 0 for some in (cells, waiting))
    done = {"done_trials": trials - left, "done_cells": len(cells) - len(waiting)}
    with ProgressBar(trials if known else None, len(cells), **done) as bar:
        execute(waiting, runner, bar.update, stopping, jobs)


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    """Turn write errors (a full disk, a missing folder) into an error for the user."""
    try:
        yield
    except OSError as error:
        raise HarnessError(
            f"Cannot write to {folder}: {error.strerror}; fix this, then rerun the same command to resume."
        ) from error


def status(store: Store) -> dict[str, Any]:
    """Numbers of a run folder's cells and trials, by optimizer."""
    store.refuse_imported()
    cells = list(store.plan().cells())
    finished = store.finished()
    running = store.running()
    by_optimizer: dict[str, dict[str, int]] = {}
    for cell in cells:
        counts = by_optimizer.setdefault(cell.optimizer, {"cells": 0, "finished": 0, "begun": 0, "trials": 0})
        counts["cells"] += 1
        if cell.key in finished:
            counts["finished"] += 1
            counts["trials"] += cell.trials if cell.budget is None else 0
        elif cell.key in running:
            counts["begun"] += 1
            counts["trials"] += running[cell.key]
    return {
        "folder": str(store.folder),
        "cells": len(cells),
        "finished": sum(counts["finished"] for counts in by_optimizer.values()),
        "trials": sum(counts["trials"] for counts in by_optimizer.values()),
        "trials_in_all": None if cells and cells[0].budget else sum(cell.trials for cell in cells),
        "optimizers": by_optimizer,
        "events": store.events(),
    }


@contextmanager
def _stop_on_signal() -> Iterator[Any]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; the second one kills. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def handle(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Executors: run cells one after another in this process, or on several worker processes.

A worker takes one cell at a time and writes its results itself; what goes through the pipe to the coordinator is only
progress. A worker that dies is replaced and its cell taken up from its journal, once; if the same cell kills a second
worker, the rest of its trials is recorded as failed. Both are written to the run's events.
"""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from harness import threads
from harness.cells import Cell
from harness.errors import HarnessError
from harness.store import Store
from harness.trials import Trial

PROGRESS_SECONDS = 0.2
"""How often a worker reports inside a cell."""
GRACE_SECONDS = 20.0
"""How long a worker may take to finish its trial when the run is stopped."""
MOST_DEATHS = 2
"""Workers that one cell may kill before the rest of its trials is given up."""


@dataclass
class Progress:
    """News from a running or finished cell."""

    trials: int = 0
    failed: int = 0
    cells: int = 0


Report = Callable[[Progress], None]


class CellRunner:
    """Runs cells of one store: replays the journal, appends to it, puts the result in place."""

    def __init__(self, folder: Path, tasks: Mapping[str, Any]) -> None:
        self.store = Store(folder)
        self.tasks = tasks

    def run(self, cell: Cell, report: Report, stopping: Callable[[], bool]) -> None:
        """Run one cell.

        Raises:
            Stopped: ``stopping`` said so; the journal holds what was finished.
        """
        from harness.run_cell import NotReproducibleError, run_cell

        journal = self.store.journal(cell)
        replay = journal.read()
        journal.open(replay)
        pending, last = Progress(trials=len(replay), failed=_failed(replay)), time.monotonic()

        def on_trial(trial: Trial) -> None:
            nonlocal pending, last
            journal.append(trial)
            pending.trials += 1
            pending.failed += trial.state != "ok"
            now = time.monotonic()
            if now - last > PROGRESS_SECONDS:
                report(pending)
                pending, last = Progress(), now

        try:
            try:
                trials = run_cell(cell, replay=replay, on_trial=on_trial, stopping=stopping)
            except NotReproducibleError as error:
                self.store.event("not reproducible, cell starts over", cell=cell.key, text=f"{cell.optimizer}: {error}")
                journal.close()
                journal.open([])
                report(Progress(trials=-len(replay), failed=-_failed(replay)))
                trials = run_cell(cell, on_trial=on_trial, stopping=stopping)
            self.store.finish(cell, trials, self.tasks[cell.task])
            pending.cells += 1
        finally:
            report(pending)
            journal.close()

    def give_up(self, cell: Cell, error: str) -> Progress:
        """Record the rest of a cell's trials as failed."""
        trials = self.store.journal(cell).read()
        failures = [_never_run(index, error) for index in range(len(trials), cell.trials)]
        self.store.finish(cell, [*trials, *failures], self.tasks[cell.task])
        return Progress(trials=len(failures), failed=len(failures), cells=1)


def _failed(trials: Iterable[Trial]) -> int:
    return sum(trial.state != "ok" for trial in trials)


def _never_run(index: int, error: str) -> Trial:
    nan = float("nan")
    return Trial(index, "search", None, None, nan, "failed", error, 0.0, 0.0, 0.0, 0.0, time.time())


def serial(cells: Iterable[Cell], runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int) -> None:
    """Run cells one after another in this process."""
    from harness.run_cell import Stopped

    for cell in cells:
        if stopping():
            return
        try:
            runner.run(cell, report, stopping)
        except Stopped:
            return


class _Worker:
    """A worker process, its pipe and its cells: the one it is busy with, then the next."""

    def __init__(self, context: Any, runner: CellRunner, stop: Any) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, runner, stop), daemon=True)
        self.process.start()
        theirs.close()
        self.cells: deque[Cell] = deque()

    def fill(self, waiting: deque[Cell], jobs: int) -> None:
        """Keep a cell at hand beside the one in work, so that the worker never waits for the coordinator.

        Not towards the end, where another worker may be free earlier.
        """
        while waiting and (not self.cells or (len(self.cells) < 2 and len(waiting) > jobs)):
            self.cells.append(waiting.popleft())
            self.connection.send(self.cells[-1])


def processes(
    cells: Iterable[Cell], runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int
) -> None:
    """Run cells on ``jobs`` worker processes."""
    threads.limit()
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["harness.run_cell", "pyarrow.parquet"])
    stop = context.Event()
    waiting, deaths = deque(cells), dict[str, int]()
    workers = [_Worker(context, runner, stop) for _ in range(min(jobs, len(waiting)))]
    deadline: float | None = None
    try:
        for worker in workers:
            worker.fill(waiting, jobs)
        while any(worker.cells for worker in workers):
            if deadline is None and stopping():
                stop.set()
                waiting.clear()
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                return
            busy = {worker.connection: worker for worker in workers if worker.cells}
            for ready in wait(list(busy), timeout=0.2):
                worker = busy[ready]
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    message = _Died()
                if isinstance(message, Progress):
                    report(message)
                    continue
                if isinstance(message, _Broken):
                    raise HarnessError(f"{message.text}; mend that and run the same command again to resume.")
                if isinstance(message, _Died):
                    worker.process.join()
                    if deadline is None:
                        _bury(worker, runner, report, waiting, deaths)
                        workers[workers.index(worker)] = worker = _Worker(context, runner, stop)
                    worker.cells.clear()
                else:
                    worker.cells.popleft()
                worker.fill(waiting, jobs)
    finally:
        for worker in workers:
            worker.connection.close()
            if worker.cells:
                worker.process.kill()
        for worker in workers:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.process.kill()


class _Died:
    """The worker is gone: its end of the pipe is closed."""


@dataclass
class _Broken:
    """The worker cannot go on: a full disk, a folder that vanished."""

    text: str


def _bury(worker: _Worker, runner: CellRunner, report: Report, waiting: deque[Cell], deaths: dict[str, int]) -> None:
    (cell, *rest), code = worker.cells, worker.process.exitcode
    waiting.extendleft(reversed(rest))
    cause = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"
    deaths[cell.key] = deaths.get(cell.key, 0) + 1
    where = f"{cell.optimizer} on {cell.task}, seed {cell.seed}"
    if runner.store.cell_path(cell.key).exists():  # it died after its work was done
        report(Progress(cells=1))
    elif deaths[cell.key] < MOST_DEATHS:
        runner.store.event("worker died, its cell is taken up again", cell=cell.key, text=f"{cause}: {where}")
        report(Progress(trials=-len(runner.store.journal(cell).read())))
        waiting.appendleft(cell)
    else:
        runner.store.event("worker died again, its cell is given up", cell=cell.key, text=f"{cause}: {where}")
        report(runner.give_up(cell, f"the worker died ({cause})"))


def _work(connection: Connection, runner: CellRunner, stop: Any) -> None:
    """A worker's life: cells until the coordinator closes the pipe."""
    from harness.run_cell import Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with_parent()
    parent = os.getppid()

    def stopping() -> bool:
        return stop.is_set() or os.getppid() != parent

    while True:
        try:
            cell = connection.recv()
        except (EOFError, OSError):
            return
        try:
            runner.run(cell, connection.send, stopping)
        except Stopped:
            pass
        except BrokenPipeError:
            return
        except Exception as error:  # not the objective's or the optimizer's, which are failed trials
            connection.send(_Broken(f"{type(error).__name__}: {error}"))
            return
        connection.send(None)


def _die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it is gone, even by kill -9 (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


EXECUTORS: dict[str, Callable[..., None]] = {"serial": serial, "processes": processes}

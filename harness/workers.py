"""Worker processes: each takes a cell at a time, and is killed and replaced where a limit or a crash wants it.

A worker that ends in the middle of a trial leaves a fault in its cell's journal (:class:`harness.journal.Fault`): the
trial is tried again as often as the grid allows, then it is failed or timed out, and the cell goes on either way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing as mp
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from harness import threads
from harness.cells import Cell
from harness.errors import HarnessError
from harness.executors import CellRunner, Progress, Report
from harness.journal import Fault
from harness.limits import POLL_SECONDS, Pulse, Watch

GRACE_SECONDS = 20.0
"""How long a worker may take to finish its trial when the run is stopped."""
MOST_BARREN = 10
"""Workers in a row that may die outside of any trial before the run ends with a sentence."""


class _Worker:
    """A worker process, its pipe and its cells: the one it is busy with, then the next."""

    def __init__(self, context: Any, runner: CellRunner, stop: Any) -> None:
        self.connection, theirs = context.Pipe()
        pulse = Pulse(context.RawArray("d", 4))
        self.process = context.Process(target=_work, args=(theirs, runner, stop, pulse), daemon=True)
        self.process.start()
        theirs.close()
        self.cells: deque[Cell] = deque()
        self.watch = Watch(pulse, self.process.pid)
        self.sentence: Fault | None = None
        """The limit it was killed for."""
        self.told = Progress()
        """What it reported of the cell it is busy with."""

    def fill(self, waiting: deque[Cell], jobs: int) -> None:
        """Keep a cell at hand beside the one in work, so that the worker never waits for the coordinator.

        Not towards the end, where another worker may be free earlier.
        """
        while waiting and (not self.cells or (len(self.cells) < 2 and len(waiting) > jobs)):
            self.cells.append(waiting.popleft())
            with contextlib.suppress(OSError):  # it is gone; the pipe's other end will say so
                self.connection.send(self.cells[-1])

    def kill(self) -> None:
        """End it, whatever it does, and the processes that it started."""
        pid = self.process.pid
        with contextlib.suppress(ProcessLookupError, PermissionError):  # its own group, or none yet
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


class Crew:
    """The workers of a run and what is left for them to do.

    Args:
        runner: Runs a cell, in a worker.
        report: Called with news for the progress bar.
        stopping: Whether the run is to stop.
        jobs: Most workers at a time.
    """

    def __init__(self, runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int) -> None:
        threads.limit()
        self._runner, self._report, self._stopping, self._jobs = runner, report, stopping, jobs
        self._context: Any = mp.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.mortal", "harness.run_cell", "pyarrow"])
        self._stop = self._context.Event()
        self._waiting: deque[Cell] = deque()
        self._workers: list[_Worker] = []
        self._barren = 0
        self._looked = 0.0
        self._limited = bool(runner.limits.changed())

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self._dismiss()

    def run(self, cells: Iterable[Cell]) -> None:
        """Run cells; the workers stay for the next ones.

        Raises:
            HarnessError: A worker cannot go on, as on a full disk, or none can even begin.
        """
        self._waiting.extend(cells)
        deadline: float | None = None
        while len(self._workers) < min(self._jobs, len(self._waiting)):
            self._workers.append(self._hire())
        for worker in self._workers:
            worker.fill(self._waiting, self._jobs)
        while any(worker.cells for worker in self._workers):
            if deadline is None and self._stopping():
                self._stop.set()
                self._waiting.clear()
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                return
            self._enforce()
            busy = {worker.connection: worker for worker in self._workers if worker.cells}
            for ready in wait(list(busy), timeout=POLL_SECONDS if self._limited else 0.2):
                self._hear(busy[ready], replace=deadline is None)

    def _hire(self) -> _Worker:
        for _ in range(MOST_BARREN):
            with contextlib.suppress(
                EOFError, ConnectionError
            ):  # the fork server was killed just then: a new one starts
                return _Worker(self._context, self._runner, self._stop)
        raise HarnessError("No worker process can be started: see `optibench doctor`, and run the same command again.")

    def _enforce(self) -> None:
        """Kill the workers that are over a limit."""
        now = time.monotonic()
        if not self._limited or now - self._looked < POLL_SECONDS:
            return
        self._looked = now
        for worker in self._workers:
            if worker.cells and worker.sentence is None:
                worker.sentence = worker.watch.over(self._runner.limits)
                if worker.sentence is not None:
                    worker.kill()  # and the pipe's end will say so

    def _hear(self, worker: _Worker, *, replace: bool) -> None:
        """Take in a message of a worker, or its end."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.kill()  # what it started, if it is gone itself
            worker.process.join()
            cells, worker.cells = worker.cells, deque()
            worker.connection.close()
            if replace:
                self._bury(worker, cells)
                self._workers[self._workers.index(worker)] = self._hire()
                for idle in self._workers:  # its cells are anybody's
                    idle.fill(self._waiting, self._jobs)
            return
        if isinstance(message, _Broken):
            raise HarnessError(f"{message.text}; mend that and run the same command again to resume.")
        self._barren = 0
        if isinstance(message, Progress):
            worker.told.trials += message.trials
            worker.told.failed += message.failed
            worker.told.cells += message.cells
            self._report(message)
        else:  # done with its cell
            worker.cells.popleft()
            worker.told = Progress()
            worker.fill(self._waiting, self._jobs)

    def _bury(self, worker: _Worker, cells: deque[Cell]) -> None:
        """Record what a worker died of, and have its cells taken up again."""
        cell = cells[0]
        if self._runner.store.cells.path(cell.key).exists():  # it died after its work was done
            trials = cell.trials - worker.told.trials if cell.budget is None else 0
            self._report(Progress(trials=trials, cells=1 - worker.told.cells))
            cells.popleft()
        else:
            self._report(Progress(trials=-worker.told.trials, failed=-worker.told.failed))
            self._blame(worker, cell)
        self._waiting.extendleft(reversed(cells))

    def _blame(self, worker: _Worker, cell: Cell) -> None:
        """Add a fault to the journal of the cell that a worker died in."""
        step, at = worker.watch.now()
        cause = _cause(worker.process.exitcode)
        journal = self._runner.store.journal(cell)
        try:
            past = journal.open()
            trial = len(past.trials)
            through = at != trial and step not in ("set-up", "replay")
            if step in ("idle", "finish") or through or (worker.sentence and worker.sentence.trial != at):
                self._between(cause, cell)  # it got through the trial that took too long, or was in none
                return
            fault = worker.sentence or Fault(trial, step, "failed", f"{step}: the worker died ({cause})", 0.0)
            fault = dataclasses.replace(fault, trial=trial)
            # those on the way to a trial count apart: a stray kill there is no reason to give the whole cell up
            retry = fault.state != "timeout" and past.like(fault) < self._runner.limits.retries
            fault = dataclasses.replace(fault, retry=retry)
            journal.append(fault)
        finally:
            journal.close()
        event = "worker stopped at a limit" if worker.sentence else "worker died"
        what = "its trial is tried again" if retry else f"its trial is recorded as {fault.state}"
        where = f"{cell.optimizer} on {cell.task}, seed {cell.seed}, trial {trial}"
        self._runner.store.event(f"{event}, {what}", cell=cell.key, text=f"{fault.error}: {where}")

    def _between(self, cause: str, cell: Cell) -> None:
        """A worker died and no trial is to blame; that may not go on for ever."""
        self._barren += 1
        if self._barren >= MOST_BARREN:
            raise HarnessError(
                f"{self._barren} workers in a row died outside of any trial ({cause}), the last one with "
                f"{cell.optimizer} on {cell.task}; see whether `optibench doctor` and memory are well, and run the "
                "same command again to resume."
            )
        event = "worker died between two trials, its cell is taken up again"
        self._runner.store.event(event, cell=cell.key, text=cause)

    def _dismiss(self) -> None:
        for worker in self._workers:
            busy = bool(worker.cells)
            worker.connection.close()
            if busy:
                worker.kill()
        for worker in self._workers:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.kill()


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"


@dataclass
class _Broken:
    """The worker cannot go on: a full disk, a folder that vanished."""

    text: str


def _work(connection: Connection, runner: CellRunner, stop: Any, pulse: Pulse) -> None:
    """A worker's life: cells until the coordinator closes the pipe."""
    from harness import mortal
    from harness.run_cell import Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    mortal.die_with_parent()
    os.setpgid(0, 0)  # what a benchmark or optimizer starts is killed with its worker
    parent = os.getppid()

    def stopping() -> bool:
        return stop.is_set() or os.getppid() != parent

    while True:
        try:
            cell = connection.recv()
        except (EOFError, OSError):
            return
        try:
            runner.run(cell, connection.send, stopping, pulse)
        except Stopped:
            pass
        except BrokenPipeError:
            return
        except Exception as error:  # not the objective's or the optimizer's, which are failed trials
            connection.send(_Broken(f"{type(error).__name__}: {error}"))
            return
        pulse("idle")
        connection.send(None)

"""Worker processes: each takes a cell at a time, and is killed and replaced where a limit or a crash wants it.

A worker that ends in the middle of a trial leaves a fault in its cell's journal
(:class:`optibench.cell.journal.Fault`): the trial is tried again as often as the grid allows, then it is failed or
timed out, and the cell goes on either way.

Each worker has a guardian (:mod:`optibench.executors.guardian`), which ends when the worker has ended and all that it
started is killed. That end is what the coordinator waits for: a pipe's end may never come, for whoever the worker
forked holds it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing as mp
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import spawn
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from optibench.cell.heartbeat import Heartbeat
from optibench.cell.journal import Fault
from optibench.errors import HarnessError
from optibench.executors.base import CellRunner, Progress, Report
from optibench.executors.guardian import Ward, guard
from optibench.executors.watchdog import POLL_SECONDS, Watch
from optibench.plan.cells import Cell
from optibench.spec.limits import Limits

GRACE_SECONDS = 20.0
"""How long a worker may take to finish its trial when the run is stopped."""
MAX_IDLE_EXITS = 10
"""Workers in a row that may die outside of any trial before the run ends with a sentence."""


class _Worker:
    """A worker process, its guardian and pipe, and its cells: the one it is busy with, then the next."""

    def __init__(self, context: Any, runner: CellRunner, stop: Any, scratch: Path) -> None:
        self.connection, theirs = context.Pipe()
        heartbeat, self.ward = Heartbeat(context.RawArray("d", 4)), Ward(context.RawArray("i", 2))
        arguments = (self.ward.values, theirs, runner, stop, heartbeat, scratch)
        self.guardian = context.Process(target=_guard, args=arguments, daemon=True)
        self.guardian.start()
        theirs.close()
        self.cells: deque[Cell] = deque()
        self.watch = Watch(heartbeat, self.ward)
        self.limit_fault: Fault | None = None
        """The limit it was killed for."""
        self.told = Progress()
        """What it reported of the cell it is busy with."""
        self.silent = False
        """Whether its end of the pipe is closed: its guardian's end follows."""

    def fill(self, waiting: deque[Cell], jobs: int) -> None:
        """Keep a cell at hand beside the one in work, so that the worker never waits for the coordinator.

        Not towards the end, where another worker may be free earlier.
        """
        while waiting and (not self.cells or (len(self.cells) < 2 and len(waiting) > jobs)):
            self.cells.append(waiting.popleft())
            with contextlib.suppress(OSError):  # it is gone, and its guardian's end says so
                self.connection.send(self.cells[-1])

    def handles(self) -> list[Any]:
        """What to wait for: its messages, and its guardian's end."""
        return [self.guardian.sentinel] if self.silent else [self.connection, self.guardian.sentinel]

    def kill(self) -> None:
        """End it, whatever it does, and the processes that it started."""
        self.guardian.terminate()

    def last_messages(self) -> list[Any]:
        """What it sent and nobody has read; for one that has ended. Never waits for the rest of a message."""
        os.set_blocking(self.connection.fileno(), False)
        found = []
        with contextlib.suppress(EOFError, OSError):
            while not self.silent:
                found.append(self.connection.recv())
        return found

    def bury(self) -> None:
        """Let go of what has ended."""
        self.guardian.join()
        if self.ward.exit_code is None:  # the guardian itself was killed
            self.ward.kill_group()
        self.connection.close()

    @property
    def exit_code(self) -> int | None:
        code = self.ward.exit_code
        return self.guardian.exitcode if code is None else code


class WorkerPool:
    """The workers of a run and what is left for them to do.

    Args:
        runner: Runs a cell, in a worker.
        report: Called with news for the progress bar.
        stopping: Whether the run is to stop.
        jobs: Most workers at a time.
    """

    def __init__(self, runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int) -> None:
        self._runner, self._report, self._stopping, self._jobs = runner, report, stopping, jobs
        self._context: Any = mp.get_context("forkserver")
        preloaded = ["optibench.executors.parent_death", "optibench.cell.run", "pyarrow"]
        self._context.set_forkserver_preload([*preloaded, "click"])  # which the main module of each worker imports
        self._stop = self._context.RawValue("b", 0)  # without a lock, which a worker could die with
        self._waiting: deque[Cell] = deque()
        self._workers: list[_Worker] = []
        self._idle_exits = 0
        self._looked = 0.0
        self._limited = runner.limits != Limits()
        self._scratch = tempfile.TemporaryDirectory(prefix="optibench-", ignore_cleanup_errors=True)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self._shut_down()
        self._scratch.cleanup()

    def run(self, cells: Iterable[Cell]) -> None:
        """Run cells; the workers stay for the next ones.

        Raises:
            HarnessError: A worker cannot go on, as on a full disk, or none can even begin.
        """
        self._waiting.extend(cells)
        deadline: float | None = None
        while len(self._workers) < min(self._jobs, len(self._waiting)):
            self._workers.append(self._start_worker())
        for worker in self._workers:
            worker.fill(self._waiting, self._jobs)
        while any(worker.cells for worker in self._workers):
            if deadline is None and self._stopping():
                self._stop.value = 1
                self._waiting.clear()
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                return
            self._enforce()
            busy = {handle: worker for worker in self._workers if worker.cells for handle in worker.handles()}
            ready = wait(list(busy), timeout=POLL_SECONDS if self._limited else 0.2)
            for worker in dict.fromkeys(busy[handle] for handle in ready):
                if worker.guardian.sentinel in ready:
                    self._end(worker, replace=deadline is None)
                else:
                    self._receive(worker)

    def _start_worker(self) -> _Worker:
        for _ in range(MAX_IDLE_EXITS):
            # the fork server may be killed just then: a new one starts
            with contextlib.suppress(EOFError, ConnectionError), _script_left_alone(not self._runner.needs_script):
                return _Worker(self._context, self._runner, self._stop, Path(self._scratch.name))
        raise HarnessError("No worker process can be started: see `optibench doctor`, and run the same command again.")

    def _enforce(self) -> None:
        """Kill the workers that are over a limit."""
        now = time.monotonic()
        if not self._limited or now - self._looked < POLL_SECONDS:
            return
        self._looked = now
        for worker in self._workers:
            if worker.cells and worker.limit_fault is None and worker.ward.exit_code is None:
                worker.limit_fault = worker.watch.limit_exceeded(self._runner.limits)
                if worker.limit_fault is not None:
                    worker.kill()  # and the pipe's end will say so

    def _receive(self, worker: _Worker) -> None:
        """Take in a message of a worker."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.silent = True
            worker.kill()
            return
        self._take(worker, message)

    def _take(self, worker: _Worker, message: Any) -> None:
        if isinstance(message, _Broken):
            raise HarnessError(f"{message.text}; fix that, then rerun the same command to resume.")
        self._idle_exits = 0
        if isinstance(message, Progress):
            worker.told.trials += message.trials
            worker.told.failed += message.failed
            worker.told.cells += message.cells
            self._report(message)
        else:  # done with its cell
            worker.cells.popleft()
            worker.told = Progress()
            worker.fill(self._waiting, self._jobs)

    def _end(self, worker: _Worker, *, replace: bool) -> None:
        """Take in the last messages of a worker that has ended, and put another one in its place."""
        for message in worker.last_messages():
            self._take(worker, message)
        worker.bury()
        cells, worker.cells = worker.cells, deque()
        if not replace:
            return
        if cells:
            self._on_exit(worker, cells)
        self._workers[self._workers.index(worker)] = self._start_worker()
        for idle in self._workers:  # any of them may take the cells
            idle.fill(self._waiting, self._jobs)

    def _on_exit(self, worker: _Worker, cells: deque[Cell]) -> None:
        """Record what a worker died of, and have its cells taken up again."""
        cell = cells[0]
        if self._runner.store.cells.path(cell.key).exists():  # it died after its work was done
            trials = cell.trials - worker.told.trials if cell.budget is None else 0
            self._report(Progress(trials=trials, cells=1 - worker.told.cells))
            cells.popleft()
        else:
            self._report(Progress(trials=-worker.told.trials, failed=-worker.told.failed))
            self._record_fault(worker, cell)
        self._waiting.extendleft(reversed(cells))

    def _record_fault(self, worker: _Worker, cell: Cell) -> None:
        """Add a fault to the journal of the cell that a worker died in."""
        step, at = worker.watch.now()
        cause = _cause(worker.exit_code)
        journal = self._runner.store.journal(cell)
        try:
            past = journal.open()
            trial = len(past.trials)
            through = at != trial and step not in ("set-up", "replay")
            if step in ("idle", "finish") or through or (worker.limit_fault and worker.limit_fault.trial != at):
                self._record_idle_exit(cause, cell)  # it got through the trial that took too long, or was in none
                return
            fault = worker.limit_fault or Fault(trial, step, "failed", f"{step}: the worker died ({cause})", 0.0)
            fault = dataclasses.replace(fault, trial=trial)
            # those on the way to a trial count apart: a stray kill there is no reason to give the whole cell up
            retry = fault.state != "timeout" and past.like(fault) < self._runner.limits.retries
            fault = dataclasses.replace(fault, retry=retry)
            journal.append(fault)
        finally:
            journal.close()
        event = "worker stopped at a limit" if worker.limit_fault else "worker died"
        what = "its trial is tried again" if retry else f"its trial is recorded as {fault.state}"
        where = f"{cell.optimizer} on {cell.task}, seed {cell.seed}, trial {trial}"
        self._runner.store.event(f"{event}, {what}", cell=cell.key, text=f"{fault.error}: {where}")

    def _record_idle_exit(self, cause: str, cell: Cell) -> None:
        """A worker died and no trial is to blame; that may not go on for ever."""
        self._idle_exits += 1
        if self._idle_exits >= MAX_IDLE_EXITS:
            raise HarnessError(
                f"{self._idle_exits} workers in a row died outside of any trial ({cause}), the last one with "
                f"{cell.optimizer} on {cell.task}; see whether `optibench doctor` and memory are well, and run the "
                "same command again to resume."
            )
        event = "worker died between two trials, its cell is taken up again"
        self._runner.store.event(event, cell=cell.key, text=cause)

    def _shut_down(self) -> None:
        """End all workers: idle ones by the end of their pipe."""
        for worker in self._workers:
            busy = bool(worker.cells)
            worker.connection.close()
            if busy:
                worker.kill()
        for end in (_Worker.kill, lambda worker: worker.guardian.kill()):
            for worker in self._workers:
                worker.guardian.join(timeout=5)
                if worker.guardian.is_alive():
                    end(worker)
        for worker in self._workers:
            if worker.ward.exit_code is None:
                worker.ward.kill_group()


_starting = threading.Lock()


@contextlib.contextmanager
def _script_left_alone(wanted: bool) -> Iterator[None]:
    """Start processes that do not import the running script again, which then needs no guard around its own run."""
    with _starting:
        before = spawn.get_preparation_data
        if wanted:
            spawn.get_preparation_data = lambda name: {
                key: value for key, value in before(name).items() if not key.startswith("init_main")
            }
        try:
            yield
        finally:
            spawn.get_preparation_data = before


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"


@dataclass
class _Broken:
    """The worker cannot go on: a full disk, a folder that vanished."""

    text: str


def _guard(
    values: Any, connection: Connection, runner: CellRunner, stop: Any, heartbeat: Heartbeat, scratch: Path
) -> None:
    work = functools.partial(_work, connection, runner, stop, heartbeat, scratch)
    guard(values, work, connection.close, scratch)


def _work(connection: Connection, runner: CellRunner, stop: Any, heartbeat: Heartbeat, scratch: Path) -> None:
    """A worker's life: cells until the coordinator closes the pipe."""
    from optibench.cell.run import Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    mp.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # an objective may start processes
    parent = os.getppid()

    def stopping() -> bool:
        return bool(stop.value) or os.getppid() != parent

    while True:
        try:
            cell = connection.recv()
        except (EOFError, OSError):
            return
        try:
            runner.run(cell, connection.send, stopping, heartbeat, scratch=scratch / str(os.getpid()))
        except Stopped:
            pass
        except BrokenPipeError:
            return
        except Exception as error:  # not the objective's or the optimizer's, which are failed trials
            text = f"{type(error).__name__}: {error} ({cell.optimizer} on {cell.task}, seed {cell.seed})"
            connection.send(_Broken(text))
            return
        heartbeat("idle")
        connection.send(None)

"""The pool of worker processes: each runs one cell at a time and is replaced after a crash or an exceeded limit.

If a worker ends in the middle of a trial, the pool adds a fault to the cell's journal
(:class:`optibench.cell.journal.Fault`). The trial is retried as often as the grid allows, then recorded as failed or
timed out. The cell continues in both cases.

Each worker has a guardian (:mod:`optibench.executors.guardian`), which ends once the worker has ended and everything
that it started is killed. The coordinator waits for the guardian's end, not for the end of the worker's pipe: a process
that the worker forked may keep the pipe open for ever.
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
from optibench.executors.guardian import WorkerState, guard
from optibench.executors.watchdog import POLL_SECONDS, Watchdog
from optibench.plan.cells import Cell
from optibench.spec.limits import Limits

GRACE_SECONDS = 20.0
"""How long workers may take to finish their trials when the run is stopped."""
MAX_IDLE_EXITS = 10
"""Workers in a row that may die outside a trial before the run ends with an error."""


class _Worker:
    """A worker process with its guardian, its pipe and its cells: the running one first, then the next."""

    def __init__(self, context: Any, runner: CellRunner, stop: Any, scratch: Path) -> None:
        self.connection, theirs = context.Pipe()
        heartbeat, self.state = Heartbeat(context.RawArray("d", 4)), WorkerState(context.RawArray("i", 2))
        arguments = (self.state.values, theirs, runner, stop, heartbeat, scratch)
        self.guardian = context.Process(target=_guard, args=arguments, daemon=True)
        self.guardian.start()
        theirs.close()
        self.cells: deque[Cell] = deque()
        self.watchdog = Watchdog(heartbeat, self.state)
        self.limit_fault: Fault | None = None
        """The exceeded limit for which it was killed."""
        self.reported = Progress()
        """What it reported of its running cell."""
        self.pipe_closed = False
        """Whether the worker closed its end of the pipe; the guardian ends soon after."""

    def fill(self, waiting: deque[Cell], jobs: int) -> None:
        """Queue one cell behind the running one, so that the worker never waits for the coordinator.

        Near the end of the run no cell is queued, since another worker may become free earlier.
        """
        while waiting and (not self.cells or (len(self.cells) < 2 and len(waiting) > jobs)):
            self.cells.append(waiting.popleft())
            with contextlib.suppress(OSError):  # the worker has ended: the guardian's end is handled
                self.connection.send(self.cells[-1])

    def handles(self) -> list[Any]:
        """What to wait for: the worker's messages and the guardian's end."""
        return [self.guardian.sentinel] if self.pipe_closed else [self.connection, self.guardian.sentinel]

    def kill(self) -> None:
        """Kill the worker and every process that it started."""
        self.guardian.terminate()

    def unread_messages(self) -> list[Any]:
        """The messages of an ended worker that were not read yet. Never waits for the rest of a message."""
        os.set_blocking(self.connection.fileno(), False)
        found = []
        with contextlib.suppress(EOFError, OSError):
            while not self.pipe_closed:
                found.append(self.connection.recv())
        return found

    def release(self) -> None:
        """Free the resources of an ended worker."""
        self.guardian.join()
        if self.state.exit_code is None:  # the guardian itself was killed
            self.state.kill_group()
        self.connection.close()

    @property
    def exit_code(self) -> int | None:
        code = self.state.exit_code
        return self.guardian.exitcode if code is None else code


class WorkerPool:
    """The workers of a run and the cells that are not finished.

    Args:
        runner: Runs a cell, in a worker.
        report: Called with progress.
        stopping: Returns true when the run is to stop.
        jobs: Maximum number of workers.
    """

    def __init__(self, runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int) -> None:
        self._runner, self._report, self._stopping, self._jobs = runner, report, stopping, jobs
        self._context: Any = mp.get_context("forkserver")
        preloaded = ["optibench.executors.parent_death", "optibench.cell.run", "pyarrow"]
        self._context.set_forkserver_preload([*preloaded, "click"])  # the main module of each worker imports it
        self._stop = self._context.RawValue("b", 0)  # no lock: a worker could die while holding it
        self._waiting: deque[Cell] = deque()
        self._workers: list[_Worker] = []
        self._idle_exits = 0
        self._last_check = 0.0
        self._limited = runner.limits != Limits()
        self._scratch = tempfile.TemporaryDirectory(prefix="optibench-", ignore_cleanup_errors=True)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self._shut_down()
        self._scratch.cleanup()

    def run(self, cells: Iterable[Cell]) -> None:
        """Run cells; the workers stay for the next call.

        Raises:
            HarnessError: A worker cannot continue, for example because the disk is full, or none can be started.
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
            self._enforce_limits()
            busy = {handle: worker for worker in self._workers if worker.cells for handle in worker.handles()}
            ready = wait(list(busy), timeout=POLL_SECONDS if self._limited else 0.2)
            for worker in dict.fromkeys(busy[handle] for handle in ready):
                if worker.guardian.sentinel in ready:
                    self._on_end(worker, replace=deadline is None)
                else:
                    self._receive(worker)

    def _start_worker(self) -> _Worker:
        for _ in range(MAX_IDLE_EXITS):
            # the fork server may be killed at this moment: then a new one starts
            with contextlib.suppress(EOFError, ConnectionError), _without_script_import(not self._runner.needs_script):
                return _Worker(self._context, self._runner, self._stop, Path(self._scratch.name))
        raise HarnessError("Cannot start a worker process; run `optibench doctor`, then rerun the same command.")

    def _enforce_limits(self) -> None:
        """Kill the workers that exceed a limit."""
        now = time.monotonic()
        if not self._limited or now - self._last_check < POLL_SECONDS:
            return
        self._last_check = now
        for worker in self._workers:
            if worker.cells and worker.limit_fault is None and worker.state.exit_code is None:
                worker.limit_fault = worker.watchdog.limit_exceeded(self._runner.limits)
                if worker.limit_fault is not None:
                    worker.kill()  # its end is handled when the pipe closes

    def _receive(self, worker: _Worker) -> None:
        """Read and handle a worker's message."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.pipe_closed = True
            worker.kill()
            return
        self._handle(worker, message)

    def _handle(self, worker: _Worker, message: Any) -> None:
        if isinstance(message, _CannotContinue):
            raise HarnessError(f"{message.text}; fix this, then rerun the same command to resume.")
        self._idle_exits = 0
        if isinstance(message, Progress):
            worker.reported.trials += message.trials
            worker.reported.failed += message.failed
            worker.reported.cells += message.cells
            self._report(message)
        else:  # its cell is finished
            worker.cells.popleft()
            worker.reported = Progress()
            worker.fill(self._waiting, self._jobs)

    def _on_end(self, worker: _Worker, *, replace: bool) -> None:
        """Handle the unread messages of an ended worker and replace it."""
        for message in worker.unread_messages():
            self._handle(worker, message)
        worker.release()
        cells, worker.cells = worker.cells, deque()
        if not replace:
            return
        if cells:
            self._on_exit(worker, cells)
        self._workers[self._workers.index(worker)] = self._start_worker()
        for idle in self._workers:  # any of them may take the cells
            idle.fill(self._waiting, self._jobs)

    def _on_exit(self, worker: _Worker, cells: deque[Cell]) -> None:
        """Record why a worker died, and put its cells back into the queue."""
        cell = cells[0]
        if self._runner.store.cells.path(cell.key).exists():  # it died after it had stored the result
            trials = cell.trials - worker.reported.trials if cell.budget is None else 0
            self._report(Progress(trials=trials, cells=1 - worker.reported.cells))
            cells.popleft()
        else:
            self._report(Progress(trials=-worker.reported.trials, failed=-worker.reported.failed))
            self._record_fault(worker, cell)
        self._waiting.extendleft(reversed(cells))

    def _record_fault(self, worker: _Worker, cell: Cell) -> None:
        """Add a fault to the journal of the cell during which a worker died."""
        step, at = worker.watchdog.now()
        cause = _cause(worker.exit_code)
        journal = self._runner.store.journal(cell)
        try:
            past = journal.open()
            trial = len(past.trials)
            through = at != trial and step not in ("set-up", "replay")
            if step in ("idle", "finish") or through or (worker.limit_fault and worker.limit_fault.trial != at):
                self._record_idle_exit(cause, cell)  # it finished the slow trial in time, or was in no trial
                return
            fault = worker.limit_fault or Fault(trial, step, "failed", f"{step}: the worker died ({cause})", 0.0)
            fault = dataclasses.replace(fault, trial=trial)
            # faults before the trial are counted separately: one stray kill there must not end the whole cell
            retry = fault.state != "timeout" and past.similar_faults(fault) < self._runner.limits.retries
            fault = dataclasses.replace(fault, retry=retry)
            journal.append(fault)
        finally:
            journal.close()
        event = "worker stopped at a limit" if worker.limit_fault else "worker died"
        what = "its trial is tried again" if retry else f"its trial is recorded as {fault.state}"
        where = f"{cell.optimizer} on {cell.task}, seed {cell.seed}, trial {trial}"
        self._runner.store.event(f"{event}, {what}", cell=cell.key, text=f"{fault.error}: {where}")

    def _record_idle_exit(self, cause: str, cell: Cell) -> None:
        """Count a worker's death outside a trial; too many in a row end the run."""
        self._idle_exits += 1
        if self._idle_exits >= MAX_IDLE_EXITS:
            raise HarnessError(
                f"{self._idle_exits} workers in a row died outside a trial ({cause}), the last one with "
                f"{cell.optimizer} on {cell.task}; run `optibench doctor` and check the free memory, then rerun the "
                "same command to resume."
            )
        event = "worker died between two trials, its cell is taken up again"
        self._runner.store.event(event, cell=cell.key, text=cause)

    def _shut_down(self) -> None:
        """End all workers: close the pipe of idle ones, kill the others."""
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
            if worker.state.exit_code is None:
                worker.state.kill_group()


_starting = threading.Lock()


@contextlib.contextmanager
def _without_script_import(wanted: bool) -> Iterator[None]:
    """If ``wanted``, start processes without importing the running script again, so it needs no ``__main__`` guard."""
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
class _CannotContinue:
    """The worker cannot continue, for example because of a full disk or a missing folder."""

    text: str


def _guard(
    values: Any, connection: Connection, runner: CellRunner, stop: Any, heartbeat: Heartbeat, scratch: Path
) -> None:
    work = functools.partial(_work, connection, runner, stop, heartbeat, scratch)
    guard(values, work, connection.close, scratch)


def _work(connection: Connection, runner: CellRunner, stop: Any, heartbeat: Heartbeat, scratch: Path) -> None:
    """Run cells in the worker until the coordinator closes the pipe."""
    from optibench.cell.run import Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the coordinator handles it
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
        except Exception as error:  # errors of objectives and optimizers are failed trials and do not get here
            text = f"{type(error).__name__}: {error} ({cell.optimizer} on {cell.task}, seed {cell.seed})"
            connection.send(_CannotContinue(text))
            return
        heartbeat("idle")
        connection.send(None)

"""The coordinator of a run on Dask: submits cells, writes their results, and survives lost workers and schedulers.

Workers send the journals of their cells while these grow, so that a cell whose worker is lost continues from its last
trials on another worker. The complete journal is the result of the Dask task. Only the coordinator writes to the run
folder.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from optibench.cell.journal import parse
from optibench.errors import HarnessError
from optibench.executors.base import CellRunner, Progress, Report
from optibench.executors.dask.connection import SchedulerLost, connect, scheduler_errors
from optibench.executors.dask.fingerprint import PICKLED_BY, fingerprint
from optibench.executors.dask.mailbox import Mailbox
from optibench.executors.dask.task import run_remotely
from optibench.files import replacing
from optibench.own import wire
from optibench.plan.cells import Cell

POLL_SECONDS = 0.2
SCHEDULER_POLL_SECONDS = 1.0
"""How often the coordinator asks the scheduler for its workers."""
RETURN_SECONDS = 600.0
"""How long to wait for a lost scheduler."""
SILENCE_SECONDS = 30.0
"""A message is printed after this time without any worker."""
DRAIN_SECONDS = 5.0
"""How long to wait for the last trials of running cells when the run is stopped."""
MAX_LOST_WORKERS = 5
"""Workers that a cell may lose in a row without a new trial."""


@dataclass
class _InFlight:
    """A submitted cell."""

    cell: Cell
    attempt: str
    future: Any = None
    worker: str | None = None
    """The address of the worker that runs it; ``None`` before it starts."""


class Coordinator:
    """Runs cells on a Dask scheduler's workers.

    Args:
        runner: Results go to its store.
        report: Called with progress.
        stopping: Returns true when the run is to stop.
        jobs: Maximum number of concurrent cells; ``None``: the number of the workers' threads.
        scheduler: The scheduler's address, or the JSON file that it writes.
        packages: The distributions that decide what a cell computes, with their versions here.

    Raises:
        HarnessError: There is no scheduler.
    """

    def __init__(
        self,
        runner: CellRunner,
        report: Report,
        stopping: Callable[[], bool],
        jobs: int | None,
        scheduler: str,
        packages: Mapping[str, str],
    ) -> None:
        self._runner, self._report, self._stopping, self._jobs = runner, report, stopping, jobs
        self._scheduler = scheduler
        self._topic = f"optibench-{uuid.uuid4().hex[:12]}"
        own = wire.plain(runner.entries, runner.families)
        self._shared = {
            "topic": self._topic,
            "fingerprint": fingerprint({**packages, **(dict.fromkeys(PICKLED_BY, "") if own else {})}),
            "setup": {
                "run": self._topic,
                "run_id": runner.run_id,
                "limits": msgspec.to_builtins(runner.limits),
                "external": [external.plain() for external in runner.external],
                "own": own,
                "fingerprints": {
                    "optimizers": runner.fingerprints.optimizers if runner.fingerprints else {},
                    "tasks": runner.fingerprints.tasks if runner.fingerprints else {},
                },
                "data_versions": {name: task.data_version for name, task in runner.tasks.items()},
            },
        }
        self._waiting: deque[Cell] = deque()
        self._in_flight: dict[str, _InFlight] = {}
        self._reported: dict[str, Progress] = {}
        self._lines: dict[str, int] = {}
        self._lost: Counter[str] = Counter()
        self._news = Mailbox()
        self._threads: dict[str, int] = {}
        self._last_poll, self._last_worker = 0.0, time.monotonic()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the coordinator has its own messages
        self._client = connect(scheduler)

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # the scheduler may already be gone
            self._client.close(timeout=2)

    def run(self, cells: Iterable[Cell]) -> None:
        """Run all cells.

        Raises:
            HarnessError: A worker differs from the coordinator or cannot run a cell, or the scheduler stays lost.
        """
        self._waiting.extend(cells)
        while self._waiting or self._in_flight:
            if self._stopping():
                self._stop()
                return
            try:
                self._poll()
                self._submit()
                self._collect(POLL_SECONDS)
            except SchedulerLost as error:
                if not self._reconnect(error):
                    return

    def _poll(self) -> None:
        """Ask which workers there are, and requeue the cells of those that left."""
        if time.monotonic() - self._last_poll < SCHEDULER_POLL_SECONDS:
            return
        if self._client.status != "running":
            raise SchedulerLost("the connection is lost")
        with scheduler_errors():
            self._client.subscribe_topic(
                self._topic, lambda event: self._news.put(event[1])
            )  # a restarted scheduler does not know the topic
            self._threads = dict(self._client.nthreads())
        self._last_poll = time.monotonic()
        if self._threads:
            self._last_worker = self._last_poll
        elif self._last_poll - self._last_worker > SILENCE_SECONDS:
            self._print(f"The Dask scheduler has no workers; start some with `dask worker {self._scheduler}`.")
            self._last_worker = self._last_poll + 10 * SILENCE_SECONDS
        for out in list(self._in_flight.values()):
            if out.worker is not None and out.worker not in self._threads and out.future.status == "pending":
                self._requeue(out, f"its Dask worker {out.worker} left")

    def _submit(self) -> None:
        """Keep every thread busy and queue one more cell for each, except near the end of the run."""
        threads = sum(self._threads.values())
        most = 2 * threads if len(self._waiting) > threads else threads
        most = min(most, self._jobs or most)
        while self._waiting and len(self._in_flight) < most:
            cell = self._waiting.popleft()
            journal = self._journal(cell)
            self._count(cell, journal)
            attempt = uuid.uuid4().hex[:8]
            order = {**self._shared, "cell": msgspec.to_builtins(cell), "journal": journal, "attempt": attempt}
            self._in_flight[cell.key] = out = _InFlight(cell, attempt)
            with scheduler_errors():
                out.future = self._client.submit(run_remotely, order, key=f"optibench-{cell.key}-{attempt}", pure=False)
            out.future.add_done_callback(lambda future: self._news.put({}))

    def _journal(self, cell: Cell) -> str:
        """The complete lines of a cell's journal."""
        try:
            content = self._runner.store.journal(cell).path.read_bytes()
        except FileNotFoundError:
            return ""
        return content[: parse(content)[1]].decode()

    def _collect(self, seconds: float) -> None:
        """Wait for news from the workers, and save it."""
        for news in self._drain(seconds):
            out = self._in_flight.get(news.get("cell", ""))
            if out is not None and out.attempt == news["attempt"]:
                out.worker = news["worker"]
                self._save_journal(out.cell, news["journal"])
        for out in list(self._in_flight.values()):
            status = out.future.status
            if status == "finished":
                with scheduler_errors():
                    result = out.future.result(timeout=60)
                self._finish(out, result)
            elif status == "error":
                with scheduler_errors():
                    error = out.future.exception(timeout=60)
                self._failed(out, error)
            elif status == "lost":  # the worker left with the result before it was fetched
                self._requeue(out, "its Dask worker left with the result")
            elif status == "cancelled":
                raise SchedulerLost("it forgot its tasks")

    def _drain(self, seconds: float) -> Iterator[dict[str, Any]]:
        with contextlib.suppress(queue.Empty):
            yield self._news.get(timeout=seconds)
            while True:
                yield self._news.get()

    def _save_journal(self, cell: Cell, journal: str) -> None:
        """Save a running cell's journal, unless the saved one already has as many trials."""
        lines = journal.count("\n")
        if lines > self._lines[cell.key]:
            path, content = self._runner.store.journal(cell).path, journal.encode()
            known = path.read_bytes() if path.exists() else b""
            if content.startswith(known):
                with path.open("ab") as file:  # without fsync: the finished cell is synced
                    file.write(content[len(known) :])
            else:  # the cell started again, or a kill cut a line short
                with replacing(path) as part:
                    part.write_bytes(content)
            self._count(cell, journal)
            self._lost[cell.key] = 0

    def _count(self, cell: Cell, journal: str, *, finished: bool = False) -> None:
        """Report how far a cell is, as its journal says."""
        self._lines[cell.key] = journal.count("\n")
        trials = parse(journal.encode())[0].trials
        now = Progress(len(trials), sum(trial.state != "ok" for trial in trials), int(finished))
        told = self._reported.get(cell.key, Progress())
        self._report(Progress(now.trials - told.trials, now.failed - told.failed, now.cells - told.cells))
        self._reported[cell.key] = now

    def _finish(self, out: _InFlight, result: Mapping[str, Any]) -> None:
        """Store a cell's result."""
        cell, store = out.cell, self._runner.store
        for event in result["events"]:
            store.event(event["event"], cell=event["cell"], text=f"{event['text']} (Dask worker {result['worker']})")
        if result["error"] is not None:
            if result.get("mismatch"):
                raise HarnessError(result["error"])
            raise HarnessError(f"The Dask worker {result['worker']} cannot run {cell.task}: {result['error']}")
        history = parse(result["journal"].encode())[0]
        trials = history.trials
        if cell.budget is None and len(trials) != cell.trials:
            raise HarnessError(
                f"The Dask worker {result['worker']} returned {len(trials)} of {cell.trials} trials of "
                f"{cell.optimizer} on {cell.task}: see its log, then rerun the same command to resume."
            )
        if result.get("log"):
            store.log(cell).parent.mkdir(exist_ok=True)
            store.log(cell).write_text(result["log"], encoding="utf-8")
        self._runner.finish(cell, trials, history)
        self._count(cell, result["journal"], finished=True)
        del self._in_flight[cell.key], self._reported[cell.key], self._lines[cell.key]

    def _failed(self, out: _InFlight, error: BaseException | None) -> None:
        """Handle a task that Dask itself reports as failed."""
        if type(error).__name__ == "KilledWorker":
            self._requeue(out, "the Dask workers that tried it died")
            return
        cause = error
        while cause is not None and cause.__cause__ is not None:
            cause = cause.__cause__
        text = (str(cause).splitlines() or [""])[0]
        raise HarnessError(
            f"A Dask worker cannot load a cell ({type(cause).__name__}: {text}): install the same optiformer-bench "
            "there, then restart the worker."
        )

    def _requeue(self, out: _InFlight, why: str) -> None:
        """Put a cell back into the queue; another worker continues from its last known trials."""
        cell = out.cell
        with contextlib.suppress(Exception):
            out.future.cancel()
        del self._in_flight[cell.key]
        self._waiting.appendleft(cell)
        self._lost[cell.key] += 1
        self._runner.store.event("Dask worker lost, its cell is taken up again", cell=cell.key, text=why)
        if self._lost[cell.key] >= MAX_LOST_WORKERS:
            raise HarnessError(
                f"{MAX_LOST_WORKERS} Dask workers in a row were lost with {cell.optimizer} on {cell.task}, "
                f"seed {cell.seed}, without a new trial: see their logs and their memory, then rerun the same command "
                "to resume."
            )

    def _reconnect(self, error: BaseException) -> bool:
        """Wait for a lost scheduler; returns whether it is back, or ``False`` if the run is to stop."""
        self._close()
        for out in self._in_flight.values():
            self._waiting.appendleft(out.cell)
        self._in_flight.clear()
        self._runner.store.event("Dask scheduler lost, its cells are handed out again", text=str(error)[:200])
        self._print(f"The Dask scheduler {self._scheduler} is gone; waiting for it to come back.")
        deadline = time.monotonic() + RETURN_SECONDS
        while not self._stopping():
            try:
                self._client = connect(self._scheduler, seconds=5.0)
            except HarnessError:
                if time.monotonic() > deadline:
                    raise HarnessError(
                        f"The Dask scheduler {self._scheduler} was lost and did not come back within "
                        f"{RETURN_SECONDS / 60:.0f} minutes: start it, then rerun the same command to resume."
                    ) from None
                time.sleep(POLL_SECONDS)
                continue
            self._last_poll, self._last_worker = 0.0, time.monotonic()
            return True
        return False

    def _stop(self) -> None:
        """Cancel all cells; their workers send the last trials first."""
        begun = {key for key, out in self._in_flight.items() if out.worker is not None}
        for out in self._in_flight.values():
            with contextlib.suppress(Exception):
                out.future.cancel()
        deadline = time.monotonic() + DRAIN_SECONDS
        while begun and time.monotonic() < deadline:
            for news in self._drain(POLL_SECONDS):
                known = self._in_flight.get(news.get("cell", ""))
                if known is not None and known.attempt == news["attempt"]:
                    self._save_journal(known.cell, news["journal"])
                    if news["last"]:
                        begun.discard(known.cell.key)

    def _print(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

"""Executors: run cells one after another in this process, or on several worker processes.

Whoever runs a cell writes its results itself; what reaches the coordinator is only progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import external
from harness.cells import Cell
from harness.journal import Fault, History, Journal
from harness.limits import Limits, Step, unwatched
from harness.store import Store
from harness.trials import Trial

PROGRESS_SECONDS = 0.2
"""How often a worker reports inside a cell."""


@dataclass
class Progress:
    """News from a running or finished cell."""

    trials: int = 0
    failed: int = 0
    cells: int = 0


Report = Callable[[Progress], None]


class CellRunner:
    """Runs cells of one store: replays the journal, appends to it, puts the result in place."""

    def __init__(self, folder: Path, tasks: Mapping[str, Any], limits: Limits | None = None) -> None:
        self.store = Store(folder)
        self.tasks = tasks
        self.limits = limits or Limits()
        self.external = external.registered()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a worker: external optimizers and benchmarks are registered there too."""
        self.__dict__.update(state)
        external.register(self.external)

    def run(
        self,
        cell: Cell,
        report: Report,
        stopping: Callable[[], bool],
        pulse: Callable[[Step, int, float], None] = unwatched,
    ) -> None:
        """Run one cell, or the rest of it.

        Raises:
            Stopped: ``stopping`` said so; the journal holds what was finished.
        """
        journal = self.store.journal(cell)
        past = journal.open()
        pending, last = Progress(trials=len(past.trials), failed=_failed(past.trials)), time.monotonic()

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
            trials = self._run(cell, journal, past, on_trial, report, stopping=stopping, pulse=pulse)
            self.finish(cell, trials)
            pending.cells += 1
        finally:
            report(pending)
            journal.close()

    def finish(self, cell: Cell, trials: Sequence[Trial]) -> None:
        """Put a finished cell's result in place."""
        self.store.finish(cell, trials, self.tasks[cell.task])

    def _run(
        self,
        cell: Cell,
        journal: Journal,
        past: History,
        on_trial: Callable[[Trial], None],
        report: Report,
        **how: Any,
    ) -> list[Trial]:
        """Take a cell up by replay, or from its beginning where that cannot be."""
        from harness.run_cell import NotReproducibleError, replays, run_cell

        how |= {"on_trial": on_trial, "time_limit": self.limits.cell_limit}
        how["evaluation_limit"] = self.limits.evaluation_limit
        try:
            if (past.trials or past.faults) and not replays(cell):
                raise NotReproducibleError("its capabilities say that it cannot be replayed")
            return run_cell(cell, past=past, **how)
        except NotReproducibleError as error:
            text = f"{cell.optimizer}: {error}"
            end = past.verdict(len(past.trials))
            if end is not None:  # from its beginning it would go another way and meet the fault elsewhere
                self.store.event("not reproducible, rest of the cell given up", cell=cell.key, text=text)
                past.faults.append(Fault(end.trial, "replay", end.state, f"{end.error}; no replay after it", 0.0))
                journal.append(past.faults[-1])
            else:
                self.store.event("not reproducible, cell starts over", cell=cell.key, text=text)
                report(Progress(trials=-len(past.trials), failed=-_failed(past.trials)))
                past = journal.start_over(past)
            return run_cell(cell, past=past, **how)


def _failed(trials: Iterable[Trial]) -> int:
    return sum(trial.state != "ok" for trial in trials)


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


def processes(
    cells: Iterable[Cell], runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int
) -> None:
    """Run cells on ``jobs`` worker processes."""
    from harness.workers import Crew

    with Crew(runner, report, stopping, jobs) as crew:
        crew.run(cells)


def dask(
    cells: Iterable[Cell],
    runner: CellRunner,
    report: Report,
    stopping: Callable[[], bool],
    jobs: int | None,
    *,
    scheduler: str,
    packages: Mapping[str, str],
) -> None:
    """Run cells on the workers of a Dask scheduler, at most ``jobs`` at a time.

    Raises:
        HarnessError: There is no scheduler, or its workers are not as the coordinator is (``packages``).
    """
    from harness.cluster.coordinator import Coordinator

    with Coordinator(runner, report, stopping, jobs, scheduler, packages) as coordinator:
        coordinator.run(cells)


EXECUTORS: dict[str, Callable[..., None]] = {"serial": serial, "processes": processes, "dask": dask}

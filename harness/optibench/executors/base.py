"""The arguments of every executor: a runner of cells and a callback for progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optibench_benchmarks
import optibench_optimizers
from optibench import external
from optibench.cell.heartbeat import Step, no_heartbeat
from optibench.cell.journal import History
from optibench.cell.trials import Trial
from optibench.own import is_own
from optibench.plan.cells import Cell
from optibench.plan.tasks import Task
from optibench.spec.limits import Limits
from optibench.store.fingerprint import UNKNOWN, Fingerprints
from optibench.store.run_folder import Store

PROGRESS_SECONDS = 0.2
"""How often a worker reports progress inside a cell."""


@dataclass
class Progress:
    """What happened since a cell's last report: trials, failed trials, finished cells."""

    trials: int = 0
    failed: int = 0
    cells: int = 0


Report = Callable[[Progress], None]


class CellRunner:
    """Runs cells of one store: replays the journal, appends to it, and stores the result."""

    def __init__(
        self,
        folder: Path,
        tasks: Mapping[str, Task],
        limits: Limits | None = None,
        fingerprints: Fingerprints | None = None,
        run_id: str = "",
    ) -> None:
        self.store = Store(folder.absolute())  # an objective may change the working directory
        self.tasks = tasks
        self.limits = limits or Limits()
        self.fingerprints, self.run_id = fingerprints, run_id
        self.external = external.registered()
        self.entries = [one for one in optibench_optimizers.entries().values() if not external.is_external(one)]
        self.families = [one for one in optibench_benchmarks.families().values() if not external.is_external(one)]

    @property
    def needs_script(self) -> bool:
        """Whether workers must import the running script, because it defines a registered optimizer or task."""
        entries = any(one.target.startswith("__main__:") and not is_own(one) for one in self.entries)
        return entries or any(one.target.startswith("__main__:") and not is_own(one) for one in self.families)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a worker: register what is registered in the coordinator, the running script's objects included."""
        self.__dict__.update(state)
        for entry in self.entries:
            optibench_optimizers.register(entry)
        for family in self.families:
            optibench_benchmarks.register(family)
        external.register(self.external)

    def run(
        self,
        cell: Cell,
        report: Report,
        stopping: Callable[[], bool],
        heartbeat: Callable[[Step, int, float], None] = no_heartbeat,
        *,
        scratch: Path | None = None,
        own_process: bool = True,
    ) -> None:
        """Run one cell, or the rest of a started one.

        Args:
            cell: The cell.
            report: Called with progress.
            stopping: Called before each trial; true stops the cell.
            heartbeat: Called when a step of a trial begins.
            scratch: A folder for temporary files.
            own_process: Whether this process does nothing but run cells.

        Raises:
            Stopped: ``stopping`` returned true; the journal holds the finished trials.
        """
        from optibench.cell.log import CellLog
        from optibench.cell.run import Surroundings, run_cell

        journal = self.store.journal(cell)
        past = journal.open()
        pending, last = Progress(trials=len(past.trials), failed=_failed(past.trials)), time.monotonic()
        log = CellLog(self.store.log(cell))
        mine = UNKNOWN if self.fingerprints is None else self.fingerprints.of(cell)
        journal.sign(past, mine, self.run_id)

        def on_trial(trial: Trial) -> None:
            nonlocal pending, last
            journal.append(trial)
            log.trim()
            pending.trials += 1
            pending.failed += trial.failed
            now = time.monotonic()
            if now - last > PROGRESS_SECONDS:
                report(pending)
                pending, last = Progress(), now

        def event(what: str, text: str) -> None:
            self.store.event(what, cell=cell.key, text=text)

        around = Surroundings(stopping, heartbeat, event, log.write, scratch)
        limits = {"time_limit": self.limits.cell_limit, "evaluation_limit": self.limits.evaluation_limit}
        try:
            with log.capture(whole_process=own_process):
                trials = run_cell(cell, past=past, on_trial=on_trial, surroundings=around, **limits)
            self.finish(cell, trials, past)
            pending.cells += 1
        finally:
            report(pending)
            journal.close()
            log.close()

    def finish(self, cell: Cell, trials: Sequence[Trial], history: History) -> None:
        """Store a finished cell's result; ``history`` says which code ran it."""
        self.store.finish(cell, trials, self.tasks[cell.task], history)


def _failed(trials: Iterable[Trial]) -> int:
    return sum(trial.failed for trial in trials)

"""Running a cell where its run folder is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from optibench.cell.heartbeat import Step, no_heartbeat
from optibench.cell.journal import History
from optibench.cell.trials import Trial
from optibench.errors import HarnessError
from optibench.executors.base import CellRunner, Report
from optibench.plan.cells import Cell
from optibench.spec.limits import Limits
from optibench.store.fingerprint import Fingerprints


class RemoteCellRunner(CellRunner):
    """Runs cells of a run folder on another machine: what comes of one is its journal, which the coordinator is sent.

    Args:
        folder: With a folder ``journal``.
        data_versions: Those of the coordinator's tasks.
        limits: The grid's.
        fingerprints, run_id: The coordinator's; a worker of another source or other packages runs no cell.
    """

    def __init__(
        self, folder: Path, data_versions: Mapping[str, str], limits: Limits, fingerprints: Fingerprints, run_id: str
    ) -> None:
        super().__init__(folder, {}, limits, fingerprints, run_id)
        self.data_versions = data_versions

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
        """Run one cell, or the rest of it.

        Raises:
            HarnessError: The task's data here is not the coordinator's.
        """
        from optibench.cell.run import benchmark

        here, there = benchmark(cell.task).data_version, self.data_versions[cell.task]
        if here != there:
            raise HarnessError(f"data of {cell.task} is version {here!r} there and {there!r} on the coordinator")
        super().run(cell, report, stopping, heartbeat, scratch=scratch, own_process=own_process)

    def finish(self, cell: Cell, trials: Sequence[Trial], history: History) -> None:
        """The journal is whole; there is no more to do here."""

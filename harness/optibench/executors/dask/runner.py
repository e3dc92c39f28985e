"""Runs a cell on a machine that does not have the run folder."""

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
    """Runs cells on a machine that does not have the run folder; the result is the journal, sent to the coordinator.

    Args:
        folder: A local folder with a subfolder ``journal``.
        data_versions: The data versions of the coordinator's tasks.
        limits: The grid's limits.
        fingerprints, run_id: The coordinator's; a worker with other sources or packages runs no cell.
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
        """Run one cell, or the rest of a started one.

        Raises:
            HarnessError: The version of the task's data differs from the coordinator's.
        """
        from optibench.cell.run import benchmark

        here, there = benchmark(cell.task).data_version, self.data_versions[cell.task]
        if here != there:
            raise HarnessError(
                f"The data of {cell.task} is version {here!r} there and {there!r} on the coordinator; fetch the same."
            )
        super().run(cell, report, stopping, heartbeat, scratch=scratch, own_process=own_process)

    def finish(self, cell: Cell, trials: Sequence[Trial], history: History) -> None:
        """Do nothing: the journal is the result."""

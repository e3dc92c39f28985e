"""The executors: run cells one after another in this process, on worker processes, or on Dask workers.

With the first two, the process that runs a cell writes its results, and the coordinator receives only progress.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from optibench.executors.base import CellRunner, Report
from optibench.plan.cells import Cell


def serial(cells: Iterable[Cell], runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int) -> None:
    """Run cells one after another in this process, and restore the process's state afterwards."""
    from optibench.cell.run import Stopped

    with tempfile.TemporaryDirectory(prefix="optibench-", ignore_cleanup_errors=True) as scratch:
        for cell in cells:
            if stopping():
                return
            try:
                runner.run(cell, report, stopping, scratch=Path(scratch), own_process=False)
            except Stopped:
                return


def processes(
    cells: Iterable[Cell], runner: CellRunner, report: Report, stopping: Callable[[], bool], jobs: int
) -> None:
    """Run cells on ``jobs`` worker processes."""
    from optibench.executors.workers import WorkerPool

    with WorkerPool(runner, report, stopping, jobs) as pool:
        pool.run(cells)


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
        HarnessError: There is no scheduler, or its workers have other versions of ``packages`` than the coordinator.
    """
    from optibench.executors.dask.coordinator import Coordinator

    with Coordinator(runner, report, stopping, jobs, scheduler, packages) as coordinator:
        coordinator.run(cells)


EXECUTORS: dict[str, Callable[..., None]] = {"serial": serial, "processes": processes, "dask": dask}

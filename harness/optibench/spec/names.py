"""The names in a grid, checked without importing an optimizer or building a task.

A plan finds every mistake; this check finds misspelt names and settings in a fraction of the time.
"""

from __future__ import annotations

from optibench.spec import batches
from optibench.spec.grid import Grid


def check(grid: Grid) -> None:
    """Reject unknown optimizers, settings, tasks and suites.

    Raises:
        OptimizerError, BenchmarkError: One is unknown; the message gives the closest known names.
    """
    import optibench_benchmarks
    import optibench_optimizers

    for name in grid.optimizers:
        spec, _ = batches.split(name)
        optibench_optimizers.check_settings(*optibench_optimizers.parse(spec))
    optibench_benchmarks.check(grid.benchmarks)

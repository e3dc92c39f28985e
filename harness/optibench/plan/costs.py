"""Checks that tasks have the costs and fidelities that a grid's budget and optimizers need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optibench.errors import HarnessError
from optibench.plan.tasks import Fidelity
from optibench.spec import batches, fidelity

if TYPE_CHECKING:
    from optibench.spec.grid import Grid
    from optibench_benchmarks import Benchmark


def varied_fidelities(grid: Grid, found: Sequence[Benchmark]) -> dict[str, Fidelity]:
    """Check that all tasks have what the budget, clock and optimizers need; return the varied fidelities by task.

    Raises:
        HarnessError: A task lacks something.
    """
    import optibench_optimizers

    clock = "simulated_workers" if grid.simulated_workers else "budget: {seconds: ...}"
    if grid.simulated_workers or (grid.budget is not None and grid.budget.unit == "seconds"):
        if any(batches.split(name)[1] > 1 for name in grid.optimizers):
            raise HarnessError(
                f"`batch_size` and `{clock}` exclude each other, because on a simulated clock each worker asks for one "
                "configuration at a time; leave one of them out."
            )
        for benchmark in found:
            if not benchmark.has_cost:
                raise HarnessError(
                    f"`{clock}` needs tasks whose evaluations have a known cost in seconds, such as surrogates and "
                    f"tables. {benchmark.name} has none: leave the task out, or use another budget."
                )
    specs = [batches.split(name)[0] for name in grid.optimizers]
    choosing = [spec for spec in specs if optibench_optimizers.parse(spec)[0].capabilities.multi_fidelity]
    if grid.fidelity is not None and not choosing:
        raise HarnessError(
            f"`fidelity: {grid.fidelity.name}` is for optimizers that choose fidelities, and this grid has none: leave "
            "it out, or choose one from `optibench list optimizers`."
        )
    fidelities = {}
    for benchmark in found if choosing else ():
        try:
            one = fidelity.varied_fidelity(benchmark, grid.fidelity)
        except HarnessError as error:
            raise HarnessError(f"{choosing[0]} varies a fidelity: {error}") from error
        fidelities[benchmark.name] = Fidelity(one.name, one.low, one.high, one.whole)
    return fidelities

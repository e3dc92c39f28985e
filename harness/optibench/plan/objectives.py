"""Checks that a grid's optimizers and measures fit its tasks with several objectives or with constraints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optibench.errors import HarnessError

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark
    from optibench_optimizers import Entry


def refuse_objectives(entry: Entry, found: Sequence[Benchmark]) -> None:
    """Reject an optimizer that does not take the objectives or the constraints of a task.

    Raises:
        HarnessError: The message says which optimizers do.
    """
    import optibench_optimizers

    for benchmark in found:
        counts = len(benchmark.objectives) or 1, len(benchmark.constraints)
        if lacking := entry.capabilities.lacks(*counts):
            able = [
                one.name
                for one in optibench_optimizers.entries().values()
                if not one.capabilities.lacks(*counts)
                and not (one.capabilities.multi_fidelity and benchmark.fidelity_space is None)
            ]
            raise HarnessError(
                f"Optimizer {entry.name!r} does not take {lacking}, which {benchmark.name} has: leave one of the two "
                f"out, or use {', '.join(able)}."
            )


def refuse_unmeasurable(found: Sequence[Benchmark]) -> None:
    """Reject tasks with several objectives whose trials have no measure.

    Raises:
        HarnessError: A task has no front.
    """
    for benchmark in found:
        if benchmark.objectives and benchmark.front is None:
            raise HarnessError(
                f"{benchmark.name} has several objectives and no frozen front, so that its hypervolume regret is "
                "undefined: give it a `front`, or leave it out."
            )

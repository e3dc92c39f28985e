"""Engineering designs with constraints: ``engineering/<design>``; ``docs/reference/tasks.md`` lists them.

The literature has several variants of each; :mod:`optibench_benchmarks.engineering.designs` says which one this is.
Every design has one objective to minimize, and its optimum is known.
"""

from __future__ import annotations

from optibench_benchmarks.base import Benchmark
from optibench_benchmarks.named_tasks import NamedTasks

__all__ = ["provider"]

NAMES = ("cantilever-beam", "pressure-vessel", "speed-reducer", "spring", "three-bar-truss", "welded-beam")


def _build(name: str) -> Benchmark:
    from optibench_benchmarks.engineering.designs import EngineeringDesign

    return EngineeringDesign(name)


provider = NamedTasks([f"engineering/{name}" for name in NAMES], _build)

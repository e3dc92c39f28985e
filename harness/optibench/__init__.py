"""The bench's Python API: everything that a plug-in or a notebook needs (docs/reference/python.md).

Example:
    >>> import optibench as ob
    >>> issubclass(ob.Optimizer, object), issubclass(ob.Benchmark, object)
    (True, True)

Importing this module is fast: a name is resolved when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optibench.api.given import optimizer
    from optibench.api.listing import optimizers, tasks
    from optibench.api.results import Comparison, Run, compare, load
    from optibench.api.run import run
    from optibench.api.task import task
    from optibench.errors import HarnessError
    from optibench_benchmarks import Benchmark, BenchmarkError, Evaluation, Family, Front, Reference
    from optibench_optimizers import Capabilities, Entry, Fidelity, Observation, Optimizer, OptimizerError, Suggestion
    from optibench_reports import Report, ReportError

__all__ = [
    "Benchmark",
    "BenchmarkError",
    "Capabilities",
    "Comparison",
    "Entry",
    "Evaluation",
    "Family",
    "Fidelity",
    "Front",
    "HarnessError",
    "Observation",
    "Optimizer",
    "OptimizerError",
    "Reference",
    "Report",
    "ReportError",
    "Run",
    "Suggestion",
    "compare",
    "load",
    "optimizer",
    "optimizers",
    "run",
    "task",
    "tasks",
]

_HOMES = {
    "optibench.api.given": ("optimizer",),
    "optibench.api.listing": ("optimizers", "tasks"),
    "optibench.api.results": ("Comparison", "Run", "compare", "load"),
    "optibench.api.run": ("run",),
    "optibench.api.task": ("task",),
    "optibench.errors": ("HarnessError",),
    "optibench_benchmarks": ("Benchmark", "BenchmarkError", "Evaluation", "Family", "Front", "Reference"),
    "optibench_reports": ("Report", "ReportError"),
    "optibench_optimizers": (
        *("Capabilities", "Entry", "Fidelity", "Observation", "Optimizer", "OptimizerError", "Suggestion"),
    ),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)

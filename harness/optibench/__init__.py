"""The bench: grids of optimizers on tasks, and in one place the names that a plug-in or a notebook needs.

Example:
    >>> import optibench as ob
    >>> issubclass(ob.Optimizer, object), issubclass(ob.Benchmark, object)
    (True, True)

Importing this loads nothing else; a name is resolved when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optibench.runs.run import start as run
    from optibench_benchmarks import Benchmark, BenchmarkError, Evaluation, Family, Reference
    from optibench_optimizers import Capabilities, Entry, Fidelity, Observation, Optimizer, OptimizerError, Suggestion

__all__ = [
    "Benchmark",
    "BenchmarkError",
    "Capabilities",
    "Entry",
    "Evaluation",
    "Family",
    "Fidelity",
    "Observation",
    "Optimizer",
    "OptimizerError",
    "Reference",
    "Suggestion",
    "run",
]

_OF_BENCHMARKS = ("Benchmark", "BenchmarkError", "Evaluation", "Family", "Reference")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    if name == "run":
        return importlib.import_module("optibench.runs.run").start
    return getattr(
        importlib.import_module("optibench_" + ("benchmarks" if name in _OF_BENCHMARKS else "optimizers")), name
    )

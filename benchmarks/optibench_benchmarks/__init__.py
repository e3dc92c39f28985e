"""Tasks to optimize: search space, objectives, constraints and frozen reference values."""

from optibench_benchmarks.base import (
    Benchmark,
    BenchmarkError,
    Config,
    Direction,
    Evaluation,
    Front,
    MissingDataError,
    Reference,
    Sampling,
)
from optibench_benchmarks.family import Family, UnknownBenchmarkError
from optibench_benchmarks.registry import (
    broken,
    check,
    create,
    expand,
    families,
    is_installed,
    look_up,
    names,
    register,
)

__all__ = [
    "Benchmark",
    "BenchmarkError",
    "Config",
    "Direction",
    "Evaluation",
    "Family",
    "Front",
    "MissingDataError",
    "Reference",
    "Sampling",
    "UnknownBenchmarkError",
    "broken",
    "check",
    "create",
    "expand",
    "families",
    "is_installed",
    "look_up",
    "names",
    "register",
]

"""Strategies behind one ask/tell contract."""

from optibench_optimizers.base import (
    Capabilities,
    Fidelity,
    Observation,
    Optimizer,
    OptimizerError,
    State,
    Suggestion,
    Training,
)
from optibench_optimizers.entry import Entry, Startup
from optibench_optimizers.registry import (
    UnknownOptimizerError,
    broken,
    check_settings,
    create,
    entries,
    is_installed,
    known_settings,
    parse,
    register,
)

__all__ = [
    "Capabilities",
    "Entry",
    "Fidelity",
    "Observation",
    "Optimizer",
    "OptimizerError",
    "Startup",
    "State",
    "Suggestion",
    "Training",
    "UnknownOptimizerError",
    "broken",
    "check_settings",
    "create",
    "entries",
    "is_installed",
    "known_settings",
    "parse",
    "register",
]

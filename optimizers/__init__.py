"""Strategies behind one ask/tell contract."""

from optimizers.base import Capabilities, Observation, Optimizer, OptimizerError, State, Suggestion
from optimizers.registry import Entry, UnknownOptimizerError, create, entries, parse, register

__all__ = [
    "Capabilities",
    "Entry",
    "Observation",
    "Optimizer",
    "OptimizerError",
    "State",
    "Suggestion",
    "UnknownOptimizerError",
    "create",
    "entries",
    "parse",
    "register",
]

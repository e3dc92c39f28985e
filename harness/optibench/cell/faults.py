"""Faults of a trial or cell that is out of time."""

from __future__ import annotations

from optibench.cell.journal import Fault


def evaluation_timeout(trial: int, limit: float, seconds: float) -> Fault:
    """The fault of an evaluation that is out of time."""
    return Fault(trial, "evaluate", "timeout", f"evaluate: stopped at its limit of {limit:g} s", seconds)


def cell_timeout(trial: int, limit: float, seconds: float) -> Fault:
    """The fault that ends a cell whose time is over."""
    return Fault(trial, "cell", "timeout", f"cell: stopped at its limit of {limit:g} s", seconds)

"""Faults of trials and cells that exceed a time limit."""

from __future__ import annotations

from optibench.cell.journal import Fault


def evaluation_timeout(trial: int, limit: float, seconds: float) -> Fault:
    """The fault of an evaluation that exceeds its time limit."""
    return Fault(trial, "evaluate", "timeout", f"evaluate: stopped at its limit of {limit:g} s", seconds)


def cell_timeout(trial: int, limit: float, seconds: float) -> Fault:
    """The fault that ends a cell that exceeds its time limit."""
    return Fault(trial, "cell", "timeout", f"cell: stopped at its limit of {limit:g} s", seconds)

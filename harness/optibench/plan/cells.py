"""Cells: one optimizer on one task with one seed and budget."""

from __future__ import annotations

import hashlib

import msgspec

from optibench.spec import batches
from optibench.spec.budget import Budget
from optibench.spec.fidelity import Choice


class Cell(msgspec.Struct, frozen=True):
    """One run of one optimizer on one task.

    Attributes:
        key: A hash of everything that determines the result (see :meth:`optibench.plan.plan.Plan.cells`).
        optimizer: The optimizer's label.
        task: The benchmark's name.
        seed: The grid's seed; the seeds of optimizer, initial design and evaluations derive from it and the task.
        trials: Trials in all.
        initial_size: How many of them are the shared initial design (0: the optimizer makes its own).
        budget: What it may spend, where that is no count of trials; ``trials`` is then what the optimizer plans with.
        workers: How many evaluations are under way at a time on a simulated clock; 0: there is no such clock.
        fidelity: The grid's own choice of what multi-fidelity optimizers vary.
    """

    key: str
    optimizer: str
    task: str
    seed: int
    trials: int
    initial_size: int
    budget: Budget | None = None
    workers: int = 0
    fidelity: Choice | None = None

    @property
    def specification(self) -> str:
        """The optimizer's name and settings."""
        return batches.split(self.optimizer)[0]

    @property
    def batch(self) -> int:
        """How many configurations it proposes at a time."""
        return batches.split(self.optimizer)[1]


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2**31) that depends on every part, the same on every machine."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

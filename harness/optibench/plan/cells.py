"""Cells: one optimizer on one task with one seed and budget."""

from __future__ import annotations

import hashlib

import msgspec

from optibench.spec import batches
from optibench.spec.budget import Budget
from optibench.spec.fidelity import FidelityChoice


class Cell(msgspec.Struct, frozen=True):
    """One run of one optimizer on one task.

    Attributes:
        key: A hash of everything that determines the result (see :meth:`optibench.plan.plan.Plan.cells`).
        optimizer: The optimizer's label.
        task: The benchmark's name.
        seed: The grid's seed; the seeds of optimizer, initial design and evaluations derive from it and the task.
        trials: The total number of trials.
        initial_size: How many of them are the shared initial design (0: the optimizer makes its own).
        budget: The budget if it is not a number of trials; ``trials`` is then the number that the optimizer is told.
        workers: Number of parallel evaluations on a simulated clock; 0: there is no simulated clock.
        fidelity: The fidelity that multi-fidelity optimizers vary, if the grid chooses it.
    """

    key: str
    optimizer: str
    task: str
    seed: int
    trials: int
    initial_size: int
    budget: Budget | None = None
    workers: int = 0
    fidelity: FidelityChoice | None = None

    @property
    def specification(self) -> str:
        """The optimizer's name and settings."""
        return batches.split(self.optimizer)[0]

    @property
    def batch(self) -> int:
        """Number of configurations that it proposes at a time."""
        return batches.split(self.optimizer)[1]


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2**31) that depends on every part and is the same on every machine."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

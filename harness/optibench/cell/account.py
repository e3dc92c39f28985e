"""Keeps track of a cell's budget and of when the optimizer is told its trials."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Generic, TypeVar

from optibench.cell.trials import Trial
from optibench.spec.budget import MAX_TRIALS

if TYPE_CHECKING:
    from optibench.plan.cells import Cell

T = TypeVar("T")


class Account(Generic[T]):
    """A cell's spent budget, its simulated clock, and the trials that the optimizer was not told yet.

    Args:
        cell: The cell; ``T`` is the type that the caller needs to tell a trial.
    """

    def __init__(self, cell: Cell) -> None:
        self._budget, self._trials = cell.budget, cell.trials
        self._spent = 0.0
        workers = cell.workers or int(cell.budget is not None and cell.budget.unit == "seconds")
        self._free = [0.0] * workers
        self._running: list[tuple[float, int, T]] = []
        self._batch = cell.batch
        self._batched: list[T] = []

    @property
    def simulated(self) -> bool:
        """Whether there is a simulated clock; then a trial is told once it has ended on that clock, see :meth:`due`."""
        return bool(self._free)

    @property
    def deferred(self) -> bool:
        """Whether trials are told later than at their end, as on a simulated clock and in batches."""
        return self.simulated or self._batch > 1

    def open(self, index: int) -> bool:
        """Whether the budget allows one more trial after the first ``index`` trials."""
        if self._budget is None:
            return index < self._trials
        if index >= MAX_TRIALS:
            return False
        spent = self._spent if self._budget.unit == "fidelity" else self._free[0]
        return spent < self._budget.amount - 1e-9

    def due(self, *, asks: bool) -> list[T]:
        """The trials to tell before the next trial begins, in the order of their ends; each is returned once.

        Args:
            asks: Whether the optimizer is about to be asked; the results of a batch are told before the next ask.
        """
        found: list[T] = []
        if self._batch > 1 and asks:
            found, self._batched = self._batched, []
        while self._running and self._running[0][0] <= self._free[0]:
            found.append(heapq.heappop(self._running)[2])
        return found

    def add(self, trial: Trial, handle: T) -> None:
        """Add an evaluated or failed trial; with a simulated clock, set its start and end."""
        self._spent += trial.cost_fidelity
        if self._free:
            start = heapq.heappop(self._free)
            end = start + trial.cost_seconds
            trial.simulated_start, trial.simulated_end = start, end
            heapq.heappush(self._free, end)
            heapq.heappush(self._running, (end, trial.trial, handle))
        elif self._batch > 1:
            self._batched.append(handle)

    def left(self) -> int:
        """Full evaluations that still fit, for the remaining rows of a stopped cell; 1 if the number is unknown."""
        if self._budget is None or self._budget.unit != "fidelity":
            return 1
        return max(0, math.ceil(self._budget.amount - self._spent - 1e-9))

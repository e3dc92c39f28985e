"""What a cell has spent, and when its trials are told."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Generic, TypeVar

from optibench.cell.trials import Trial
from optibench.spec.budget import MOST_TRIALS

if TYPE_CHECKING:
    from optibench.plan.cells import Cell

T = TypeVar("T")


class Account(Generic[T]):
    """What a cell has spent, when its trials begin and end, and what is to be told when.

    Args:
        cell: The cell; ``T`` is whatever the caller needs to tell a trial.
    """

    def __init__(self, cell: Cell) -> None:
        self._budget, self._trials = cell.budget, cell.trials
        self._spent = 0.0
        workers = cell.workers or int(cell.budget is not None and cell.budget.unit == "seconds")
        self._free = [0.0] * workers
        self._under_way: list[tuple[float, int, T]] = []
        self._batch = cell.batch
        self._batched: list[T] = []

    @property
    def simulated(self) -> bool:
        """Whether there is a simulated clock: then a trial is told when it has ended on it, see :meth:`due`."""
        return bool(self._free)

    @property
    def deferred(self) -> bool:
        """Whether trials are told later than at their end: on a simulated clock, and in batches."""
        return self.simulated or self._batch > 1

    def open(self, index: int) -> bool:
        """Whether another trial may begin after the first ``index`` ones."""
        if self._budget is None:
            return index < self._trials
        if index >= MOST_TRIALS:
            return False
        spent = self._spent if self._budget.unit == "fidelity" else self._free[0]
        return spent < self._budget.amount - 1e-9

    def due(self, *, asks: bool) -> list[T]:
        """What is to be told when the next trial begins and was not before, in the order of its end.

        Args:
            asks: Whether the optimizer is about to be asked; what came of a batch is told before the next one.
        """
        found: list[T] = []
        if self._batch > 1 and asks:
            found, self._batched = self._batched, []
        while self._under_way and self._under_way[0][0] <= self._free[0]:
            found.append(heapq.heappop(self._under_way)[2])
        return found

    def add(self, trial: Trial, handle: T) -> None:
        """Take in a trial that was evaluated, or could not be; on a simulated clock it is given its times."""
        self._spent += trial.cost_fidelity
        if self._free:
            start = heapq.heappop(self._free)
            end = start + trial.cost_seconds
            trial.simulated_start, trial.simulated_end = start, end
            heapq.heappush(self._free, end)
            heapq.heappush(self._under_way, (end, trial.trial, handle))
        elif self._batch > 1:
            self._batched.append(handle)

    def left(self) -> int:
        """How many more full evaluations fit, for the rows of a cell that is given up; one where nobody knows."""
        if self._budget is None or self._budget.unit != "fidelity":
            return 1
        return max(0, math.ceil(self._budget.amount - self._spent - 1e-9))

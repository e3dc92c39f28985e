"""Budgets that are a cost rather than a count of trials, and simulated workers.

A cell of a grid with ``budget: {fidelity: 50}`` runs until its evaluations add up to 50 full ones, one with ``budget:
{seconds: 3600}`` for an hour of simulated time. The trial that goes over a budget is the last one, and is recorded.

With ``simulated_workers: 4`` four evaluations are under way at a time. Nothing waits: an evaluation is made when it is
asked for, and its ``cost_seconds``, what a surrogate or a table says that it takes, tell when it would have ended.
Whenever a worker is free, everything that has ended by then is told, in the order of its end, and the next
configuration is asked for while the others are still out. The optimizer's own time is not part of that clock.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from optibench.cell.trials import Trial
from optibench.errors import HarnessError

if TYPE_CHECKING:
    from optibench.plan.cells import Cell

Unit = Literal["fidelity", "seconds"]
T = TypeVar("T")

MOST_TRIALS = 10_000
"""Trials after which a cell ends although its budget is not spent, as where every evaluation costs nothing."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a cell may spend.

    Attributes:
        unit: ``fidelity``: full evaluations, of which one at a lower fidelity is a part; ``seconds``: simulated ones.
        amount: How many, above 0.
    """

    unit: Unit
    amount: float

    @property
    def trials(self) -> int | None:
        """Full evaluations that fit; ``None`` where nobody knows."""
        return math.ceil(self.amount - 1e-9) if self.unit == "fidelity" else None


def parse(value: Any, where: str) -> Budget | int:
    """Read ``{fidelity: 50}``, ``{seconds: 3600}`` or ``{trials: 50}``, or the same as ``fidelity=50``.

    Returns:
        A count of trials is just that.

    Raises:
        HarnessError: It is something else.
    """
    if isinstance(value, str):
        unit, _, amount = (part.strip() for part in value.partition("="))
    elif isinstance(value, Mapping) and len(value) == 1:
        ((unit, amount),) = value.items()
    else:
        unit, amount = "", None
    text = str(amount)
    number = float(text) if re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text) else 0.0
    if unit == "trials" and re.fullmatch(r"[1-9]\d*", text):
        return int(text)
    if unit not in ("fidelity", "seconds") or not 0 < number < 1e15:
        raise HarnessError(
            f"{where}: `budget` is one of {{trials: N}}, {{fidelity: X}} (X full evaluations) and {{seconds: X}} "
            f"(simulated), N and X above 0, not {value!r}."
        )
    if unit == "fidelity" and number > MOST_TRIALS:
        raise HarnessError(f"{where}: a budget of more than {MOST_TRIALS} full evaluations is not supported: {text}.")
    return Budget("fidelity" if unit == "fidelity" else "seconds", number)


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

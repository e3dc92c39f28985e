"""Budgets that are a cost rather than a count of trials, and simulated workers.

A cell of a grid with ``budget: {fidelity: 50}`` runs until its evaluations add up to 50 full ones, one with ``budget:
{seconds: 3600}`` for an hour of simulated time. The trial that goes over a budget is the last one, and is recorded.

With ``simulated_workers: 4`` four evaluations are under way at a time. Nothing waits: an evaluation is made when it is
asked for, and its ``cost_seconds``, what a surrogate or a table says that it takes, tell when it would have ended.
Whenever a worker is free, everything that has ended by then is told, in the order of its end, and the next
configuration is asked for while the others are still out. The optimizer's own time is not part of that clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from optibench.errors import HarnessError

Unit = Literal["fidelity", "seconds"]
MOST_TRIALS = 10_000
"""Trials after which a cell ends although its budget is not spent, as where every evaluation costs nothing."""


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cell may spend.

    Attributes:
        unit: ``fidelity``: full evaluations, of which one at a lower fidelity is a part; ``seconds``: simulated ones.
        amount: How many, above 0.
    """

    unit: Unit
    amount: int | float

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

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
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from optibench.errors import HarnessError
from optibench.options import Form, text

Unit = Literal["fidelity", "seconds"]
MAX_TRIALS = 10_000
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


def _read(written: str | Mapping[Any, float]) -> Budget | int:
    if isinstance(written, str):
        name, _, amount = written.partition("=")
        return _read(msgspec.convert({name.strip(): amount.strip()}, _MAPPING, strict=False))
    ((unit, number),) = written.items()
    if unit == "trials":
        return msgspec.convert(number, int, strict=False)
    if not number < 1e15:
        raise ValueError
    if unit == "fidelity" and number > MAX_TRIALS:
        raise HarnessError(f"a budget of more than {MAX_TRIALS} full evaluations is not supported: {number:g}.")
    return Budget("fidelity" if unit == "fidelity" else "seconds", number)


_MAPPING = Annotated[
    dict[Literal["trials", "fidelity", "seconds"], Annotated[float, Meta(gt=0)]],
    Meta(min_length=1, max_length=1, extra_json_schema={"propertyNames": {"enum": ["trials", "fidelity", "seconds"]}}),
]
BUDGET = Form(
    "one of {trials: N}, {fidelity: X} (X full evaluations) and {seconds: X} (simulated), N and X above 0",
    _MAPPING | text(r"^(trials|fidelity|seconds)\s*=\s*[\d.e+-]+$"),
    _read,
)

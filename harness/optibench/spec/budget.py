"""Budgets that are a cost instead of a number of trials, and simulated workers.

A cell of a grid with ``budget: {fidelity: 50}`` runs until its evaluations add up to 50 full ones; with ``budget:
{seconds: 3600}`` it runs for an hour of simulated time. The trial that exceeds the budget is the last one and is
recorded.

With ``simulated_workers: 4``, four evaluations run at a time on a simulated clock, without any real waiting: an
evaluation is computed at once, and its ``cost_seconds``, as a surrogate or a table gives them, decide when it ends on
that clock. Whenever a worker is free, the optimizer is told all trials that have ended by then, in the order of their
ends, and is asked for the next configuration while the other trials are pending. The optimizer's own time does not
count.
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
"""Maximum number of trials of a cell with a budget, for tasks whose evaluations cost nothing."""


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The budget of a cell.

    Attributes:
        unit: ``fidelity``: full evaluations, where one at a lower fidelity counts as a fraction; ``seconds``: simulated
            seconds.
        amount: How many, above 0.
    """

    unit: Unit
    amount: int | float

    @property
    def trials(self) -> int | None:
        """Number of full evaluations that fit; ``None`` if it is unknown."""
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

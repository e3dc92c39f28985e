"""Fidelities in a grid: which one a multi-fidelity optimizer varies, and the cost of a trial in full evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from optibench.errors import HarnessError
from optibench.options import Form

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark
    from optibench_optimizers import Fidelity


class FidelityChoice(NamedTuple):
    """The fidelity that a grid chooses.

    Attributes:
        name: The parameter, which every task must have.
        low: The lowest value to use; ``None``: the task's lowest.
    """

    name: str
    low: int | float | None = None


def _read(written: str | dict[str, float]) -> FidelityChoice:
    if isinstance(written, str):
        name, given, low = (part.strip() for part in written.partition("="))
        if not given:
            return FidelityChoice(name)
        written = msgspec.convert({name: low}, _MAPPING, strict=False)
    ((name, number),) = written.items()
    if not name or not number < math.inf:
        raise ValueError
    return FidelityChoice(name, number)


_MAPPING = Annotated[dict[str, Annotated[float, Meta(gt=0)]], Meta(min_length=1, max_length=1)]
FIDELITY = Form(
    "the name of a fidelity (epochs), or that and the lowest value to use ({epochs: 3}, a number above 0)",
    Annotated[str, Meta(min_length=1)] | _MAPPING,
    _read,
)


def varied_fidelity(problem: Benchmark, choice: FidelityChoice | None) -> Fidelity:
    """The fidelity of a task that multi-fidelity optimizers vary: the grid's choice, or the task's main one.

    Raises:
        HarnessError: The task has no such fidelity, or the lowest value is below its range.
    """
    from optibench_optimizers import Fidelity

    space = problem.fidelity_space
    names = list(space) if space is not None else []
    name = choice.name if choice is not None else problem.main_fidelity or (names[0] if len(names) == 1 else "")
    if space is None or name not in names:
        what = (
            f"no fidelity {name!r}; it has {', '.join(names)}"
            if names and name
            else "several fidelities and no main one"
        )
        hint = "name one with `fidelity:`" if names else "leave the task or the optimizer out"
        what = what if names else "no fidelity that an optimizer could choose"
        raise HarnessError(f"{problem.name} has {what}: {hint}.")
    parameter: Any = space[name]
    if not all(isinstance(getattr(parameter, end, None), int | float) for end in ("lower", "upper")):
        raise HarnessError(
            f"Fidelity {name} of {problem.name} is not a number, so it has no lowest value: name another one."
        )
    whole = isinstance(parameter.upper, int)
    low = parameter.lower if choice is None or choice.low is None else choice.low
    if not parameter.lower <= low <= parameter.upper or (whole and low != int(low)):
        kind = "a whole number" if whole else "a number"
        raise HarnessError(
            f"Fidelity {name} of {problem.name} is {kind} between {parameter.lower} and {parameter.upper}, which "
            f"{low:g} is not."
        )
    if low <= 0:
        raise HarnessError(
            f"Fidelity {name} of {problem.name} begins at {low:g}, where an evaluation costs nothing: give the lowest "
            f"value to use, as in `fidelity: {{{name}: {parameter.upper / 10:g}}}`."
        )
    return Fidelity(name, float(low), float(parameter.upper), whole)


def cost_fraction(problem: Benchmark, fidelity: Mapping[str, Any] | None) -> float:
    """The cost of an evaluation in full evaluations: the product of value / highest value over its fidelities."""
    found = 1.0
    for name, value in (fidelity or {}).items():
        parameter: Any = problem.fidelity_space[name] if problem.fidelity_space is not None else None
        if isinstance(getattr(parameter, "upper", None), int | float):
            found *= float(value) / parameter.upper
    return found


def fidelity_error(problem: Benchmark, fidelity: Mapping[str, Any]) -> str | None:
    """What is wrong with a fidelity that an optimizer proposed; ``None`` if it is valid."""
    from optibench_benchmarks import BenchmarkError
    from optibench_benchmarks.fidelities import complete

    if problem.fidelity_space is None:
        return f"{problem.name} has no fidelities"
    try:
        complete(problem.name, problem.fidelity_space, fidelity)
    except BenchmarkError as error:
        return str(error)
    return None

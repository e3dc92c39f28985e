"""Numbers of trials: the same for every task, or a multiple of the number of a task's parameters.

``20D`` means 20 times the number of parameters of the task that can vary; a fraction is rounded up.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING

from optibench.numbers import whole
from optibench.options import COUNT, Form, text

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

_PATTERN = r"(\d{1,9}(?:\.\d{1,9})?)[dD]"


def factor(trials: str) -> Fraction:
    """How many trials there are for each parameter.

    Raises:
        ValueError: The text is no multiple of D above 0.
    """
    match = re.fullmatch(_PATTERN, trials, re.ASCII)
    found = Fraction(match[1]) if match else Fraction(0)
    if not found:
        raise ValueError(f"trials are a whole number or a multiple of D such as 20D, not {trials!r}")
    return found


def number(trials: int | str, parameters: int) -> int:
    """The number of trials of a task, given the number of its parameters that can vary; a fraction is rounded up."""
    return trials if isinstance(trials, int) else math.ceil(factor(trials) * parameters)


def larger(one: int | str, other: int | str) -> int | str:
    """The larger one of two of the same kind, numbers or multiples of D."""
    return one if number(one, 1_000_000_000) >= number(other, 1_000_000_000) else other


def constants(space: ConfigurationSpace) -> int:
    """How many parameters of a space have one possible value."""
    return sum(getattr(parameter, "size", math.inf) == 1 for parameter in space.values())


def _read(written: int | str) -> int | str:
    if isinstance(written, int):
        return written
    if (digits := whole(written)) is not None:
        if digits < 1:
            raise ValueError
        return digits
    factor(written)
    before, _, after = written[:-1].partition(".")
    return f"{int(before)}.{after}".rstrip("0").rstrip(".") + "D" if after else f"{int(before)}D"


TRIALS = Form(
    "a whole number of at least 1, or a multiple of the parameters like 20D",
    COUNT.written | text(f"^{_PATTERN}$"),
    _read,
)

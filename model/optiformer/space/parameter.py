"""Parameters and the conditions under which they are active."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from optiformer.errors import ModelError

Kind = Literal["float", "int", "ordinal", "categorical", "constant"]


@dataclass(frozen=True)
class Condition:
    """Condition under which a child is active, as an expression tree.

    Attributes:
        op: ``in``, ``not_in``, ``less``, ``greater`` on ``parent``; ``and``, ``or`` over ``parts``.
        parent: The parent's name; empty for ``and`` and ``or``.
        values: Values that the parent's value is compared with.
        parts: The conditions joined by ``and`` or ``or``.
    """

    op: Literal["in", "not_in", "less", "greater", "and", "or"]
    parent: str = ""
    values: tuple[Any, ...] = ()
    parts: tuple[Condition, ...] = ()

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether the condition holds; an inactive parent (absent from ``config``) never satisfies one."""
        if self.op == "and":
            return all(part.holds(config) for part in self.parts)
        if self.op == "or":
            return any(part.holds(config) for part in self.parts)
        if self.parent not in config:
            return False
        value = config[self.parent]
        if self.op == "in":
            return value in self.values
        if self.op == "not_in":
            return value not in self.values
        return bool(value < self.values[0]) if self.op == "less" else bool(value > self.values[0])

    def parents(self) -> set[str]:
        """The names of all parents in the tree."""
        return set().union(*(part.parents() for part in self.parts)) if self.parts else {self.parent}


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: Its name in the space.
        kind: ``float`` | ``int`` | ``ordinal`` | ``categorical`` | ``constant``.
        low: Smallest value of a number.
        high: Largest value of a number.
        log: Whether its scale is logarithmic.
        step: Distance of a float's or integer's values; ``None`` for a continuous float.
        choices: The values of an ordinal, a categorical or a constant.
        condition: When it is active; ``None`` for always.
    """

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    condition: Condition | None = None

    def __post_init__(self) -> None:
        if self.kind in ("float", "int"):
            if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
                raise ModelError(f"Parameter {self.name!r}: give finite bounds with low <= high, not {self.bounds}.")
            if self.log and self.low <= 0:
                raise ModelError(f"Parameter {self.name!r}: a logarithmic scale needs low > 0, not {self.low}.")
        elif not self.choices:
            raise ModelError(f"Parameter {self.name!r}: a {self.kind} parameter needs at least one value.")

    @property
    def bounds(self) -> tuple[float, float]:
        """``(low, high)``."""
        return self.low, self.high

    @cached_property
    def n_levels(self) -> int | None:
        """Number of values with equally wide cells; ``None`` for continuous or logarithmic scales."""
        if self.kind in ("ordinal", "categorical", "constant"):
            return len(self.choices)
        if self.low == self.high:
            return 1
        if self.log or (self.kind == "float" and self.step is None):
            return None
        return math.floor((self.high - self.low) / self._stride + 1e-9) + 1

    @property
    def _stride(self) -> float:
        return 1.0 if self.step is None else self.step

    def position(self, value: Any) -> float:
        """A value's position in [0, 1] in the parameter's own scale.

        Raises:
            ModelError: The value is not one of the parameter's; the message names the parameter.
        """
        if self.kind in ("ordinal", "categorical", "constant"):
            for index, choice in enumerate(self.choices):
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return (index + 0.5) / len(self.choices)
            raise ModelError(f"Parameter {self.name!r}: {value!r} is not one of {list(self.choices)}.")
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        if not self.low - slack <= number <= self.high + slack:
            raise ModelError(f"Parameter {self.name!r}: {value!r} is outside [{self.low}, {self.high}].")
        number = min(max(number, self.low), self.high)
        levels = self.n_levels
        if levels is not None:
            return (min(round((number - self.low) / self._stride), levels - 1) + 0.5) / levels
        low, high = self._edges()
        return (self._warp(number) / 2 - low / 2) / (high / 2 - low / 2)

    def value(self, position: float) -> Any:
        """The value at a position; for discrete kinds, the value whose cell contains it.

        Raises:
            ModelError: The position is outside [0, 1].
        """
        if not 0.0 <= position <= 1.0:
            raise ModelError(f"Parameter {self.name!r}: position {position!r} is outside [0, 1].")
        levels = self.n_levels
        if levels is not None:
            index = min(int(position * levels), levels - 1)
            if self.kind in ("ordinal", "categorical", "constant"):
                return self.choices[index]
            number = min(self.low + index * self._stride, self.high)
        else:
            low, high = self._edges()
            inner = low * (1 - position) + high * position  # high - low may overflow
            number = min(max(math.exp(inner) if self.log else inner, self.low), self.high)
        if self.kind == "int":
            return int(min(max(round(number), math.ceil(self.low)), math.floor(self.high)))
        return float(number)

    def _warp(self, number: float) -> float:
        return math.log(number) if self.log else number

    def _edges(self) -> tuple[float, float]:
        """The ends of the scale; a logarithmic integer's cells reach half a unit beyond its bounds.

        They are apart where the bounds are so close that their logarithms, or their halves, are equal.
        """
        half = 0.5 if self.kind == "int" else 0.0
        low, high = self._warp(self.low - half), self._warp(self.high + half)
        return low, max(high, low + max(math.ulp(low), sys.float_info.min))


def parents_first(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Order parameters so that parents precede children, otherwise keeping the order given."""
    placed: dict[str, Parameter] = {}
    waiting = list(parameters)
    while waiting:
        ready = [p for p in waiting if p.condition is None or p.condition.parents() <= placed.keys()]
        if not ready:
            raise ModelError(f"The conditions of {[p.name for p in waiting]} have no order; remove the cycle.")
        placed.update((p.name, p) for p in ready)
        waiting = [p for p in waiting if p.name not in placed]
    return tuple(placed.values())

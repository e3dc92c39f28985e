"""One searched parameter: its values, their codes, and its coordinate in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    Hyperparameter,
    OrdinalHyperparameter,
)
from ConfigSpace.hyperparameters.hyperparameter import FloatHyperparameter, IntegerHyperparameter

from optibench_optimizers.base import OptimizerError

Kind = Literal["float", "integer", "ordinal", "categorical"]


def plain(value: Any) -> Any:
    """The Python value of a numpy scalar; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True)
class Parameter:
    """A searched parameter in codes.

    Attributes:
        name: Its name in the space.
        kind: ``float`` | ``integer`` | ``ordinal`` | ``categorical``.
        low, high: Inclusive bounds of the code.
        log: Whether the code is searched on a logarithmic scale.
        values: The choices or the sequence behind the codes 0, 1, ...; empty for numbers.
        default: The default's code.
    """

    name: str
    kind: Kind
    low: float
    high: float
    log: bool
    values: tuple[Any, ...]
    default: float

    @classmethod
    def of(cls, hp: Hyperparameter[Any, Any]) -> Parameter | None:
        """Describe a hyperparameter; ``None`` if there is nothing to search.

        Raises:
            OptimizerError: Its kind is unsupported.
        """
        if isinstance(hp, FloatHyperparameter):
            return cls(hp.name, "float", float(hp.lower), float(hp.upper), bool(hp.log), (), float(hp.default_value))
        if isinstance(hp, IntegerHyperparameter):
            return cls(hp.name, "integer", int(hp.lower), int(hp.upper), bool(hp.log), (), int(hp.default_value))
        if isinstance(hp, Constant):
            return None
        if isinstance(hp, (CategoricalHyperparameter, OrdinalHyperparameter)):
            sequence = hp.sequence if isinstance(hp, OrdinalHyperparameter) else hp.choices
            values = tuple(plain(value) for value in sequence)
            if len(values) == 1:
                return None
            default = int(hp.to_vector(hp.default_value))
            kind: Kind = "ordinal" if isinstance(hp, OrdinalHyperparameter) else "categorical"
            return cls(hp.name, kind, 0, len(values) - 1, False, values, default)
        raise OptimizerError(
            f"Parameter {hp.name!r} is a {type(hp).__name__}, which no optimizer here can search; "
            "use a float, integer, categorical or ordinal one."
        )

    @property
    def size(self) -> float:
        """How many values there are (infinite for a float)."""
        return math.inf if self.kind == "float" else self.high - self.low + 1

    def decode(self, code: float) -> Any:
        """The parameter's Python value, never outside its bounds whatever the rounding."""
        if self.kind == "float":
            return min(max(float(code), self.low), self.high)
        index = min(max(round(code), int(self.low)), int(self.high))
        return self.values[index] if self.values else index

    def _edges(self) -> tuple[float, float]:
        half = 0.0 if self.kind == "float" else 0.5
        low, high = self.low - half, self.high + half
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def to_unit(self, code: float) -> float:
        """Where a code lies in [0, 1]."""
        low, high = self._edges()
        return min(max(((math.log(code) if self.log else code) - low) / (high - low), 0.0), 1.0)

    def from_unit(self, coordinate: float) -> float:
        """The code at a coordinate in [0, 1]."""
        low, high = self._edges()
        scaled = low + min(max(float(coordinate), 0.0), 1.0) * (high - low)
        code = min(max(math.exp(scaled) if self.log else scaled, self.low), self.high)
        return code if self.kind == "float" else round(code)

"""Conversion of search spaces: from ConfigSpace to codes or the unit cube, and back.

Every adapter passes configurations to its library in one of two forms:

* **codes**: one number for each *searched* parameter (one with more than one value). A float is its own value, an
  integer its own value, a categorical the index of its choice and an ordinal its rank. Constants have no code.
* **the unit cube**: one coordinate in [0, 1] for each searched parameter. Floats are scaled, logarithmically where the
  space says so; discrete values divide the interval into equal parts (equal in the logarithm for a logarithmic
  integer) and lie at the middle of theirs.

Where a library needs a full vector (``codes``, ``to_unit``), inactive parameters have their default's code; a
configuration leaves them out. Priors (normal and beta parameters, weighted choices) affect random configurations only:
model-based libraries see the range.

ConfigSpace's own conditions decide which parameters are active, in its order and on its vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optibench_optimizers.base import OptimizerError
from optibench_optimizers.parameters import Parameter, plain

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

Config = dict[str, Any]

# A forbidden clause can leave too little of a space to sample from: raise an error instead of hanging.
MAX_DRAWS = 100_000


class SearchSpace:
    """An adapter's view of a ConfigSpace; never uses the space's own random state.

    Attributes:
        space: The ConfigSpace.
        parameters: The searched parameters, parents before their children.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        self.space = space
        self.parameters: list[Parameter] = []
        self._constants: Config = {}
        for name, hp in space.items():  # ConfigSpace keeps parents before children
            parameter = Parameter.of(hp)
            if parameter is None:
                self._constants[name] = plain(hp.to_value(hp.to_vector(hp.default_value)))
            else:
                self.parameters.append(parameter)
        if not self.parameters:
            raise OptimizerError("The search space has no parameter with more than one value: nothing to optimize.")
        self._by_name = {parameter.name: parameter for parameter in self.parameters}
        self._index_of = dict(space.index_of)
        self._code_of = {
            parameter.name: {value: code for code, value in enumerate(parameter.values)}
            for parameter in self.parameters
            if parameter.values
        }
        conditions = ((name, space.parent_conditions_of[name]) for name in space)
        self.conditions = {name: tuple(found) for name, found in conditions if found}
        self._forbidden = tuple(space.forbidden_clauses)

    def __len__(self) -> int:
        return len(self.parameters)

    # Configurations and codes ------------------------------------------------------------------------------------

    def build(self, choose: Callable[[Parameter], float]) -> Config:
        """Make a configuration, parents first: ``choose`` returns the code of each active parameter."""
        vector = np.full(len(self._index_of), np.nan) if self.conditions else None
        config: Config = {}
        for name in self._index_of:
            if vector is not None and not self.is_active(name, vector):
                continue
            parameter = self._by_name.get(name)
            value = self._constants[name] if parameter is None else parameter.decode(choose(parameter))
            config[name] = value
            if vector is not None:
                self._set(vector, name, value)
        return config

    def configuration(self, codes: Sequence[float]) -> Config:
        """The configuration of a full vector of codes: adds constants, drops inactive parameters."""
        code_of = dict(zip(self._by_name, codes, strict=True))
        return self.build(lambda parameter: code_of[parameter.name])

    def codes(self, config: Mapping[str, Any]) -> list[float]:
        """One code per searched parameter; an inactive one has its default's.

        Raises:
            OptimizerError: The configuration has an unknown parameter or an illegal value.
        """
        unknown = [name for name in config if name not in self._index_of]
        if unknown:
            raise OptimizerError(
                f"The search space has no parameter {unknown[0]!r}; tell configurations of this space."
            )
        return [
            self.encode(parameter.name, config[parameter.name]) if parameter.name in config else parameter.default
            for parameter in self.parameters
        ]

    def encode(self, name: str, value: Any) -> float:
        """The code of a searched parameter's value.

        Raises:
            OptimizerError: The value is not one of the parameter's.
        """
        parameter = self._by_name[name]
        if parameter.values:
            code = self._code_of[name].get(plain(value))
            if code is not None:
                return code
        elif not isinstance(value, str) and parameter.low <= value <= parameter.high:
            if parameter.kind == "float":
                return float(value)
            if value == int(value):
                return int(value)
        raise OptimizerError(
            f"{value!r} is not a legal value of parameter {name!r}; tell configurations of this space."
        )

    # The unit cube -----------------------------------------------------------------------------------------------

    def to_unit(self, config: Mapping[str, Any]) -> NDArray[np.float64]:
        """Shape ``(len(self),)``, in [0, 1]; an inactive parameter lies at its default."""
        codes = self.codes(config)
        return np.array([parameter.to_unit(code) for parameter, code in zip(self.parameters, codes, strict=True)])

    def from_unit(self, point: Sequence[float] | NDArray[np.float64]) -> Config:
        """The configuration at a point of the unit cube of shape ``(len(self),)``."""
        return self.configuration([p.from_unit(x) for p, x in zip(self.parameters, point, strict=True)])

    # ConfigSpace's vectors ---------------------------------------------------------------------------------------

    def vector(self, config: Mapping[str, Any]) -> NDArray[np.float64]:
        """ConfigSpace's vector of a configuration, shape ``(len(space),)``; NaN where inactive."""
        vector = np.full(len(self._index_of), np.nan)
        for name, value in config.items():
            self._set(vector, name, plain(value))
        return vector

    def _set(self, vector: NDArray[np.float64], name: str, value: Any) -> None:
        code_of = self._code_of.get(name)
        vector[self._index_of[name]] = self.space[name].to_vector(value) if code_of is None else code_of[value]

    def from_vector(self, vector: NDArray[np.float64]) -> Config:
        """The configuration of a ConfigSpace vector; exact where ``dict(Configuration)`` rounds to 13 decimals."""
        config: Config = {}
        for name, index in self._index_of.items():
            if math.isnan(vector[index]):
                continue
            parameter = self._by_name.get(name)
            if parameter is None:
                config[name] = self._constants[name]
            elif parameter.values:
                config[name] = parameter.decode(vector[index])
            else:
                config[name] = parameter.decode(plain(self.space[name].to_value(vector[index])))
        return config

    def is_active(self, name: str, vector: NDArray[np.float64]) -> bool:
        """Whether a parameter is active given the ones before it in ConfigSpace's order."""
        return all(condition.satisfied_by_vector(vector) for condition in self.conditions.get(name, ()))

    def is_allowed(self, config: Mapping[str, Any]) -> bool:
        """Whether no forbidden clause rules the configuration out."""
        if not self._forbidden:
            return True
        vector = self.vector(config)
        return not any(clause.is_forbidden_vector(vector) for clause in self._forbidden)

    # Random configurations ---------------------------------------------------------------------------------------

    def sample(self, n: int, rng: np.random.RandomState) -> list[Config]:
        """Draw ``n`` valid configurations from the space's own distribution (its priors included).

        Raises:
            OptimizerError: The forbidden clauses leave almost nothing of the space.
        """
        found: list[Config] = []
        drawn = 0
        while len(found) < n:
            if drawn >= MAX_DRAWS and not found:
                raise OptimizerError(
                    f"No valid configuration in {drawn} random ones: the space's forbidden clauses rule out nearly all "
                    "of it; remove some, or make the ranges smaller."
                )
            # Doubles while too few are valid, so that a sparse space takes few rounds.
            block = max(n - len(found), min(2 * drawn, MAX_DRAWS // 10))
            drawn += block
            found.extend(self._draw(block, rng))
        return found[:n]

    def _draw(self, n: int, rng: np.random.RandomState) -> list[Config]:
        vectors = np.array([hp.sample_vector(n, seed=rng) for hp in self.space.values()])
        for name, conditions in self.conditions.items():
            for condition in conditions:
                vectors[self._index_of[name], ~condition.satisfied_by_vector_array(vectors)] = np.nan
        for clause in self._forbidden:
            vectors = vectors[:, ~clause.is_forbidden_vector_array(vectors)]
        columns = []
        for name, row in zip(self._index_of, vectors, strict=True):
            active = ~np.isnan(row)
            column: list[Any] = [None] * len(row)
            parameter = self._by_name.get(name)
            if parameter is None:
                values = [self._constants[name]] * int(active.sum())
            elif parameter.values:
                values = [parameter.values[code] for code in np.rint(row[active]).astype(int)]
            else:
                values = [parameter.decode(value) for value in self.space[name].to_value(row[active]).tolist()]
            for position, value in zip(np.flatnonzero(active), values, strict=True):
                column[position] = (value,)
            columns.append(column)
        return [
            {name: cell[0] for name, cell in zip(self._index_of, row, strict=True) if cell is not None}
            for row in zip(*columns, strict=True)
        ]

"""Vectorised maps between configurations and positions in the unit cube, with snapping and conditions.

Columns are the free parameters (those with more than one value) in the space's order, parents before children. The maps
are those of :class:`optiformer.space.parameter.Parameter`; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optiformer.gp.posterior import Kinds
from optiformer.space.parameter import Condition, Parameter
from optiformer.space.space import Space

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
MAX_ENUMERATED = 1024


class UnitSpace:
    """A search space of D free parameters as the unit cube.

    Args:
        space: The space.

    Attributes:
        parameters: The free parameters, one per column.
        levels: Number of equally wide cells of discrete parameters, 0 for others, (D,).
        categorical: Which parameters are categorical, (D,).
        branching: Columns of unconditional categoricals that decide which other parameters are active, (b,).
        n_configurations: Number of configurations if all parameters are discrete and unconditional, else infinity.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.parameters: tuple[Parameter, ...] = space.free
        self.levels = np.array([float(p.n_levels or 0) for p in self.parameters])
        self.categorical = np.array([p.kind == "categorical" for p in self.parameters], dtype=bool)
        self._column = {p.name: i for i, p in enumerate(self.parameters)}
        self._log_integers = [i for i, p in enumerate(self.parameters) if p.kind == "int" and p.n_levels is None]
        self._conditional = any(p.condition is not None for p in space.parameters)
        parents = {name for p in space.parameters if p.condition is not None for name in p.condition.parents()}
        deciding = [p.kind == "categorical" and p.condition is None and p.name in parents for p in self.parameters]
        self.branching = np.flatnonzero(deciding)
        counts = [p.high - p.low + 1 if i in self._log_integers else p.n_levels for i, p in enumerate(self.parameters)]
        flat = not self._conditional and all(count for count in counts)
        self.n_configurations = float(np.prod(np.array(counts, dtype=float))) if flat else float("inf")

    def __len__(self) -> int:
        return len(self.parameters)

    def snap(self, positions: Array) -> Array:
        """Move discrete positions to the centre of their cell and clip others to [0, 1], (m, D)."""
        inside = positions.clip(0.0, 1.0)
        cells = np.maximum(self.levels, 1)
        snapped = np.where(self.levels > 0, (np.minimum(np.floor(inside * cells), cells - 1) + 0.5) / cells, inside)
        for column in self._log_integers:
            parameter = self.parameters[column]
            low, high = parameter._edges()
            numbers = np.log(self._numbers(parameter, inside[:, column]))
            snapped[:, column] = (numbers / 2 - low / 2) / (high / 2 - low / 2)
        return snapped

    def active(self, positions: Array) -> Mask:
        """Which parameters are active in snapped positions, (m, D)."""
        if not self._conditional:
            return np.ones(positions.shape, dtype=bool)
        active: dict[str, Mask] = {}
        for parameter in self.space.parameters:
            everywhere = np.ones(len(positions), dtype=bool)
            holds = parameter.condition is None
            active[parameter.name] = everywhere if holds else self._holds(parameter.condition, positions, active)
        return np.stack([active[p.name] for p in self.parameters], axis=1)

    def position(self, config: Mapping[str, Any]) -> tuple[Array, Mask]:
        """A configuration's position, .5 where inactive, and its activity, (D,) each.

        Raises:
            ModelError: A value is outside its range.
        """
        found = np.array([p.position(config[p.name]) if p.name in config else 0.5 for p in self.parameters])
        return found, np.array([p.name in config for p in self.parameters], dtype=bool)

    def config(self, position: Array) -> dict[str, Any]:
        """The configuration at a position, (D,)."""
        config: dict[str, Any] = {}
        for parameter in self.space.parameters:
            if self.space.is_active(parameter, config):
                column = self._column.get(parameter.name)
                config[parameter.name] = parameter.value(0.5 if column is None else float(position[column]))
        return config

    def all_positions(self) -> Array:
        """Every configuration of a small discrete space, (n_configurations, D)."""
        axes = []
        for column, parameter in enumerate(self.parameters):
            if column in self._log_integers:
                numbers = np.arange(parameter.low, parameter.high + 1)
                axes.append(np.array([parameter.position(int(number)) for number in numbers]))
            else:
                axes.append((np.arange(self.levels[column]) + 0.5) / self.levels[column])
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)

    @property
    def kinds(self) -> Kinds:
        """Types of the parameters."""
        return Kinds(self.categorical, self.levels)

    def _holds(self, condition: Condition | None, positions: Array, active: Mapping[str, Mask]) -> Mask:
        assert condition is not None
        if condition.op in ("and", "or"):
            parts = [self._holds(part, positions, active) for part in condition.parts]
            return np.asarray(np.logical_and.reduce(parts) if condition.op == "and" else np.logical_or.reduce(parts))
        parent = self.space[condition.parent]
        column = self._column.get(parent.name)
        parent_active = active[parent.name]
        if column is None:
            return np.asarray(parent_active & condition.holds({parent.name: parent.value(0.5)}))
        levels = parent.n_levels
        if levels is not None:
            index = np.minimum((positions[:, column] * levels).astype(int), levels - 1)
            table = {i: condition.holds({parent.name: parent.value((i + 0.5) / levels)}) for i in np.unique(index)}
            return np.asarray(parent_active & np.array([table[i] for i in index], dtype=bool))
        numbers = self._numbers(parent, positions[:, column])
        if condition.op in ("less", "greater"):
            limit = condition.values[0]
            return np.asarray(parent_active & (numbers < limit if condition.op == "less" else numbers > limit))
        return np.asarray(parent_active & (np.isin(numbers, condition.values) == (condition.op == "in")))

    def _numbers(self, parameter: Parameter, column: Array) -> Array:
        """Values of a numeric parameter at positions in [0, 1]."""
        low, high = parameter._edges()
        inner = low * (1 - column) + high * column
        numbers = np.exp(inner) if parameter.log else inner
        if parameter.kind == "int":
            numbers = np.rint(numbers)
        return np.asarray(numbers.clip(parameter.low, parameter.high))

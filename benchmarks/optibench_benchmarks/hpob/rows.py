"""A pool's search space, rebuilt from HPO-B's columns, and the row that a configuration denotes.

The space has the parameters that differ among the pool's rows:

* one-hot columns are a category; ``_INVALID`` is the category's default in R;
* ``.na`` columns are conditions (``degree`` is active with the polynomial kernel only). Within its condition, a run
  that does not list a parameter has R's default, which no other run has; only ``min.node.size`` has a category of its
  own, whether a run sets it;
* whole numbers that were drawn evenly are integers again (``max_depth``, ``minsplit``, ``num.trees``, ...); another
  column of at most 64 values is an ordinal of them;
* every other number is a float from 0 to 1: the share of the rows with a smaller value, among those where it is
  active. On this scale the runs were drawn evenly, as a random configuration is. HPO-B's own scale, which takes
  logarithms of some evenly drawn columns, would give a few rows most of the space.

A configuration denotes the nearest row among those with the same categories. Distances are Euclidean over the active
numbers, integers divided by their range and ordinals as shares of rows; of equally near rows the first counts. So
each row's own configuration denotes this row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError, Config
from optibench_benchmarks.hpob.pools import Array
from optibench_benchmarks.hpob.spaces import CONDITIONS, SET_NODE_SIZE, Scale, Space

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

MAX_LEVELS = 64
"""Columns with at most so many values are ordinals."""


@dataclass(frozen=True)
class Category:
    """A category: its values, and the place of each row's value among them, shape ``(rows,)``."""

    values: Sequence[str]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class Number:
    """A numeric parameter of a pool.

    Attributes:
        parameter: As a parameter of ConfigSpace.
        parent: The category and its value with which it is active; ``None``: always.
        active: Where it is active, shape ``(rows,)``.
        values: Its value in each row where it is active; 0 elsewhere.
        places: Where these values are on the scale of distances.
        place: From a value to its place.
    """

    parameter: Any
    parent: tuple[str, str] | None
    active: NDArray[np.bool_]
    values: NDArray[Any]
    places: Array
    place: Callable[[Any], float]


@dataclass(frozen=True)
class Group:
    """The rows with the same categories: their numbers, ascending, and the places of each active parameter in them."""

    rows: NDArray[np.int64]
    columns: Mapping[str, Array]


class Rows:
    """A pool as a choice among rows.

    Args:
        name: The task's name.
        space: HPO-B's search space.
        table: The pool's columns, shape ``(rows, columns)``.

    Raises:
        BenchmarkError: The table does not have the form that HPO-B describes.
    """

    def __init__(self, name: str, space: Space, table: Array) -> None:
        self.name = name
        categories = dict(_categories(name, space, table))
        self.categories = {key: one for key, one in categories.items() if np.ptp(one.codes)}
        numbers = ((key, _number(name, space, key, table, categories)) for key in space.numbers)
        self.numbers = {key: number for key, number in numbers if number is not None}
        self._groups = dict(self._split(len(table)))

    def _split(self, count: int) -> Iterator[tuple[tuple[str, ...], Group]]:
        codes = np.zeros(count, dtype=np.int64)
        for category in self.categories.values():
            codes = codes * len(category.values) + category.codes
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            key = tuple(one.values[one.codes[rows[0]]] for one in self.categories.values())
            active = {one: number for one, number in self.numbers.items() if number.active[rows[0]]}
            yield key, Group(rows, {one: number.places[rows] for one, number in active.items()})

    def space(self) -> ConfigurationSpace:
        """The search space, with conditions."""
        from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, EqualsCondition

        space = ConfigurationSpace(name=self.name)
        space.add([CategoricalHyperparameter(key, list(one.values)) for key, one in self.categories.items()])
        space.add([number.parameter for number in self.numbers.values()])
        parents = {key: number.parent for key, number in self.numbers.items() if number.parent is not None}
        space.add([EqualsCondition(space[key], space[parent], value) for key, (parent, value) in parents.items()])
        return space

    def config(self, row: int) -> dict[str, Any]:
        """The configuration of a row."""
        found: dict[str, Any] = {key: one.values[one.codes[row]] for key, one in self.categories.items()}
        active = {key: number for key, number in self.numbers.items() if number.active[row]}
        return found | {key: number.values[row].item() for key, number in active.items()}

    def row(self, config: Config) -> int:
        """The row that a configuration denotes.

        Raises:
            BenchmarkError: A parameter is missing, or a category or an ordinal has no such value.
        """
        try:
            group = self._groups[tuple([config[key] for key in self.categories])]
            distances: Any = 0.0
            for key, places in group.columns.items():  # one after the other, so that sums are rounded everywhere alike
                offset = places - self.numbers[key].place(config[key])
                offset *= offset
                distances += offset
        except KeyError as error:
            raise BenchmarkError(self._refusal(config)) from error
        return int(group.rows[np.argmin(distances)])

    def _refusal(self, config: Config) -> str:
        choices = {key: one.values for key, one in self.categories.items()}
        for key, number in self.numbers.items():
            if hasattr(number.parameter, "sequence"):
                choices[key] = number.parameter.sequence
        for key, values in choices.items():
            if key in config and config[key] not in values:
                known = ", ".join(map(str, values))
                return f"Parameter {key!r} of {self.name} must be one of {known}, not {config[key]!r}."
        lacking = [key for key in (*self.categories, *self.numbers) if key not in config]
        return f"A configuration of {self.name} lacks one of {', '.join(lacking)}; give every active parameter a value."


def _categories(name: str, space: Space, table: Array) -> Iterator[tuple[str, Category]]:
    for key, columns in space.categories.items():
        one_hot = table[:, list(columns.values())] == 1.0
        if not np.all(one_hot.sum(axis=1) == 1):
            raise BenchmarkError(f"The data of {name} has rows without exactly one value of {key}; fetch it again.")
        yield key, Category(list(columns), one_hot.argmax(axis=1))
    missing = space.missing("min.node.size")
    if missing is not None:
        yield SET_NODE_SIZE, Category(("yes", "no"), (table[:, missing] == 1.0).astype(np.int64))


def _number(name: str, space: Space, key: str, table: Array, categories: Mapping[str, Category]) -> Number | None:
    """A parameter, with R's default in rows that do not list it although it is active; ``None`` if all are equal."""
    column, scale, missing = table[:, space.numbers[key]], space.scales.get(key, Scale()), space.missing(key)
    active, parent = np.ones(len(table), dtype=bool), None
    if missing is not None:
        absent, parent = table[:, missing] == 1.0, CONDITIONS.get(key)
        if parent is not None:
            category = categories[parent[0]]
            active = category.codes == category.values.index(parent[1])
        if not np.all(absent[~active]) or (scale.default is None and np.any(absent & active)):
            raise BenchmarkError(f"The data of {name} has rows that list {key} where it is not active, or the reverse.")
        column = np.where(absent & active, scale.default or 0.0, column)
    levels, codes, counts = np.unique(column[active], return_inverse=True, return_counts=True)
    if len(levels) < 2:
        return None
    if scale.steps and np.any(np.abs(levels * scale.steps - np.rint(levels * scale.steps)) > 1e-3):
        raise BenchmarkError(f"The data of {name} has values of {key} that are no whole numbers; fetch it again.")
    parameter, values, places, place = _scaled(key, scale, levels, counts)
    filled = [np.zeros(len(table), dtype=one.dtype) for one in (values, places)]
    for whole, one in zip(filled, (values, places), strict=True):
        whole[active] = one[codes]
    return Number(parameter, None if active.all() else parent, active, filled[0], filled[1], place)


def _scaled(
    key: str, scale: Scale, levels: Array, counts: NDArray[np.int64]
) -> tuple[Any, NDArray[Any], Array, Callable[[Any], float]]:
    """The parameter of a column with these levels, so many rows of each: its values, their places, and the function."""
    from ConfigSpace import OrdinalHyperparameter, UniformFloatHyperparameter, UniformIntegerHyperparameter

    if scale.steps:
        whole = np.rint(levels * scale.steps).astype(int) + scale.first
        low, width = int(whole[0]), int(whole[-1] - whole[0])
        integer = UniformIntegerHyperparameter(key, low, low + width)
        return integer, whole, (whole - low) / width, lambda value: (value - low) / width
    middles = np.cumsum(counts) - 0.5 * (counts + 1)  # of the ranks of the rows with this level
    shares = np.round((middles - middles[0]) / (middles[-1] - middles[0]), 13)  # as ConfigSpace rounds floats
    if len(levels) <= MAX_LEVELS:
        known = dict(zip(levels.tolist(), shares.tolist(), strict=True))
        ordinal = OrdinalHyperparameter(key, list(known), default_value=list(known)[(len(known) - 1) // 2])
        return ordinal, levels, shares, known.__getitem__
    return UniformFloatHyperparameter(key, 0.0, 1.0), shares, shares, float

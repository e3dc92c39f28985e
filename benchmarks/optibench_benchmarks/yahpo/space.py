"""Reads the search spaces that YAHPO Gym stores in ConfigSpace's JSON format 0.2 into today's ConfigSpace objects.

ConfigSpace reads that format itself, with a warning for each default value, but cannot leave parameters out. Here the
parameter that names the task and the fidelities are not part of the search space.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optibench_benchmarks.base import BenchmarkError

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

Item = Mapping[str, Any]


def search_space(content: Item, left_out: Collection[str]) -> ConfigurationSpace:
    """The search space without the parameters ``left_out``.

    Args:
        content: The parsed JSON.
        left_out: Names of parameters outside the search space: the task's name and the fidelities.

    Raises:
        BenchmarkError: The space uses an unsupported feature, or a condition or forbidden clause depends on a parameter
            that is left out.
    """
    from ConfigSpace import ConfigurationSpace

    space = ConfigurationSpace()
    space.add([_parameter(item) for item in content["hyperparameters"] if item["name"] not in left_out])
    for item in (*content.get("conditions", ()), *content.get("forbiddens", ())):
        outside = _mentioned(item) & set(left_out)
        if outside:
            raise BenchmarkError(
                f"The search space has a condition or clause on {', '.join(sorted(outside))}, which is no part of it."
            )
    space.add([_condition(item, space) for item in content.get("conditions", ())])
    space.add([_forbidden(item, space) for item in content.get("forbiddens", ())])
    return space


def fidelity_space(content: Item, names: Sequence[str]) -> ConfigurationSpace:
    """The space of the fidelities alone; each one's default is its highest value."""
    from ConfigSpace import ConfigurationSpace

    items = {item["name"]: item for item in content["hyperparameters"]}
    space = ConfigurationSpace()
    space.add([_parameter({**items[name], "default": items[name]["upper"]}) for name in names])
    return space


def _parameter(item: Item) -> Hyperparameter[Any, Any]:
    from ConfigSpace import (
        CategoricalHyperparameter,
        Constant,
        OrdinalHyperparameter,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    name, kind = item["name"], item["type"]
    if item.get("q") is not None:
        raise BenchmarkError(f"Parameter {name!r} of the search space is quantized, which is not supported.")
    if kind == "uniform_float":
        return UniformFloatHyperparameter(name, item["lower"], item["upper"], item["default"], log=item["log"])
    if kind == "uniform_int":
        return UniformIntegerHyperparameter(name, item["lower"], item["upper"], item["default"], log=item["log"])
    if kind == "categorical":
        weights = item.get("weights", item.get("probabilities"))
        return CategoricalHyperparameter(name, item["choices"], default_value=item["default"], weights=weights)
    if kind == "ordinal":
        return OrdinalHyperparameter(name, item["sequence"], item["default"])
    if kind == "constant":
        return Constant(name, item["value"])
    raise BenchmarkError(f"Parameter {name!r} of the search space has the unknown type {kind!r}.")


def _condition(item: Item, space: ConfigurationSpace) -> Any:
    from ConfigSpace import (
        AndConjunction,
        EqualsCondition,
        GreaterThanCondition,
        InCondition,
        LessThanCondition,
        NotEqualsCondition,
        OrConjunction,
    )

    kind = item["type"]
    if kind in ("AND", "OR"):
        parts = [_condition(part, space) for part in item["conditions"]]
        return (AndConjunction if kind == "AND" else OrConjunction)(*parts)
    child, parent = space[item["child"]], space[item["parent"]]
    if kind == "IN":
        return InCondition(child, parent, item["values"])
    simple = {"EQ": EqualsCondition, "NEQ": NotEqualsCondition, "LT": LessThanCondition, "GT": GreaterThanCondition}
    if kind not in simple:
        raise BenchmarkError(f"A condition of the search space has the unknown type {kind!r}.")
    return simple[kind](child, parent, item["value"])


def _forbidden(item: Item, space: ConfigurationSpace) -> Any:
    from ConfigSpace import ForbiddenAndConjunction, ForbiddenEqualsClause, ForbiddenInClause

    kind = item["type"]
    if kind == "AND":
        return ForbiddenAndConjunction(*[_forbidden(part, space) for part in item["clauses"]])
    if kind == "EQUALS":
        return ForbiddenEqualsClause(space[item["name"]], item["value"])
    if kind == "IN":
        return ForbiddenInClause(space[item["name"]], item["values"])
    raise BenchmarkError(f"A forbidden clause of the search space has the unknown type {kind!r}.")


def _mentioned(item: Item) -> set[str]:
    """Every parameter that a condition or a forbidden clause depends on or acts on."""
    names = {item[key] for key in ("child", "parent", "name") if key in item}
    for part in (*item.get("conditions", ()), *item.get("clauses", ())):
        names |= _mentioned(part)
    return names

"""ConfigSpace and Optuna search spaces to :class:`optiformer.space.parameter.Parameter` lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optiformer.errors import ModelError
from optiformer.space.parameter import Condition, Parameter, parents_first

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from optuna.distributions import BaseDistribution


def from_configspace(space: ConfigurationSpace) -> tuple[Parameter, ...]:
    """Read a ConfigSpace's hyperparameters and conditions.

    Raises:
        ModelError: It has an unknown type of hyperparameter or condition.
    """
    conditions: dict[str, list[Condition]] = {}
    for condition in space.conditions:
        child, tree = _condition(condition)
        conditions.setdefault(child, []).append(tree)
    parameters = []
    for name, hyperparameter in space.items():
        trees = conditions.get(name, [])
        joined = trees[0] if len(trees) == 1 else Condition("and", parts=tuple(trees)) if trees else None
        parameters.append(_hyperparameter(name, hyperparameter, joined))
    return parents_first(parameters)


def _hyperparameter(name: str, hyperparameter: Any, condition: Condition | None) -> Parameter:
    from ConfigSpace import hyperparameters as kinds

    if isinstance(hyperparameter, kinds.Constant):
        return Parameter(name, "constant", choices=(_plain(hyperparameter.value),), condition=condition)
    if isinstance(hyperparameter, kinds.CategoricalHyperparameter):
        choices = tuple(_plain(choice) for choice in hyperparameter.choices)
        return Parameter(name, "categorical", choices=choices, condition=condition)
    if isinstance(hyperparameter, kinds.OrdinalHyperparameter):
        choices = tuple(_plain(choice) for choice in hyperparameter.sequence)
        return Parameter(name, "ordinal", choices=choices, condition=condition)
    kind: Any = "int" if isinstance(hyperparameter, kinds.IntegerHyperparameter) else "float"
    if kind == "float" and not isinstance(hyperparameter, kinds.FloatHyperparameter):
        raise ModelError(f"Parameter {name!r} is a {type(hyperparameter).__name__}, which OptiFormer does not know.")
    low, high = float(hyperparameter.lower), float(hyperparameter.upper)
    return Parameter(name, kind, low, high, log=bool(hyperparameter.log), condition=condition)


def _condition(condition: Any) -> tuple[str, Condition]:
    from ConfigSpace import conditions as kinds

    if isinstance(condition, kinds.AndConjunction | kinds.OrConjunction):
        parts = [_condition(part) for part in condition.components]
        op: Any = "and" if isinstance(condition, kinds.AndConjunction) else "or"
        return parts[0][0], Condition(op, parts=tuple(tree for _, tree in parts))
    ops: dict[type, Any] = {
        kinds.EqualsCondition: "in",
        kinds.InCondition: "in",
        kinds.NotEqualsCondition: "not_in",
        kinds.LessThanCondition: "less",
        kinds.GreaterThanCondition: "greater",
    }
    if type(condition) not in ops:
        raise ModelError(f"The condition {condition} is of a kind that OptiFormer does not know.")
    values = condition.values if isinstance(condition, kinds.InCondition) else (condition.value,)
    tree = Condition(ops[type(condition)], condition.parent.name, tuple(_plain(value) for value in values))
    return condition.child.name, tree


def _plain(value: Any) -> Any:
    """Convert a NumPy scalar to a Python value."""
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


def from_optuna(distributions: Mapping[str, BaseDistribution]) -> tuple[Parameter, ...]:
    """Read Optuna distributions.

    Raises:
        ModelError: A distribution has an unknown type.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    parameters = []
    for name, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            # Indices, because Optuna's choices may repeat or hold NaN; the sampler maps them back.
            parameter = Parameter(name, "categorical", choices=tuple(range(len(distribution.choices))))
        elif isinstance(distribution, FloatDistribution | IntDistribution):
            kind: Any = "float" if isinstance(distribution, FloatDistribution) else "int"
            step = None if distribution.step is None or distribution.log else float(distribution.step)
            parameter = Parameter(name, kind, distribution.low, distribution.high, distribution.log, step)
        else:
            raise ModelError(f"Parameter {name!r} has a {type(distribution).__name__}, which OptiFormer does not know.")
        parameters.append(parameter)
    return tuple(parameters)

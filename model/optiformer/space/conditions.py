"""Learns conditions from past configurations, since define-by-run code does not declare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from optiformer.space.parameter import Condition, Parameter
from optiformer.space.space import Space

Configs = Sequence[Mapping[str, Any]]
#: Maximum number of values of a numeric parameter that conditions list; beyond it they use thresholds.
MAX_VALUES = 16


def learn(parameters: Sequence[Parameter], configs: Configs) -> Space:
    """A space whose conditions explain which parameters past configurations have.

    A parameter that some configurations lack gets the simplest condition on one or two other parameters that holds in
    all configurations. Without one it is unconditional, such as a parameter that was added later.

    Args:
        parameters: The parameters, without conditions.
        configs: Past configurations.
    """
    if all(len(config) == len(parameters) for config in configs):
        return Space.of(parameters)
    having = {p.name: frozenset(i for i, config in enumerate(configs) if p.name in config) for p in parameters}
    found = []
    for parameter in parameters:
        some = 0 < len(having[parameter.name]) < len(configs)
        condition = _explanation(parameter, parameters, configs, having) if some else None
        found.append(replace(parameter, condition=condition))
    return Space.of(found)


def _explanation(
    child: Parameter, parameters: Sequence[Parameter], configs: Configs, having: Mapping[str, frozenset[int]]
) -> Condition | None:
    mine = having[child.name]
    # A parent is active whenever the child is, and more often.
    parents = [p for p in parameters if having[p.name] > mine]
    splits = [split for parent in parents for split in _splits(parent, configs, mine, having[parent.name])]
    exact = [(cost, condition) for cost, condition, wrong in splits if not wrong]
    if not exact:
        exact = [
            (one[0] + two[0], Condition("and", parts=(one[1], two[1])))
            for one, two in combinations(splits, 2)
            if not one[2] & two[2] and one[1].parent != two[1].parent
        ]
    return min(exact, key=lambda pair: pair[0])[1] if exact else None


def _splits(
    parent: Parameter, configs: Configs, mine: frozenset[int], its: frozenset[int]
) -> list[tuple[int, Condition, frozenset[int]]]:
    """Conditions on a parent that hold wherever the child is active: cost, condition, and where it holds wrongly.

    The cost is the number of observed values of the parent, or 2 for a threshold: a condition with more of them is more
    likely to hold by chance.
    """
    name = parent.name
    inside = {configs[i][name] for i in mine}
    without = its - mine
    outside = {configs[i][name] for i in without}
    found = []
    if parent.kind in ("categorical", "ordinal") or (parent.n_levels or MAX_VALUES + 1) <= MAX_VALUES:
        wrong = frozenset(i for i in without if configs[i][name] in inside)
        found.append((len(inside | outside), Condition("in", name, tuple(sorted(inside, key=repr))), wrong))
    if parent.kind in ("int", "float") and outside:
        least, most = min(inside), max(inside)
        below = frozenset(i for i in without if configs[i][name] >= least)
        above = frozenset(i for i in without if configs[i][name] <= most)
        low = max((configs[i][name] for i in without - below), default=None)
        high = min((configs[i][name] for i in without - above), default=None)
        if low is not None:
            found.append((2, Condition("greater", name, (_between(parent, low, least),)), below))
        if high is not None:
            found.append((2, Condition("less", name, (_between(parent, high, most),)), above))
    return found


def _between(parent: Parameter, a: float, b: float) -> float:
    """A threshold halfway between two values."""
    return a / 2 + b / 2 if parent.kind == "float" else (a + b) / 2

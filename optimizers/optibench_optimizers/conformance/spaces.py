"""Search spaces and objectives of :mod:`optibench_optimizers.conformance.suite`.

Each space is small and has one property that optimizers get wrong; every call builds a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenInClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrConjunction,
    OrdinalHyperparameter,
)
from ConfigSpace.util import check_configuration

from optibench_optimizers.spaces import SearchSpace


def mixed() -> ConfigurationSpace:
    """A parameter of each kind, a truth value and a constant."""
    return ConfigurationSpace(
        {"x": (-2.0, 3.0), "n": (1, 7), "c": ["red", "green", "blue"], "flag": [True, False], "fixed": 4.5}
    )


def conditional() -> ConfigurationSpace:
    """Conditions on a category, on numbers, and on both."""
    space = ConfigurationSpace(seed=0)
    booster, depth, rate, drop, skip = (
        Categorical("booster", ["tree", "linear", "dart"]),
        Integer("depth", (1, 12)),
        Float("rate", (1e-4, 1.0), log=True),
        Float("drop", (0.0, 1.0)),
        Float("skip", (0.0, 1.0)),
    )
    space.add(booster, depth, rate, drop, skip)
    space.add(
        InCondition(depth, booster, ["tree", "dart"]),
        AndConjunction(EqualsCondition(drop, booster, "dart"), GreaterThanCondition(drop, depth, 3)),
        OrConjunction(EqualsCondition(skip, booster, "linear"), GreaterThanCondition(skip, rate, 0.1)),
    )
    return space


def categories() -> ConfigurationSpace:
    """Categories only: words, numbers that are names, a single choice."""
    return ConfigurationSpace({"a": ["x", "y", "z"], "b": [1, 2, 3, 4], "c": ["only"]})


def line() -> ConfigurationSpace:
    """One dimension."""
    return ConfigurationSpace({"x": (0.0, 1.0)})


def fifty() -> ConfigurationSpace:
    """Fifty dimensions."""
    return ConfigurationSpace({f"x{index}": (-5.0, 5.0) for index in range(50)})


def logarithmic() -> ConfigurationSpace:
    """Ranges over many orders of magnitude, an integer's too."""
    space = ConfigurationSpace()
    space.add(
        Float("tiny", (1e-12, 1e-3), log=True), Float("huge", (1e3, 1e18), log=True), Integer("n", (1, 10**6), log=True)
    )
    return space


def scales() -> ConfigurationSpace:
    """Linear ranges that are tiny, huge, or thin and far from zero."""
    space = ConfigurationSpace()
    space.add(
        Float("tiny", (-1e-9, 1e-9)),
        Float("huge", (-1e12, 1e12)),
        Float("thin", (1.0, 1.0 + 1e-6)),
        Integer("far", (10**9, 10**9 + 5)),
    )
    return space


def grid() -> ConfigurationSpace:
    """Ordered values."""
    space = ConfigurationSpace()
    space.add(
        OrdinalHyperparameter("units", [16, 32, 64, 128, 512]),
        OrdinalHyperparameter("rate", [1e-5, 1e-3, 0.1]),
        OrdinalHyperparameter("size", ["S", "M", "L"]),
        Integer("depth", (1, 3)),
    )
    return space


def forbidden() -> ConfigurationSpace:
    """Clauses that rule out half of the space."""
    space = ConfigurationSpace({"x": (0.0, 1.0), "n": (1, 4)})
    space.add(Categorical("a", ["p", "q", "r"], default="r"))  # the default must be allowed
    space.add(
        ForbiddenAndConjunction(ForbiddenEqualsClause(space["a"], "p"), ForbiddenInClause(space["n"], [1, 2])),
        ForbiddenEqualsClause(space["a"], "q"),
    )
    return space


def four() -> ConfigurationSpace:
    """Four configurations in all."""
    return ConfigurationSpace({"a": ["x", "y"], "n": (1, 2)})


SPACES: Mapping[str, Callable[[], ConfigurationSpace]] = {
    make.__name__: make
    for make in (mixed, conditional, categories, line, fifty, logarithmic, scales, grid, forbidden, four)
}


def bowl(config: Mapping[str, Any], space: SearchSpace) -> float:
    """A smooth bowl in the unit cube, off the centre."""
    return float(np.mean((space.to_unit(config) - 0.3) ** 2))


def check_valid(config: Mapping[str, Any], space: SearchSpace) -> None:
    """Active parameters only, plain Python values, each legal, no forbidden clause broken."""
    for name, value in config.items():
        assert type(value) in (int, float, str, bool), f"{name} is a {type(value)}: {config}"
        assert name in space.space, f"{name!r} is no parameter of the space: {config}"
        assert space.space[name].legal_value(value), f"{value!r} is not legal for {space.space[name]}"
    check_configuration(space.space, space.vector(config))

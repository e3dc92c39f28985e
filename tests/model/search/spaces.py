"""Spaces for the tests of the search, and trials in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    GreaterThanCondition,
    InCondition,
    Integer,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
    OrdinalHyperparameter,
)

from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.space.unit_space import UnitSpace


def nested() -> ConfigurationSpace:
    space = ConfigurationSpace()
    kind = Categorical("kind", ["a", "b", "c"])
    size = OrdinalHyperparameter("size", [1, 2, 4, 8])
    depth, rate = Integer("depth", (1, 9)), Float("rate", (1e-4, 1.0), log=True)
    count, momentum, extra = Integer("count", (1, 500), log=True), Float("momentum", (0.0, 1.0)), Float("extra", (0, 1))
    space.add(kind, size, depth, rate, count, momentum, extra)
    space.add(
        InCondition(depth, kind, ["a", "c"]),
        NotEqualsCondition(rate, kind, "b"),
        AndConjunction(EqualsCondition(momentum, kind, "a"), GreaterThanCondition(momentum, depth, 4)),
        OrConjunction(LessThanCondition(extra, count, 20), EqualsCondition(extra, kind, "b")),
    )
    return space


def flat(d: int) -> ConfigurationSpace:
    return ConfigurationSpace({f"x{i}": (0.0, 1.0) for i in range(d)})


def choices() -> ConfigurationSpace:
    return ConfigurationSpace({"many": [f"v{i}" for i in range(30)], "few": ["p", "q"], "n": (1, 4), "fixed": 3})


SPACES: dict[str, Callable[[], ConfigurationSpace]] = {
    "nested": nested,
    "line": lambda: flat(1),
    "twenty": lambda: flat(20),
    "choices": choices,
}


def observed(space: ConfigurationSpace, n: int, seed: int = 0) -> list[Trial]:
    unit = UnitSpace(Space.from_configspace(space))
    rng = np.random.default_rng(seed)
    positions = unit.snap(rng.random((n, len(unit))))
    return [Trial(unit.config(p), float(((p - 0.3) ** 2).sum())) for p in positions]


def branches() -> ConfigurationSpace:
    space = ConfigurationSpace()
    kind, other = Categorical("kind", list("abcde")), Categorical("other", list("uvwxyz"))
    parts = [Float(f"x{name}", (0.0, 1.0)) for name in "abcde"]
    space.add(kind, other, *parts)
    space.add(*(EqualsCondition(part, kind, name) for part, name in zip(parts, "abcde", strict=True)))
    return space

"""Conditions learned from define-by-run histories are those of the code that made them."""

from __future__ import annotations

from typing import Any

import numpy as np

from optiformer.space.conditions import learn
from optiformer.space.parameter import Parameter

PARAMETERS = (
    Parameter("degree", "int", 1, 5),
    Parameter("gamma", "float", 1e-4, 1.0, log=True),
    Parameter("kernel", "categorical", choices=(0, 1, 2)),
    Parameter("l1_ratio", "float"),
    Parameter("layers", "int", 1, 4),
    Parameter("model", "categorical", choices=(0, 1, 2)),
    Parameter("width_3", "int", 8, 64),
    Parameter("noise", "float"),
)


def config(rng: np.random.Generator) -> dict[str, Any]:
    """As a user's code would make one: model 0 is an SVM, 1 a perceptron, 2 has nothing of its own."""
    found: dict[str, Any] = {"model": int(rng.integers(3)), "noise": float(rng.random())}
    if found["model"] == 0:
        found["kernel"] = int(rng.integers(3))
        if found["kernel"] == 1:
            found["degree"] = int(rng.integers(1, 6))
        if found["kernel"] in (1, 2):
            found["gamma"] = float(rng.random())
    if found["model"] == 1:
        found["layers"] = int(rng.integers(1, 5))
        if found["layers"] >= 3:
            found["width_3"] = int(rng.integers(8, 65))
    return found


def test_nested_conditions_thresholds_and_sets_are_found() -> None:
    rng = np.random.default_rng(0)
    space = learn(PARAMETERS, [config(rng) for _ in range(60)])
    for _ in range(300):
        drawn = config(rng)
        everything = {p.name: drawn.get(p.name, p.value(0.5)) for p in PARAMETERS}
        shown: dict[str, Any] = {}
        for parameter in space.parameters:
            if space.is_active(parameter, shown):
                shown[parameter.name] = everything[parameter.name]
        assert set(shown) - {"l1_ratio"} == set(drawn)  # nobody has seen l1_ratio
    assert space["noise"].condition is None


def test_a_parameter_that_was_added_later_is_always_active() -> None:
    rng = np.random.default_rng(0)
    x, late = Parameter("x", "float"), Parameter("late", "float")
    configs: list[dict[str, Any]] = [{"x": float(rng.random())} for _ in range(6)]
    configs += [{"x": float(rng.random()), "late": 0.5} for _ in range(6)]
    assert learn((late, x), configs)["late"].condition is None


def test_two_parents_together() -> None:
    parents = (Parameter(name, "categorical", choices=(0, 1, 2)) for name in "ab")
    parameters = (*parents, Parameter("c", "float"))
    configs: list[dict[str, Any]] = [
        {"a": a, "b": b, **({"c": 0.1} if a == 1 and b != 2 else {})} for a in range(3) for b in range(3)
    ]
    space = learn(parameters, configs)
    for config in configs:
        assert space.is_active(space["c"], config) == ("c" in config)


def test_without_a_history_all_parameters_are_unconditional() -> None:
    assert [p.condition for p in learn(PARAMETERS, []).parameters] == [None] * len(PARAMETERS)


def test_the_cost_grows_in_proportion_to_the_trials() -> None:
    """A parameter for each layer: thresholds of up to ten parents are compared with the values of all trials."""

    class Counted(float):
        compared = 0

        def __lt__(self, other: float) -> bool:
            Counted.compared += 1
            return super().__lt__(other)

        def __gt__(self, other: float) -> bool:
            Counted.compared += 1
            return super().__gt__(other)

    def comparisons(n: int) -> int:
        rng, layers = np.random.default_rng(0), (Parameter("layers", "int", 1, 10),)
        widths = tuple(Parameter(f"width_{i}", "float") for i in range(10))
        drawn = [int(rng.integers(1, 11)) for _ in range(n)]
        configs = [{"layers": k, **{f"width_{i}": Counted(rng.random()) for i in range(k)}} for k in drawn]
        Counted.compared = 0
        space = learn(layers + widths, configs)
        assert space["width_9"].condition is not None
        return Counted.compared

    assert 0 < comparisons(800) < 5 * comparisons(200)

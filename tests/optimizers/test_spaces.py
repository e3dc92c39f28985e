"""Conversions between ConfigSpace, codes, the unit cube and ConfigSpace's vectors lose nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Beta,
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenEqualsClause,
    ForbiddenLessThanRelation,
    InCondition,
    Integer,
    LessThanCondition,
    Normal,
    NotEqualsCondition,
    OrConjunction,
    OrdinalHyperparameter,
)
from ConfigSpace.util import check_configuration
from hypothesis import given, settings
from hypothesis import strategies as st

from optibench_optimizers import OptimizerError
from optibench_optimizers.parameters import Parameter
from optibench_optimizers.spaces import SearchSpace

CHOICES: list[list[Any]] = [["a", "b"], [True, False], [1, 2, 5], [0.5, 1.5, 2.5, 9.0], ["1", "2", "three"]]


@st.composite
def floats(draw: st.DrawFn, name: str) -> Any:
    log = draw(st.booleans())
    exponent = draw(st.integers(-12, 12))
    low = float(f"{draw(st.integers(1, 99)) / 10}e{exponent}") * (1 if log else draw(st.sampled_from([-1, 1])))
    return Float(name, (low, low + abs(low) * draw(st.floats(0.5, 1e4))), log=log)


@st.composite
def integers(draw: st.DrawFn, name: str) -> Any:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    return Integer(name, (low, low + draw(st.integers(1, 10**6))), log=log)


@st.composite
def spaces(draw: st.DrawFn) -> ConfigurationSpace:
    """Up to nine parameters of all kinds, with conditions of all kinds between some of them."""
    switch = Categorical("switch", ["off", "on", "auto"])
    level = Integer("level", (0, 9))
    others: list[Any] = []
    for i in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["float", "integer", "categorical", "ordinal", "constant"]))
        name = f"{kind}{i}"
        if kind == "float":
            others.append(draw(floats(name)))
        elif kind == "integer":
            others.append(draw(integers(name)))
        elif kind == "categorical":
            others.append(Categorical(name, draw(st.sampled_from(CHOICES))))
        elif kind == "ordinal":
            others.append(OrdinalHyperparameter(name, [1e-4, 1e-2, 0.1, 3.0][: draw(st.integers(1, 4))]))
        else:
            others.append(Constant(name, draw(st.sampled_from([1, 0.25, "fixed"]))))
    space = ConfigurationSpace()
    space.add(switch, level, *others)
    if draw(st.booleans()):
        space.add(NotEqualsCondition(level, switch, "off"))
    for child in others:
        condition = draw(st.sampled_from(["none", "equals", "in", "less", "and", "or"]))
        equals, less = EqualsCondition(child, switch, "on"), LessThanCondition(child, level, 4)
        if condition == "equals":
            space.add(equals)
        elif condition == "in":
            space.add(InCondition(child, switch, ["on", "auto"]))
        elif condition == "less":
            space.add(less)
        elif condition == "and":
            space.add(AndConjunction(equals, less))
        elif condition == "or":
            # Not of `equals` and `less`: ConfigSpace 1.2 takes that for the same condition as their "and".
            space.add(OrConjunction(EqualsCondition(child, switch, "auto"), less))
    return space


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Floats up to rounding, everything else exactly, types included."""
    return one.keys() == other.keys() and all(
        type(one[k]) is type(other[k])
        and (math.isclose(one[k], other[k], rel_tol=1e-9) if isinstance(one[k], float) else one[k] == other[k])
        for k in one
    )


@given(space=spaces(), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=60, deadline=None)
def test_random_configurations_are_valid_and_survive_every_round_trip(space: ConfigurationSpace, seed: int) -> None:
    view = SearchSpace(space)
    for config in view.sample(5, np.random.RandomState(seed)):
        vector = view.vector(config)
        check_configuration(space, vector)
        assert all(type(value) in (int, float, str, bool) for value in config.values())
        assert view.configuration(view.codes(config)) == config
        assert same(view.from_unit(view.to_unit(config)), config)
        assert same(view.from_vector(vector), config)


@given(space=spaces(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_point_of_the_unit_cube_is_a_valid_configuration(space: ConfigurationSpace, data: st.DataObject) -> None:
    view = SearchSpace(space)
    point = data.draw(st.lists(st.floats(0, 1), min_size=len(view), max_size=len(view)))
    config = view.from_unit(point)
    for name, value in config.items():
        assert space[name].legal_value(value)
    check_configuration(space, view.vector(config))
    again = view.to_unit(config)
    assert ((again >= 0) & (again <= 1)).all()
    assert same(view.from_unit(again), config)


@given(space=spaces(), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=30, deadline=None)
def test_the_same_parameters_are_active_as_in_configspace(space: ConfigurationSpace, seed: int) -> None:
    view = SearchSpace(space)
    space.seed(seed)
    for theirs in space.sample_configuration(5):
        ours = view.from_vector(theirs.get_array())
        assert list(ours) == list(theirs)
        assert view.configuration(view.codes(ours)) == ours


@pytest.mark.parametrize("hp", [Float("p", (1e-13, 1e-2), log=True), Float("p", (-3.3, 1e9)), Integer("p", (1, 7))])
def test_the_ends_of_the_cube_are_the_bounds(hp: Any) -> None:
    parameter = Parameter.of(hp)
    assert parameter is not None
    assert math.isclose(parameter.decode(parameter.from_unit(0.0)), hp.lower)
    assert math.isclose(parameter.decode(parameter.from_unit(1.0)), hp.upper)
    for coordinate in (-1e-9, 0.0, 1.0, 1 + 1e-9):
        assert hp.lower <= parameter.decode(parameter.from_unit(coordinate)) <= hp.upper


@pytest.mark.parametrize("log", [False, True])
def test_discrete_values_share_the_cube_equally(log: bool) -> None:
    parameter = Parameter.of(Integer("n", (1, 8), log=log))
    assert parameter is not None
    points = (np.arange(100_000) + 0.5) / 100_000
    counts = np.bincount([int(parameter.from_unit(u)) for u in points], minlength=9)[1:]
    edges = np.arange(0.5, 9.0)
    widths = np.diff(np.log(edges)) if log else np.diff(edges)
    np.testing.assert_allclose(counts / counts.sum(), widths / widths.sum(), atol=1e-4)


def test_random_draws_follow_the_spaces_own_priors() -> None:
    space = ConfigurationSpace(seed=1)
    space.add(
        Float("normal", (0.0, 1.0), distribution=Normal(0.9, 0.05)),
        Float("beta", (0.0, 1.0), distribution=Beta(8, 2)),
        Categorical("choice", ["often", "rarely"], weights=[0.9, 0.1]),
    )
    drawn = SearchSpace(space).sample(2000, np.random.RandomState(0))
    assert np.mean([c["normal"] for c in drawn]) == pytest.approx(0.9, abs=0.02)
    assert np.mean([c["beta"] for c in drawn]) > 0.6
    assert np.mean([c["choice"] == "often" for c in drawn]) == pytest.approx(0.9, abs=0.03)


def test_forbidden_configurations_are_recognized_and_never_drawn() -> None:
    space = ConfigurationSpace({"low": (0, 9), "high": (5, 14), "c": ["x", "y"]}, seed=1)
    space.add(ForbiddenEqualsClause(space["c"], "y"), ForbiddenLessThanRelation(space["high"], space["low"]))
    view = SearchSpace(space)
    assert all(c["c"] == "x" and c["high"] >= c["low"] for c in view.sample(200, np.random.RandomState(0)))
    assert view.is_allowed({"low": 5, "high": 6, "c": "x"})
    assert not view.is_allowed({"low": 9, "high": 6, "c": "x"})
    assert not view.is_allowed({"low": 5, "high": 6, "c": "y"})


def test_a_space_that_is_nearly_all_forbidden_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    space = ConfigurationSpace()
    numbers = [Integer(f"n{i}", (0, 50), default=0) for i in range(6)]
    space.add(*numbers)
    for number in numbers:
        space.add(*(ForbiddenEqualsClause(number, value) for value in range(1, 51)))
    monkeypatch.setattr("optibench_optimizers.spaces.MAX_DRAWS", 2000)
    with pytest.raises(OptimizerError, match="forbidden clauses rule out nearly all"):
        SearchSpace(space).sample(1, np.random.RandomState(0))


def test_a_space_without_anything_to_search_is_refused() -> None:
    space = ConfigurationSpace()
    space.add(Constant("k", 1), Categorical("c", ["only"]))
    with pytest.raises(OptimizerError, match="nothing to optimize"):
        SearchSpace(space)


def test_values_and_names_of_another_space_are_refused() -> None:
    view = SearchSpace(ConfigurationSpace({"x": (0.0, 1.0), "n": (1, 5), "c": ["a", "b"]}))
    good = {"x": 0.5, "n": 2, "c": "a"}
    for wrong in ({"x": 1.5}, {"x": math.nan}, {"n": 2.5}, {"n": 9}, {"c": "d"}, {"c": 0}, {"z": 1}, {"x": "a"}):
        with pytest.raises(OptimizerError, match="space"):
            view.codes(good | wrong)

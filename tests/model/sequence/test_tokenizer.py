"""Every value of every kind survives the tokenizer within half a bin; nothing outside a range gets in or out."""

from __future__ import annotations

import math
from pathlib import Path

import ConfigSpace as cs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optiformer.errors import ModelError
from optiformer.sequence.tokenizer import SPECIAL, ScoreScale, Tokenizer, Vocabulary
from optiformer.space.parameter import Condition, Parameter
from optiformer.space.space import Space
from optiformer.space.trial import Trial

finite = st.floats(-1e9, 1e9, allow_nan=False, width=64)


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    kind = draw(st.sampled_from(["float", "log float", "step", "int", "log int", "ordinal", "categorical"]))
    if kind in ("ordinal", "categorical"):
        n = draw(st.integers(2, 60))
        return Parameter("p", kind, choices=tuple(f"v{i}" for i in range(n)))  # type: ignore[arg-type]
    if kind == "int":
        low = draw(st.integers(-10_000, 10_000))
        return Parameter("p", "int", low, low + draw(st.integers(0, 5_000)))
    if kind == "log int":
        low = draw(st.integers(1, 100))
        return Parameter("p", "int", low, low + draw(st.integers(0, 100_000)), log=True)
    if kind == "log float":
        low = draw(st.floats(1e-9, 1e3))
        return Parameter("p", "float", low, low * draw(st.floats(1.001, 1e9)), log=True)
    low = draw(st.floats(-1e6, 1e6))
    if kind == "step":
        step = draw(st.floats(1e-3, 10))
        return Parameter("p", "float", low, low + step * draw(st.integers(0, 900)), step=step)
    return Parameter("p", "float", low, low + draw(st.floats(1e-3, 1e6)))


@given(parameters(), st.sampled_from([100, 1000]), st.data())
def test_every_value_round_trips_within_half_a_bin_of_its_own_scale(
    parameter: Parameter, n_bins: int, data: st.DataObject
) -> None:
    edge = data.draw(st.sampled_from([0.0, 1.0, None]))
    value = parameter.value(data.draw(st.floats(0, 1)) if edge is None else edge)
    tokenizer = Tokenizer(Space((parameter,)), Vocabulary(n_bins=n_bins))
    token = tokenizer.encode_value(parameter, value)
    back = tokenizer.decode_value(parameter, token)
    slack = 0.5 / n_bins + 1e-9
    if parameter.kind == "int":  # an integer cannot sit at a bin's centre: half a unit more, in its own scale
        low, high = parameter.position(min(value, back)), parameter.position(max(value, back))
        half_unit = 0.0 if value == back else (high - low) / max(abs(back - value), 1) / 2
        slack += half_unit
        assert isinstance(back, int)
    levels = parameter.n_levels
    if (levels is not None and levels <= n_bins) or tokenizer.uses_categories(parameter):
        assert back == value or math.isclose(back, value, rel_tol=1e-9, abs_tol=1e-9)
    elif levels is None or parameter.kind == "int":
        assert abs(parameter.position(back) - parameter.position(value)) <= slack + 1e-6
    if parameter.kind in ("float", "int"):
        assert parameter.low <= back <= parameter.high
    assert token in tokenizer.valid_tokens(parameter)


@given(parameters(), st.data())
def test_every_valid_token_decodes_inside_the_range_and_encodes_back(parameter: Parameter, data: st.DataObject) -> None:
    tokenizer = Tokenizer(Space((parameter,)))
    if not tokenizer.parameters:
        return
    token = int(data.draw(st.sampled_from(list(tokenizer.valid_tokens(parameter)))))
    value = tokenizer.decode_value(parameter, token)
    again = tokenizer.encode_value(parameter, value)
    if parameter.n_levels is not None and parameter.n_levels <= 1000:
        assert tokenizer.decode_value(parameter, again) == value
    if parameter.kind == "float" and parameter.n_levels is None:
        assert abs(again - token) <= 1  # equal but for rounding at a bin's edge


@pytest.mark.parametrize(
    ("parameter", "bad"),
    [
        (Parameter("rate", "float", 0.0, 1.0), 1.5),
        (Parameter("rate", "float", 1e-5, 1.0, log=True), 0.0),
        (Parameter("rate", "int", 1, 9), 10),
        (Parameter("rate", "float", 0.0, 1.0), float("nan")),
        (Parameter("rate", "float", 0.0, 1.0), "much"),
        (Parameter("rate", "categorical", choices=("a", "b")), "c"),
        (Parameter("rate", "ordinal", choices=(1, 2, 4)), 3),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_the_parameter(parameter: Parameter, bad: object) -> None:
    with pytest.raises(ModelError, match="'rate'"):
        Tokenizer(Space((parameter,))).encode_value(parameter, bad)


def test_true_is_not_taken_for_the_choice_one() -> None:
    parameter = Parameter("p", "categorical", choices=(1, True, "a"))
    tokenizer = Tokenizer(Space((parameter,)))
    assert [tokenizer.decode_value(parameter, tokenizer.encode_value(parameter, v)) for v in (1, True)] == [1, True]
    assert tokenizer.encode_value(parameter, 1) != tokenizer.encode_value(parameter, True)


@given(st.lists(st.one_of(st.none(), finite), min_size=1, max_size=20), st.floats(0, 1))
def test_scores_round_trip_within_half_a_bin_and_keep_their_order(values: list[float | None], margin: float) -> None:
    array = np.array([np.nan if v is None else v for v in values])
    scale = ScoreScale.of(array, margin)
    positions = scale.position(array)
    assert np.array_equal(np.isnan(positions), np.isnan(array))
    good = ~np.isnan(array)
    order = np.argsort(array[good], kind="stable")
    assert (np.diff(positions[good][order]) >= 0).all()
    inside = good & (positions < 1)
    back = scale.position(scale.value(positions[inside]))
    assert np.allclose(back, positions[inside], atol=1e-6)


def conditional_space() -> cs.ConfigurationSpace:
    space = cs.ConfigurationSpace(seed=1)
    space.add(
        cs.CategoricalHyperparameter("booster", ["tree", "linear"]),
        cs.Float("eta", (1e-4, 1.0), log=True),
        cs.Integer("depth", (1, 15)),
        cs.Integer("rounds", (3, 2000), log=True),
        cs.OrdinalHyperparameter("batch", [32, 64, 128]),
        cs.Constant("fixed", "yes"),
        cs.Float("unit", (0.0, 1.0)),
    )
    space.add(cs.EqualsCondition(space["depth"], space["booster"], "tree"))
    space.add(cs.GreaterThanCondition(space["unit"], space["depth"], 7))
    return space


def test_whole_histories_of_a_conditional_space_round_trip() -> None:
    space = conditional_space()
    tokenizer = Tokenizer(Space.from_configspace(space))
    configs = [dict(config) for config in space.sample_configuration(50)]
    values = np.random.default_rng(0).normal(size=50)
    trials = [Trial(c, None if i % 7 == 3 else float(v)) for i, (c, v) in enumerate(zip(configs, values, strict=True))]
    scale = ScoreScale.of(np.array([np.nan if t.value is None else t.value for t in trials]), 0.05)
    tokens = tokenizer.encode_history(trials, scale, target=1, end=True)
    assert len(tokens) == 2 + 50 * tokenizer.trial_length + 1
    for trial, back in zip(trials, tokenizer.decode_history(tokens, scale), strict=True):
        assert back.config.keys() == trial.config.keys()
        assert (back.value is None) == (trial.value is None)
        for name in ("booster", "depth", "batch", "fixed"):
            assert back.config.get(name) == trial.config.get(name)
        assert math.log(back.config["eta"] / trial.config["eta"]) == pytest.approx(0, abs=0.5e-3 * math.log(1e4) + 1e-9)


def test_inactive_parameters_and_activity_follow_the_conditions() -> None:
    space = Space.from_configspace(conditional_space())
    assert not space.is_active(space["depth"], {"booster": "linear"})
    assert not space.is_active(space["unit"], {"booster": "linear"})  # its parent is inactive
    assert space.is_active(space["unit"], {"booster": "tree", "depth": 8})
    both = Condition("and", parts=(Condition("in", "a", (1,)), Condition("less", "b", (3,))))
    either = Condition("or", parts=both.parts)
    assert both.holds({"a": 1, "b": 2})
    assert not both.holds({"a": 1, "b": 3})
    assert either.holds({"a": 1, "b": 3})


def test_a_broken_sequence_is_refused() -> None:
    tokenizer = Tokenizer(Space.from_configspace(conditional_space()))
    scale = ScoreScale(0.0, 1.0)
    with pytest.raises(ModelError, match="starts with BOS"):
        tokenizer.decode_history(np.array([1, 2, 3]), scale)
    vocabulary = tokenizer.vocabulary
    start = [vocabulary.special("BOS"), vocabulary.target(0)]
    with pytest.raises(ModelError, match="no whole number"):
        tokenizer.decode_history(np.array([*start, 5]), scale)
    with pytest.raises(ModelError, match="grammar"):
        tokenizer.decode_history(np.array([*start, *range(tokenizer.trial_length)]), scale)


def test_ids_are_unique_and_names_bind_to_their_own_tokens() -> None:
    vocabulary = Vocabulary(names=("learning_rate", "x0", "x1"))
    texts = [vocabulary.token(i) for i in range(len(vocabulary))]
    assert len(set(texts)) == len(texts)
    assert [vocabulary.token(vocabulary.special(name)) for name in SPECIAL] == list(SPECIAL)
    space = Space((Parameter("a", "float"), Parameter("learning_rate", "float")))
    assert Tokenizer(space, vocabulary).slots == [1, 0]
    with pytest.raises(ModelError, match="names 3"):
        Tokenizer(Space(tuple(Parameter(f"p{i}", "float") for i in range(4))), vocabulary)


def test_a_changed_vocabulary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    Vocabulary().save(path)
    assert Vocabulary.load(path) == Vocabulary()
    path.write_text(path.read_text().replace("1000", "1001"))
    with pytest.raises(ModelError, match="checksum"):
        Vocabulary.load(path)
    with pytest.raises(ModelError, match="cannot be read"):
        Vocabulary.load(tmp_path / "none.json")

"""Every setting of every training configuration: a wrong type or range, and NaN, is one sentence."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from optiformer.errors import ModelError
from optiformer.network_config import PRESETS
from optiformer.search.config import ProposerConfig
from optiformer.settings import Range, build, convert
from optiformer.training.config import RunConfig

HUGE = 10**400
WRONG = (None, [[]], {"a": 1}, "nonsense", math.nan, math.inf, -math.inf, HUGE, -HUGE, 1.5, True, -1, b"1")
COMPLETE: dict[str, dict[str, Any]] = {"TeacherShare": {"name": "tpe", "share": 1.0}, "RunConfig": {"name": "test"}}
"""The settings that have no default."""


def settings(cls: Any) -> Iterator[tuple[Any, str, Any]]:
    """Every setting of a configuration and of those inside: its class, its name, its annotation."""
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        yield cls, name, hint
        for inner in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(inner) and not isinstance(inner, Range):
                yield from settings(inner)


def is_of(hint: Any, value: Any) -> bool:
    """Whether a value is of the type that an annotation names, told apart by other means than the code's."""
    if typing.get_origin(hint) is Annotated:
        return is_of(typing.get_args(hint)[0], value)
    if typing.get_origin(hint) is tuple:
        items, value = typing.get_args(hint), list(value) if isinstance(value, tuple) else value
        return isinstance(value, list) and all(is_of(items[0], item) for item in value)
    if typing.get_origin(hint) is Literal:
        return isinstance(value, str) and value in typing.get_args(hint)
    if hint is float:
        return type(value) in (int, float) and abs(value) < math.inf
    return type(value) is hint


FOUND = (*settings(RunConfig), *settings(ProposerConfig))
EVERY = {f"{cls.__name__}.{name}": (cls, name, hint) for cls, name, hint in FOUND}
NUMBERS = [name for name, (_, _, hint) in EVERY.items() if typing.get_origin(hint) is Annotated]


@pytest.mark.parametrize("setting", EVERY)
def test_a_wrong_value_is_one_sentence_that_names_file_setting_and_value(setting: str) -> None:
    cls, name, hint = EVERY[setting]
    for value in WRONG:
        try:
            found = build(cls, COMPLETE.get(cls.__name__, {}) | {name: value}, "run.yaml: part")
        except ModelError as error:
            sentence = str(error)
            assert sentence.startswith("run.yaml: part"), sentence
            assert name in sentence
            assert "\n" not in sentence
            assert len(sentence) < 500
        else:
            assert is_of(hint, value), f"{value!r} was accepted"
            assert is_of(hint, getattr(found, name))


@pytest.mark.parametrize("setting", NUMBERS)
def test_numbers_out_of_their_range_are_refused_and_its_ends_are_not(setting: str) -> None:
    _, name, hint = EVERY[setting]
    kind, bounds = typing.get_args(hint)
    for end, sign in ((bounds.least, -1), (bounds.most, 1)):
        if math.isfinite(end):
            assert convert(hint, end, name) == end
            with pytest.raises(ModelError, match=f"{name} must be a"):
                convert(hint, end + sign * (1 if kind is int else max(1e-9, 1e-9 * abs(end))), name)
    for end in filter(math.isfinite, (bounds.above, bounds.below)):
        with pytest.raises(ModelError, match=f"{name} must be a"):
            convert(hint, end, name)


def test_every_number_has_a_range() -> None:
    assert len(EVERY) > 80
    bare = [name for name, (_, _, hint) in EVERY.items() if hint in (int, float)]
    assert bare == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: {beta2: 7}", "train: beta2 must be a number of at least 0 and below 1, not 7."),
        ("train: {warmup: -3}", "train: warmup must be a number from 0 to 1, not -3."),
        ("train: {warmup: .nan}", "train: warmup must be a number from 0 to 1, not nan."),
        ("encoding: surrogates", "encoding must be one of seq, surrogate, not 'surrogates'."),
        ("train: {learning_rate: 1e-3, clip: '5'}", "train: clip must be a number above 0, not '5'."),
        ("train: 3", "train must be a mapping of settings, not 3."),
        ("train: {stepz: 3}", "train: unknown setting 'stepz'"),
        ("train: {precision: fp8}", "train: precision must be one of auto, fp32, bf16, fp16, not 'fp8'."),
        ("network: {hidden_size: 100, n_heads: 3}", "network: hidden_size must be an even multiple"),
        ("1: 2", "unknown setting 1; known are"),
        ("data: {teachers: [{name: tpe}]}", "data: teachers, item 1: the setting 'share' is missing."),
        ("data: {teachers: []}", "data: the teachers' shares must sum to more than 0."),
        ("augment: {regret_levels: [1, 2, 3]}", "augment: regret_levels must be a list of 2, not [1, 2, 3]."),
        ("network: {n_layers: 1, copying_start: true}", "network: copying_start needs at least 2 layers"),
        (
            "encoding: surrogate\nsurrogate: {kernels_after: 4}",
            "surrogate.kernels_after must be below network.n_layers",
        ),
        ("vocabulary: {names: [a, b]}", "data.prior has 14 dimensions, for which 2 vocabulary.names are too few."),
        (
            "augment: {max_tokens: 64}",
            "augment.max_tokens must be at least 65, or 2 trials of 14 dimensions are",
        ),
    ],
)
def test_a_configuration_file_is_refused_with_its_name(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ModelError) as caught:
        RunConfig.load(tmp_path / "run.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'run.yaml'}: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("network: huge", "unknown network preset 'huge'"), ("- a list", "must be a mapping"), ("a: [", "is not YAML")],
)
def test_a_file_that_holds_no_configuration_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ModelError, match=words):
        RunConfig.load(tmp_path / "run.yaml")


def test_what_yaml_writes_is_read() -> None:
    found = build(RunConfig, {"name": "x", "train": {"learning_rate": "1e-3", "minutes": 2}}, "here")
    assert (found.train.learning_rate, found.train.minutes) == (1e-3, 2.0)
    assert type(found.train.minutes) is float
    assert found.network == PRESETS["pico"]

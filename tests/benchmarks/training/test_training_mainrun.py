"""The headline task: each of its options, exact repetition, its ablation, real headlines."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from optibench_benchmarks import BenchmarkError, create, families
from optibench_benchmarks.conformance import BenchmarkConformance, plain
from optibench_benchmarks.training.text import headlines, text

SHORT = {"epochs": 1, "data_fraction": 0.1}
CONFIG = plain(create("mainrun/gpt").space.get_default_configuration())
SMALL = text.generated("generated headlines 1", (60, 20, 20))


# --- the training


OPTIONS = [
    {"decay_groups": True, "weight_decay": 1.0},
    {"dropout": 0.0},
    {"schedule": "onecycle"},
    {"warmup": 0.3},
    {"accumulation": 2},
    {"block_size": 32},
    {"vocab_size": 500},
    {"norm": "rmsnorm"},
    {"feed_forward": "swiglu"},
    {"ema": True, "ema_decay": 0.9},
    {"amp": True},
    {"token_masking": 0.2},
    {"sequence_augmentation": True},
]


@pytest.fixture(scope="module")
def default():
    return create("mainrun/gpt").evaluate(CONFIG, seed=0, fidelity=SHORT)


@pytest.mark.parametrize("change", OPTIONS, ids=lambda change: next(iter(change)))
def test_every_option_does_something(change, default):
    found = create("mainrun/gpt").evaluate(CONFIG | change, seed=0, fidelity=SHORT)
    assert math.isfinite(found.value)
    assert found.value != default.value
    assert found.value == pytest.approx(default.value, rel=0.5)


def test_the_average_of_the_weights_is_what_is_measured():
    config = CONFIG | {"ema": True, "ema_decay": 0.995}
    slow = create("mainrun/gpt").evaluate(config, seed=0, fidelity=SHORT)
    plain_one = create("mainrun/gpt").evaluate(CONFIG, seed=0, fidelity=SHORT)
    assert slow.curve["train_loss"] == plain_one.curve["train_loss"]
    assert slow.value > plain_one.value  # a few steps: the average is still near the beginning


def test_the_same_seed_gives_the_same_bits_with_every_option():
    change = {"amp": True, "ema": True, "ema_decay": 0.9, "sdpa": True}
    first, again, other = (
        create("mainrun/gpt").evaluate(CONFIG | change, seed=seed, fidelity=SHORT) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.curve["train_loss"] != other.curve["train_loss"]


def test_an_average_has_a_decay_only_where_there_is_one():
    space = create("mainrun/gpt").space
    for config in map(plain, space.sample_configuration(40)):
        assert ("ema_decay" in config) == config["ema"]


@pytest.mark.heavy
class TestConformance(BenchmarkConformance):
    """The suite of every benchmark, on a hundred headlines."""

    name, n = "mainrun/gpt", 2

    def create(self):
        task = create(self.name)
        task.size, task.source = replace(task.size, documents=SMALL.sizes), SMALL
        return task


# --- real headlines, names, references


@pytest.fixture
def real(data_folder):
    (data_folder / "headlines").mkdir()
    return data_folder / "headlines" / "headlines.txt"


def test_real_headlines_are_read_one_a_line(real):
    lines = headlines.generate(400, seed=5)
    real.write_text("\n\n".join([*lines, lines[0], "  "]), encoding="utf-8")
    assert families()["mainrun"].provider().names() == ["mainrun/gpt", "mainrun/gpt-headlines"]
    task = create("mainrun/gpt-headlines")
    parts = text.split(task.source)
    assert {line for part in parts for line in part} <= set(lines)
    assert [len(part) for part in parts] == [285, 57, 57]
    assert task.reference is None
    assert task.evaluate(CONFIG, seed=0, fidelity={"epochs": 1}).value > 0
    version = task.data_version
    real.write_text("\n".join(lines[:300]), encoding="utf-8")
    assert create("mainrun/gpt-headlines").data_version != version
    # an edit far from the end, of the same length, is another text
    real.write_text("\n".join(lines * 20), encoding="utf-8")
    version = create("mainrun/gpt-headlines").data_version
    real.write_text("X" + "\n".join(lines * 20)[1:], encoding="utf-8")
    assert create("mainrun/gpt-headlines").data_version != version


@pytest.mark.parametrize(
    ("content", "message"), [(b"one\ntwo\nthree", "has 3 different documents, too few"), (b"\xff\xfe\x00", "UTF-8")]
)
def test_a_broken_file_of_headlines_is_one_sentence(real, content, message):
    real.write_bytes(content)
    with pytest.raises(BenchmarkError, match=message) as caught:
        create("mainrun/gpt-headlines").evaluate(CONFIG, seed=0, fidelity=SHORT)
    assert "\n" not in str(caught.value)


def test_the_full_size_is_the_published_one():
    task = create("mainrun/gpt-full")
    assert (task.size.shape, task.size.epochs, task.reference) == ((512, 6, 8), 7, None)
    assert plain(task.space.get_default_configuration())["vocab_size"] == 16_000

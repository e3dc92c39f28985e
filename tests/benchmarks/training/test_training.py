"""Tasks that train: the contract that all of them keep, and the perceptrons on images."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from optibench_benchmarks import BenchmarkError, create
from optibench_benchmarks.training.base import DivergedError, ReferencePlan, split_rows
from optibench_benchmarks.training.digits.idx import read_idx

needs_mnist = pytest.mark.data("mnist")
TASKS = [pytest.param("mnist/mlp-10k", marks=needs_mnist), "digits/mlp"]
SMALL = {"hidden_size": 40, "num_layers": 2, "learning_rate": 3e-3, "dropout": 0.2, "batch_size": 64}
CONFIG = SMALL | {"optimizer": "adam"}
SHORT = {"epochs": 2, "data_fraction": 0.5}


def test_less_data_is_cheaper_and_worse():
    task = create("digits/mlp")
    whole, tenth = (task.evaluate(CONFIG, seed=0, fidelity={"data_fraction": part}).value for part in (1.0, 0.1))
    assert whole > tenth + 0.1


def test_evaluating_leaves_torchs_random_numbers_and_threads_alone():
    import torch

    threads = torch.get_num_threads()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    create("digits/mlp").evaluate(CONFIG, seed=0, fidelity=SHORT)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", TASKS)
def test_no_image_is_in_two_parts_and_the_split_has_no_seed(name):
    from optibench_benchmarks.training.digits.tasks import load

    split = load(name)
    assert [len(part[1]) for part in (split.train, split.validation, split.test)] == (
        [6000, 2000, 2000] if name == "mnist/mlp-10k" else [599, 599, 599]
    )
    images = np.concatenate([part[0].reshape(len(part[0]), -1) for part in (split.train, split.validation, split.test)])
    assert len(np.unique(images, axis=0)) == len(images)
    for x, y in (split.train, split.validation, split.test):
        assert x.dtype == np.float32
        assert 0.0 <= x.min() < x.max() <= 1.0
        assert set(np.unique(y)) == set(range(10))
    again = load.__wrapped__(name)
    assert np.array_equal(again.test[0], split.test[0])


def test_rows_are_split_into_disjoint_parts():
    parts = split_rows(10, (5, 3, 1), seed=0)
    assert [len(part) for part in parts] == [5, 3, 1]
    assert len({*np.concatenate(parts).tolist()}) == 9
    with pytest.raises(ValueError, match="10 rows cannot be split"):
        split_rows(10, (5, 6), seed=0)


def test_test_data_does_not_influence_the_value(monkeypatch):
    from dataclasses import replace

    from optibench_benchmarks.training.digits import tasks as digits

    split = digits.load("digits/mlp")
    before = create("digits/mlp").evaluate(CONFIG, seed=0, fidelity=SHORT)
    changed = replace(split, test=(split.test[0], (split.test[1] + 1) % 10))
    monkeypatch.setattr(digits, "load", lambda name: changed)
    after = create("digits/mlp").evaluate(CONFIG, seed=0, fidelity=SHORT)
    assert (after.value, after.curve) == (before.value, before.curve)
    assert after.info["test_accuracy"] < before.info["test_accuracy"]


def test_a_loss_that_is_no_number_is_a_failed_trial_with_its_reason(monkeypatch):
    from dataclasses import replace

    from optibench.cell.run import run_cell
    from optibench.plan.cells import Cell
    from optibench_benchmarks.training.digits import tasks as digits

    split = digits.load("digits/mlp")
    broken = replace(split, train=(np.full_like(split.train[0], np.nan), split.train[1]))
    monkeypatch.setattr(digits, "load", lambda name: broken)
    with pytest.raises(DivergedError, match="The training diverged: its loss became nan in epoch 1"):
        create("digits/mlp").evaluate(CONFIG, seed=0)
    (trial,) = run_cell(Cell("k", "random", "digits/mlp", 0, 1, 0))
    assert trial.state == "failed"
    assert trial.error == "evaluate: DivergedError: The training diverged: its loss became nan in epoch 1."


@pytest.mark.parametrize(
    ("config", "fidelity", "message"),
    [
        (CONFIG | {"dropout": 0.9}, None, "digits/mlp cannot train"),
        (SMALL, None, "digits/mlp cannot train .*optimizer"),
        (CONFIG, {"epochs": 31}, "Fidelity epochs of digits/mlp lies between 1 and 30, which 31 does not"),
        (CONFIG, {"steps": 3}, "no fidelity 'steps'; it has data_fraction, epochs"),
    ],
)
def test_bad_input_is_one_sentence(config, fidelity, message):
    with pytest.raises(BenchmarkError, match=message) as caught:
        create("digits/mlp").evaluate(config, seed=0, fidelity=fidelity)
    assert "\n" not in str(caught.value)


def test_progress_is_told_after_each_epoch():
    seen = []
    task = create("digits/mlp")
    task.on_step = lambda done, total, metrics: seen.append((done, total, sorted(metrics)))
    task.evaluate(CONFIG, seed=0, fidelity={"epochs": 2})
    metrics = ["train_loss", "validation_accuracy", "validation_loss"]
    assert seen == [(1, 2, metrics), (2, 2, metrics)]


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x08", b"\x01\x00\x08\x01\x00\x00\x00\x00", struct.pack(">HBBI", 0, 8, 1, 5) + b"1234"]
)
def test_a_broken_image_file_is_named(content, tmp_path):
    file = tmp_path / "images.gz"
    for written in (content, gzip.compress(content)[:-1], gzip.compress(content)):
        file.write_bytes(written)
        with pytest.raises(BenchmarkError, match=r"images\.gz is not a whole IDX file"):
            read_idx(file)


@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_idx_files_are_read_in_their_shape_and_kind(compress, tmp_path):
    array = np.arange(24, dtype=">i4").reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(compress(struct.pack(">HBBIII", 0, 0x0C, 3, 2, 3, 4) + array.tobytes()))
    assert np.array_equal(read_idx(tmp_path / "a"), array)


def test_a_reference_search_is_repeatable_and_its_best_is_what_it_says(monkeypatch):
    from optibench_benchmarks.references import search_training as reference

    task = create("digits/mlp")
    task.reference_plan = ReferencePlan(random=5, local=3, finalists=2, repeats=2)
    monkeypatch.setattr(task, "fidelities", lambda given: {"epochs": 2, "data_fraction": 0.5})
    entry = reference.search(task, seed=0)
    assert entry == reference.search(task, seed=0)
    found = entry.reference
    assert reference.again(task, entry.best, found) == found.f_best
    values = [task.evaluate(entry.best, seed=1_000_000 + i).value for i in range(2)]
    task.space.seed(0)
    drawn = [task.evaluate(dict(config), seed=i) for i, config in enumerate(task.space.sample_configuration(5))]
    assert entry.near_best == np.mean([found.regret(one.value) < 0.05 for one in drawn])
    assert found.f_best == np.mean(values) > found.f_ref >= found.f_worst
    assert found.source.endswith("12 trainings")

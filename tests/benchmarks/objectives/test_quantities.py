"""Objectives and constraints made of what evaluations return: exact over tables, refused where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

import optibench_benchmarks
from optibench_benchmarks import BenchmarkError, expand
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_benchmarks.hypervolume import normalised
from optibench_benchmarks.references import fronts
from optibench_benchmarks.tabular import HPOLIB, NASBENCH201, hpobench, hpolib, nasbench201
from optibench_benchmarks.wrappers import Noisy

TABLES = ("hpobench/", "hpolib/", "nasbench201/")
FROZEN = [name for name in fronts.names() if name.startswith(TABLES) and "+max_" not in name]
ONE_EACH = [
    "hpobench/nn/blood_transfusion+objective=cost",
    "hpolib/parkinsons_telemonitoring+objective=model_size",
    "nasbench201/imagenet+objective=cost+objective=model_size",
]


class TestTableWithTwoObjectives(BenchmarkConformance):
    name = "nasbench201/cifar10+objective=latency"


class TestTableWithABound(BenchmarkConformance):
    name = "nasbench201/cifar10+max_model_size=0.3"


class TestBoth(BenchmarkConformance):
    name = "nasbench201/cifar10+max_model_size=0.3+objective=cost"


def columns(task):
    signs = np.array([1.0 if direction == "minimize" else -1.0 for direction in task.objectives.values()])
    return np.stack([task.column(name) for name in task.objectives], axis=1), signs


def test_every_pair_of_columns_has_a_frozen_front():
    assert len(FROZEN) == 28
    pairs = {
        f"{name}+objective={quantity}"
        for family in (hpobench, hpolib, nasbench201)
        for name in family.names()
        for quantity in ("cost", *family.collection.further)
    }
    assert pairs <= set(FROZEN)


@pytest.mark.parametrize("name", ONE_EACH)
def test_the_frozen_front_is_that_of_the_whole_table(name):
    task = optibench_benchmarks.create(name)
    assert task.front == task.measure_front() == fronts.lookup(name, task.data_version)
    values, signs = columns(task)
    lower = values * signs
    for point in np.array(task.front.points) * signs:
        row = lower[np.abs(lower / point - 1.0).max(axis=1).argmin()]
        np.testing.assert_allclose(row, point, rtol=1e-6)
        assert not ((lower <= row).all(axis=1) & (lower < row).any(axis=1)).any(), "another row dominates it"
    assert task.front.ideal == tuple((lower.min(axis=0) * signs).tolist())


@pytest.mark.heavy
def test_the_share_near_the_ideal_is_that_of_the_table():
    for name in FROZEN:
        task = optibench_benchmarks.create(name)
        values, _ = columns(task)
        near = (normalised(values, task.front.ideal, task.front.reference_point) <= 0.05).all(axis=1).mean()
        assert fronts.find(name, task.data_version).near_ideal == pytest.approx(near, abs=1e-12)


def test_the_headline_suite_has_what_no_rule_flags_but_hpobench():
    found = {name for name in FROZEN if not optibench_benchmarks.create(name).left_out}
    assert found == {*expand(["objectives-tables"]), "hpobench/nn/blood_transfusion+objective=cost"}


@pytest.mark.parametrize("name", ["hpolib/protein_structure", "nasbench201/cifar100"])
def test_evaluations_are_the_columns_of_the_table(name):
    plain = optibench_benchmarks.create(name)
    task = optibench_benchmarks.create(f"{name}+max_cost=5000+min_model_size=0.5+objective=model_size")
    assert task.name == f"{name}+max_cost=5000.0+min_model_size=0.5+objective=model_size"
    assert list(task.objectives) == ["value", "model_size"]
    assert task.constraints == ("max_cost", "min_model_size")
    theirs = plain.collection.open(plain.task)._dataset
    for config in map(dict, plain.space.sample_configuration(20)):
        found, alone = task.evaluate(config, seed=0), plain.evaluate(config, seed=0)
        row = plain.row(config)
        key = list(np.ndindex(*map(len, plain.collection.choices().values())))[row]
        size = np.mean(theirs["".join(map(str, key))]["model_size"])
        assert found.values == (alone.value, pytest.approx(size))
        assert found.constraints == pytest.approx((alone.cost_seconds - 5000.0, 0.5 - size))
        assert found.cost_seconds == alone.cost_seconds
        assert task.feasible()[row] == all(number <= 0 for number in found.constraints)


def test_the_reference_of_a_bounded_table_counts_its_feasible_rows():
    task = optibench_benchmarks.create("nasbench201/cifar10+max_model_size=0.3")
    plain = optibench_benchmarks.create("nasbench201/cifar10")
    kept = plain.column("value")[plain.column("model_size") <= 0.3]
    assert 0 < len(kept) < len(plain.column("value"))
    assert (task.reference.f_best, task.reference.f_worst) == (kept.max(), kept.min())
    assert task.reference.f_ref == np.median(kept)
    assert task.reference.f_best < plain.reference.f_best, "the bound costs something"
    assert (task.direction, task.front, task.has_cost) == ("maximize", None, True)


def test_one_trainings_values_have_the_front_of_the_means():
    task = optibench_benchmarks.create("nasbench201/cifar10+seeds=sampled+objective=model_size")
    mean = optibench_benchmarks.create("nasbench201/cifar10+objective=model_size")
    assert (task.sampling, task.front.hypervolume) == ("noisy", mean.front.hypervolume)
    config = dict(task.space.get_default_configuration())
    assert len({task.evaluate(config, seed=seed).values for seed in range(9)}) > 1


def test_metrics_of_any_task_can_be_bounds():
    task = optibench_benchmarks.create("digits/mlp+min_test_accuracy=0.5")
    assert task.constraints == ("min_test_accuracy",)
    assert task.reference is None
    with pytest.raises(BenchmarkError, match=r"live/svm/wine has no 'cost' for \+objective: it returns"):
        optibench_benchmarks.create("live/svm/wine+objective=cost")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hpolib/protein_structure+objective=latency", "has no 'latency' for +objective: it returns cost, model_size."),
        ("synthetic/ackley-5d+max_cost=1", "has no 'cost' for +max_cost: it returns nothing beside its value."),
        ("nasbench201/cifar10+objective=cost+objective=cost", "has the objective 'cost' already"),
        ("nasbench201/cifar10+max_cost=1+max_cost=2", "takes one finite bound as +max_cost, not 2.0"),
        ("nasbench201/cifar10+max_cost=inf", "takes one finite bound as +max_cost, not inf"),
        ("nasbench201/cifar10+max_cost=cheap", "needs a number in '+max_cost=cheap', not 'cheap'"),
        ("nasbench201/cifar10+most_cost=1", "+objective=NAME, +max_NAME=BOUND and +min_NAME=BOUND"),
        ("nasbench201/cifar10+max_cost=0.001", "No configuration of nasbench201/cifar10+max_cost=0.001 fulfils"),
        ("nasbench201/cifar10+max_cost=0.001+objective=latency", "fulfils its constraints; loosen the bounds"),
        ("nasbench201/cifar10+objective=cost+max_latency=0.01", "give bounds before further objectives"),
        ("nasbench201/cifar10+objective=cost+noise=0.1", "tasks with one objective"),
    ],
)
def test_what_cannot_be_is_one_sentence(name, says):
    with pytest.raises(BenchmarkError) as caught:
        optibench_benchmarks.create(name)
    assert says in str(caught.value)


def test_a_noisy_value_has_no_exact_front():
    task = optibench_benchmarks.create("nasbench201/cifar10+noise=0.1+objective=cost")
    assert isinstance(task.base, Noisy)
    assert task.front is None


def test_further_columns_are_those_of_the_package():
    for collection in (HPOLIB, NASBENCH201):
        assert set(collection.further) <= set(collection._class().available_metric_names)


@pytest.mark.parametrize(
    ("suite", "count", "several"),
    [("objectives-functions", 23, True), ("objectives-tables", 15, True)],
)
def test_the_suites_have_what_their_names_say(suite, count, several):
    pytest.importorskip("pymoo")
    tasks = [optibench_benchmarks.create(name) for name in expand([suite])]
    assert len(tasks) == count
    for task in tasks:
        assert bool(task.objectives) == (task.front is not None) == several
        assert several or (task.constraints and task.reference is not None)

"""BBOB with constraints and with two objectives: known optima, references, fronts, names."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cocoex", reason="needs pip install 'optiformer-bench[bbob]'")

import optibench_benchmarks
from optibench_benchmarks import BenchmarkError, UnknownBenchmarkError, create
from optibench_benchmarks.bbob import biobjective, constrained
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_benchmarks.hypervolume import normalised, volume
from optibench_benchmarks.references import fronts
from optibench_benchmarks.references.table import entries


class TestConstrained(BenchmarkConformance):
    name = "bbob-constrained/f8-5d/i1"


class TestBiobjective(BenchmarkConformance):
    name = "bbob-biobj/f6-2d/i1"


def config(task, point):
    return dict(zip(task.parameters, map(float, point), strict=True))


@pytest.mark.parametrize(
    "name", ["bbob-constrained/f1-2d/i1", "bbob-constrained/f20-5d/i1", "bbob-constrained/f50-10d/i1"]
)
def test_the_packages_optimum_is_feasible_and_nothing_near_it_is_better(name):
    before = set(Path.cwd().iterdir())
    task = create(name)
    best = task.optimum()
    assert set(Path.cwd().iterdir()) == before, "the package's file is written elsewhere"
    found = task.evaluate(config(task, best), seed=0)
    assert max(found.constraints) <= 1e-8
    assert found.value == pytest.approx(task.reference.f_best, rel=1e-12)
    steps = np.random.default_rng(0).standard_normal((2000, len(best))) * np.geomspace(1e-4, 1.0, 2000)[:, None]
    values, feasible = task.outcomes(np.clip(best + steps, -5.0, 5.0))
    assert feasible.any()
    assert values[feasible].min() >= found.value
    assert values.min() < found.value, "a constraint keeps it from the minimum"


def test_references_are_those_of_feasible_random_configurations():
    task = create("bbob-constrained/f13-2d/i1")
    values, feasible = task.outcomes(task.random_points(20_001))
    reference, entry = task.reference, entries()[task.name]
    assert reference.f_ref == np.median(values[feasible])
    assert reference.f_worst == values[feasible].max()
    regrets = np.array([reference.regret(value) for value in values])
    assert entry.near_best == pytest.approx((feasible & (regrets < 0.05)).mean())
    assert bool(task.left_out) == (entry.near_best > 0.02)
    assert create("bbob-constrained/f4-10d/i1").reference is None, "no random configuration is feasible"


def test_every_listed_constrained_task_has_a_reference_and_its_number_of_constraints():
    names = constrained.names()
    assert len(names) == len(set(names)) == 63
    assert set(names) <= set(entries())
    for name in names[::9]:
        function = int(name.partition("/f")[2].partition("-")[0])
        assert len(create(name).constraints) == {1: 1, 2: 3, 3: 9}[function % 6]


def test_the_two_objectives_are_functions_of_bbob():
    # bbob-biobj's first pair is the sphere twice: instances 2 and 4 of f1
    task, first, second = (create(name) for name in ("bbob-biobj/f1-5d/i1", "bbob/f1-5d/i2", "bbob/f1-5d/i4"))
    for point in np.random.default_rng(0).uniform(-5, 5, (5, 5)):
        theirs = tuple(each.evaluate(config(task, point), seed=0).value for each in (first, second))
        assert task.evaluate(config(task, point), seed=0).values == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["bbob-biobj/f6-2d/i1", "bbob-biobj/f47-5d/i1", "bbob-biobj/f36-10d/i1"])
def test_the_configurations_of_a_front_have_its_points_and_random_search_finds_less(name):
    task = create(name)
    assert fronts.check([task]) == []
    frozen = fronts.find(name, task.data_version)
    assert frozen.front.source.startswith("best known: evolutionary search")
    random = volume(normalised(task.outcomes(task.random_points(20_000)), task.front.ideal, task.front.reference_point))
    assert 0.0 < random < task.front.hypervolume


def test_listed_pairs_have_frozen_fronts_and_others_none():
    assert biobjective.names() == [name for name in fronts.names() if name.startswith("bbob-biobj/")]
    assert len(biobjective.names()) == 24
    assert create("bbob-biobj/f3-5d/i2").front is None


@pytest.mark.parametrize("name", ["bbob-constrained/f8-5d/i1", "bbob-biobj/f6-2d/i1"])
def test_it_is_pickled_by_its_numbers_and_knows_no_fidelity(name):
    task = create(name)
    middle = config(task, [0.5] * len(task.parameters))
    again = pickle.loads(pickle.dumps(task))
    assert task.numbers(again.evaluate(middle, seed=0)) == task.numbers(task.evaluate(middle, seed=0))
    with pytest.raises(BenchmarkError, match="no fidelity"):
        task.evaluate(middle, seed=0, fidelity={"epoch": 1})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bbob-constrained/f55-5d/i1", "BBOB-constrained has the functions 1 to 54, not 55"),
        ("bbob-biobj/f56-5d/i1", "BBOB-biobj has the functions 1 to 55, not 56"),
        ("bbob-biobj/f1-20d/i1", "BBOB-biobj has the dimensions 2, 5, 10, not 20"),
        ("bbob-constrained/f1-5d/i16", "BBOB-constrained has the instances 1 to 15, not 16"),
        ("bbob-biobj/f6-2d/i1+noise=0.1", "tasks with one objective"),
    ],
)
def test_what_is_not_there_is_one_sentence(name, says):
    with pytest.raises(BenchmarkError) as caught:
        create(name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_form_gets_the_closest_name():
    with pytest.raises(UnknownBenchmarkError, match="did you mean bbob-constrained/f1-2d/i1"):
        optibench_benchmarks.create("bbob-constrained/f1-2d")

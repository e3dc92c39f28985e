"""pymoo's functions: their frozen fronts, against pymoo and against random search."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

pytest.importorskip("pymoo")

import optibench_benchmarks
from optibench.cli.main import main
from optibench_benchmarks import BenchmarkError, UnknownBenchmarkError
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_benchmarks.hypervolume import normalised, volume
from optibench_benchmarks.pymoo import provider
from optibench_benchmarks.pymoo.fronts import front_points
from optibench_benchmarks.references import fronts

NAMES = provider.names()


class TestZDT(BenchmarkConformance):
    name = "pymoo/zdt/zdt3-2o-6d"


class TestThreeObjectives(BenchmarkConformance):
    name = "pymoo/dtlz/dtlz4-3o-6d"


class TestConstrained(BenchmarkConformance):
    name = "pymoo/constrained/c2dtlz2-2o-6d"


def random_points(task, n, seed=1):
    problem = task._problem
    share = np.random.default_rng(seed).random((n, len(task.parameters)))
    return problem.xl + share * (problem.xu - problem.xl)


@pytest.mark.parametrize("name", NAMES)
def test_the_frozen_front_is_made_again(name):
    task = optibench_benchmarks.create(name)
    again, frozen = task.measure_front(), fronts.lookup(name, task.data_version)
    assert frozen is not None
    assert again.hypervolume == pytest.approx(frozen.hypervolume, abs=1e-9)
    np.testing.assert_allclose(again.ideal, frozen.ideal, atol=1e-9)
    np.testing.assert_allclose(again.reference_point, frozen.reference_point, rtol=1e-9)
    np.testing.assert_allclose(again.points, frozen.points, rtol=1e-5, atol=1e-6)
    assert len(frozen.points) <= fronts.MAX_POINTS


@pytest.mark.parametrize("name", NAMES)
def test_no_random_point_is_beyond_the_front_and_pymoo_has_none(name):
    task = optibench_benchmarks.create(name)
    front = task.front
    values, constraints = task.outcomes(random_points(task, 20_000))
    feasible = values[(constraints <= 0.0).all(axis=1)]
    found = volume(normalised(feasible, front.ideal, front.reference_point))
    assert 0.0 < found < front.hypervolume
    if len(task.objectives) == 2:
        whole = np.concatenate([front_points(task.function, 2), feasible])
        assert volume(normalised(whole, front.ideal, front.reference_point)) < front.hypervolume + 1e-8
    if "tnk" in name:
        return  # pymoo downloads that front
    theirs = volume(normalised(task._problem.pareto_front(), front.ideal, front.reference_point))
    assert 0.9 * front.hypervolume < theirs < front.hypervolume + 1e-6


def test_hypervolumes_with_a_closed_form():
    for name, under in (("zdt1", 1 / 3), ("zdt2", 2 / 3), ("zdt4", 1 / 3)):
        front = optibench_benchmarks.create(f"pymoo/zdt/{name}-2o-6d").front
        box = front.reference_point[0] * front.reference_point[1]
        assert front.hypervolume == pytest.approx(1.0 - under / box, abs=1e-5)
    front = optibench_benchmarks.create("pymoo/dtlz/dtlz2-2o-6d").front
    assert front.hypervolume == pytest.approx(1.0 - math.pi / 4 / 1.21, abs=1e-5)


def test_an_optimal_configuration_lies_on_the_front():
    task = optibench_benchmarks.create("pymoo/zdt/zdt1-2o-6d")
    config = dict.fromkeys(task.parameters, 0.0) | {"x0": 0.25}
    assert task.evaluate(config, seed=0).values == pytest.approx((0.25, 0.5))
    task = optibench_benchmarks.create("pymoo/constrained/bnh-2o-2d")
    found = task.evaluate({"x0": 3.0, "x1": 3.0}, seed=0)
    assert found.values == (72.0, 8.0)
    assert all(number <= 0 for number in found.constraints)


def test_it_is_pickled_by_its_name():
    task = optibench_benchmarks.create("pymoo/wfg/wfg4-2o-8d")
    again = pickle.loads(pickle.dumps(task))
    config = dict.fromkeys(task.parameters, 0.5)
    assert (again.front, again.evaluate(config, seed=0)) == (task.front, task.evaluate(config, seed=0))


def test_wrong_names_suffixes_and_fidelities_are_refused():
    with pytest.raises(UnknownBenchmarkError, match="did you mean pymoo/zdt/zdt1-2o-6d"):
        optibench_benchmarks.create("pymoo/zdt/zdt1-2o-9d")
    for suffix in ("noise=0.1", "monotone=log"):
        with pytest.raises(BenchmarkError, match="tasks with one objective"):
            optibench_benchmarks.create(f"pymoo/zdt/zdt1-2o-6d+{suffix}")
    wider = optibench_benchmarks.create("pymoo/zdt/zdt1-2o-6d+unused=2")
    assert (len(wider.space), len(wider.objectives), wider.front is not None) == (8, 2, True)
    task = optibench_benchmarks.create("pymoo/zdt/zdt1-2o-6d")
    with pytest.raises(BenchmarkError, match="no fidelity"):
        task.evaluate(dict.fromkeys(task.parameters, 0.5), seed=0, fidelity={"epoch": 1})


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(fronts, "FILE", tmp_path / "fronts.json")
    fronts._read.cache_clear()
    yield tmp_path / "fronts.json"
    fronts._read.cache_clear()


def test_the_command_freezes_and_checks_fronts(own_file, capsys):
    name = "pymoo/zdt/zdt1-2o-6d"
    assert main(["references", name, "synthetic/sphere-2d", "--check"]) == 1
    assert f"{name} has no frozen front.\n2 tasks checked, 1 problems" in capsys.readouterr().out
    assert main(["references", name]) == 0
    assert "1 references of tasks with several objectives or constraints computed" in capsys.readouterr().out
    first = json.loads(own_file.read_text())
    assert main(["references", name]) == 0
    assert "0 references" in capsys.readouterr().out
    assert main(["references", name, "--again"]) == main(["references", name, "--check"]) == 0
    assert json.loads(own_file.read_text()) == first, "the same values keep their version"
    own_file.write_text(json.dumps({name: first[name] | {"hypervolume": 0.5}}))
    fronts._read.cache_clear()
    assert main(["references", name, "--check"]) == 1
    assert "the hypervolume is 0.92261" in capsys.readouterr().out
    assert main(["references", name, "--again"]) == 0
    assert json.loads(own_file.read_text())[name] == first[name] | {"version": 2}

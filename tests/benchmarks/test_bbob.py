"""BBOB: values of two implementations, known optima, names."""

import importlib.util
import pickle
import resource

import numpy as np
import pytest

from optibench_benchmarks import BenchmarkError, MissingDataError, UnknownBenchmarkError, check, create, expand
from optibench_benchmarks.bbob import DIMENSIONS, provider

cocoex = pytest.importorskip("cocoex", reason="needs pip install 'optiformer-bench[bbob]'")
from optibench_benchmarks.bbob.functions import BbobBenchmark  # noqa: E402  # imports cocoex


def configs(dimension: int, points: np.ndarray) -> list[dict[str, float]]:
    return [{f"x{place}": float(value) for place, value in enumerate(point)} for point in points]


@pytest.mark.parametrize("function", range(1, 25))
def test_values_are_those_of_ioh(function):
    ioh = pytest.importorskip("ioh", reason="needs pip install ioh")
    for dimension in (2, 10):
        points = np.random.default_rng(function).uniform(-5, 5, (10, dimension))
        for instance in (1, 13):
            task = create(f"bbob/f{function}-{dimension}d/i{instance}")
            theirs = ioh.get_problem(function, instance, dimension, ioh.ProblemClass.BBOB)
            found = [each.value for each in task.evaluate_batch(configs(dimension, points), seed=0)]
            np.testing.assert_allclose(found, [theirs(point) for point in points], rtol=1e-9)
            assert task.reference.f_best == pytest.approx(theirs.optimum.y, rel=1e-9)


@pytest.mark.parametrize("function", range(1, 25))
def test_the_best_value_is_reached_at_the_optimum_and_nowhere_undercut(function):
    for dimension in DIMENSIONS:
        task = create(f"bbob/f{function}-{dimension}d/i2")
        optimum = cocoex.BareProblem("bbob", function, dimension, 2).best_parameter()
        (best,) = task.evaluate_batch(configs(dimension, [optimum]), seed=0)
        assert best.value == pytest.approx(task.reference.f_best, abs=1e-7)
        near = np.clip(optimum + np.random.default_rng(0).normal(scale=0.01, size=(20, dimension)), -5, 5)
        assert min(each.value for each in task.evaluate_batch(configs(dimension, near), seed=0)) >= best.value


def test_half_of_random_configurations_are_better_than_f_ref():
    task = create("bbob/f15-5d/i3")
    points = np.random.default_rng(5).uniform(-5, 5, (2000, 5))
    values = np.array([each.value for each in task.evaluate_batch(configs(5, points), seed=0)])
    assert np.mean(values < task.reference.f_ref) == pytest.approx(0.5, abs=0.04)
    assert task.reference == task.measure_reference()
    assert pickle.loads(pickle.dumps(task)).evaluate(configs(5, points)[0], seed=0).value == values[0]


def test_many_tasks_can_be_built_in_one_process():
    def grown() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(20):
        BbobBenchmark(21, 40, 1)
    before = grown()
    for _ in range(300):
        BbobBenchmark(21, 40, 1)
    assert grown() - before < 10_000  # kB on Linux; each has about 70 kB


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bbob/f25-2d/i1", "BBOB has the functions 1 to 24, not 25"),
        ("bbob/f1-4d/i1", "BBOB has the dimensions 2, 3, 5, 10, 20, 40, not 4"),
        ("bbob/f1-2d/i10001", "BBOB has the instances 1 to 10,000, not 10001"),
        ("bbob/f1-2d", "did you mean bbob/f1-2d/i1"),
        ("bbob/f01-2d/i1", "did you mean bbob/f1-2d/i1"),
        ("bbob/f1-2d/i1+nois=1", "unknown suffix"),
    ],
)
def test_a_wrong_name_gets_one_clear_sentence(name, words):
    for call in (create, lambda name: check([name])):
        with pytest.raises(BenchmarkError, match=words) as caught:
            call(name)
        assert "\n" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert provider.names() == []
    check(["bbob/f1-2d/i1"])
    for call in (lambda: create("bbob/f1-2d/i1"), lambda: expand(["bbob"])):
        with pytest.raises(MissingDataError, match=r"pip install 'optiformer-bench\[bbob\]'"):
            call()
    with pytest.raises(UnknownBenchmarkError):
        create("bbob/f1-2d")

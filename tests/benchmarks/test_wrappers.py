"""Wrappers change only what they declare, and compose through names."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optibench_benchmarks import Benchmark, BenchmarkError, Evaluation, Reference, create
from optibench_benchmarks.synthetic.instances import Synthetic
from optibench_benchmarks.wrappers import TRANSFORMATIONS, Monotone, Noisy, UnusedDimensions, uniforms

POINT = {f"x{i}": 1.5 for i in range(5)}


class Plain(Benchmark):
    """A maximized task whose value, cost and reference are given."""

    def __init__(self, value: float = 2.0, reference: Reference | None = None) -> None:
        from ConfigSpace import ConfigurationSpace

        self.name, self.space, self.direction = "plain/task", ConfigurationSpace({"a": (0.0, 1.0)}), "maximize"
        self.value, self.reference = value, reference

    def evaluate(self, config, *, seed, fidelity=None):
        assert set(config) == {"a"}
        return Evaluation(self.value, 7.0, {"seed": seed})


def test_noise_has_the_asked_size_in_units_of_the_reference_and_mean_zero():
    base = create("synthetic/styblinski-tang-5d")  # whose best value is not 0
    scale = base.reference.f_ref - base.reference.f_best
    noisy = Noisy(base, 0.1)
    values = np.array([noisy.evaluate(POINT, seed=seed).value for seed in range(4000)])
    errors = (values - base.evaluate(POINT, seed=0).value) / scale
    assert errors.std() == pytest.approx(0.1, rel=0.05)
    assert abs(errors.mean()) < 0.1 * 4 / math.sqrt(4000)
    # Normal, not merely of that spread: the shares within one and two standard deviations.
    assert np.mean(np.abs(errors) < 0.1) == pytest.approx(0.683, abs=0.03)
    assert np.mean(np.abs(errors) < 0.2) == pytest.approx(0.954, abs=0.015)


def test_noise_is_absolute_without_a_reference():
    values = [Noisy(Plain(), 3.0).evaluate({"a": 0.5}, seed=seed).value for seed in range(3000)]
    assert np.std(values) == pytest.approx(3.0, rel=0.06)


def test_noise_depends_on_seed_and_configuration_only():
    noisy = Noisy(create("synthetic/sphere-2d"), 0.5)
    a, b = {"x0": 1.0, "x1": 2.0}, {"x0": 2.0, "x1": 1.0}
    assert noisy.evaluate(a, seed=1) == noisy.evaluate(dict(reversed(a.items())), seed=1)
    assert noisy.evaluate(a, seed=1).value != noisy.evaluate(a, seed=2).value
    assert uniforms(1, a) != uniforms(1, b)
    assert [e.value for e in noisy.evaluate_batch([a, b], seed=1)] == pytest.approx(
        [noisy.evaluate(config, seed=1).value for config in (a, b)], rel=1e-12
    )
    assert uniforms(1, {"x0": np.float64(1.0), "x1": 2.0}) == uniforms(1, a)


def test_a_noisy_task_says_so_and_keeps_its_noise_free_reference():
    base = create("synthetic/levy-2d")
    noisy = Noisy(base, 0.1)
    assert (base.sampling, noisy.sampling) == ("deterministic", "noisy")
    assert noisy.reference == base.reference
    assert noisy.name == "synthetic/levy-2d+noise=0.1"


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2, unique=True))
def test_transformations_are_increasing_and_odd(name, values):
    transform = TRANSFORMATIONS[name]
    low, high = sorted(values)
    assert transform(low) <= transform(high)
    if high - low > 1e-6 * max(1.0, abs(low), abs(high)):
        assert transform(low) < transform(high)
    assert transform(-high) == -transform(high)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_monotone_task_moves_values_and_reference_alike(name):
    base = create("synthetic/styblinski-tang-5d")
    task = Monotone(base, name)
    transform = TRANSFORMATIONS[name]
    assert task.evaluate(POINT, seed=0).value == transform(base.evaluate(POINT, seed=0).value)
    assert task.evaluate(base.optimum, seed=0).value == pytest.approx(task.reference.f_best, rel=1e-12)
    assert task.reference.f_ref == transform(base.reference.f_ref)
    assert task.reference.f_best < task.reference.f_ref < task.reference.f_worst
    assert task.reference.regret(task.evaluate(base.optimum, seed=0).value) == pytest.approx(0.0, abs=1e-12)


def test_a_monotone_maximized_task_keeps_its_direction():
    task = Monotone(Plain(reference=Reference(1.0, 0.5, 0.1, "given")), "square")
    assert task.direction == "maximize"
    assert (task.reference.f_best, task.reference.f_ref, task.reference.f_worst) == (1.0, 0.25, pytest.approx(0.01))
    assert task.evaluate({"a": 0.5}, seed=3) == Evaluation(4.0, 7.0, {"seed": 3})
    assert Monotone(Plain(), "log").reference is None


def test_unused_dimensions_are_in_the_space_and_change_nothing():
    base = create("synthetic/ackley-5d")
    task = UnusedDimensions(base, 2)
    assert set(task.space) == {*base.space, "z0", "z1"}
    assert set(base.space) == set(base.optimum)
    expected = base.evaluate(POINT, seed=0)
    for unused in ({"z0": 0.0, "z1": 1.0}, {"z0": 0.9, "z1": 0.2}):
        assert task.evaluate({**POINT, **unused}, seed=0) == expected
    assert task.evaluate_batch([{**POINT, "z0": 0.1, "z1": 0.2}], seed=0)[0].value == pytest.approx(expected.value)
    assert task.reference == base.reference
    sampled = dict(task.space.sample_configuration())
    assert math.isfinite(task.evaluate(sampled, seed=0).value)


def test_suffixes_compose_from_left_to_right():
    task = create("synthetic/ackley-5d+unused=2+monotone=log+noise=0.1")
    assert isinstance(task, Noisy)
    assert isinstance(task.base, Monotone)
    assert isinstance(task.base.base, UnusedDimensions)
    assert isinstance(task.base.base.base, Synthetic)
    assert task.name == "synthetic/ackley-5d+unused=2+monotone=log+noise=0.1"
    other = create("synthetic/ackley-5d+noise=0.1+monotone=log")
    assert isinstance(other, Monotone)
    assert other.sampling == "noisy"


def test_suffixes_have_one_spelling():
    assert create("synthetic/branin/1+noise=.10").name == "synthetic/branin-2d+noise=0.1"


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        ("+nois=1", r"unknown suffix '\+nois=1'"),
        ("+", "unknown suffix"),
        ("+noise=much", "needs a number"),
        ("+noise", "needs a number"),
        ("+noise=0", "must be a number above 0"),
        ("+noise=-1", "must be a number above 0 and at most 1,000,000, not -1.0"),
        ("+noise=nan", "must be a number above 0"),
        ("+noise=1e300", "at most 1,000,000"),
        ("+monotone=tan", "there are log, sqrt, square, cube"),
        ("+unused=1.5", "needs a whole number"),
        ("+unused=x", "needs a whole number"),
        ("+unused=-2", "must be 1 to 1000, not -2"),
        ("+monotone=cube" * 8, "leaves .* no reference"),
        ("+unused=0", "must be 1 to 1000"),
        ("+unused=2+unused=1", "already has a parameter 'z0'"),
    ],
)
def test_a_wrong_suffix_gets_one_clear_sentence(suffix, words):
    with pytest.raises(BenchmarkError, match=words) as caught:
        create(f"synthetic/ackley-5d{suffix}")
    assert "\n" not in str(caught.value)


def test_a_wrapped_task_survives_pickling():
    task = create("synthetic/ackley-5d+unused=1+monotone=sqrt+noise=0.2")
    config = {**POINT, "z0": 0.5}
    assert pickle.loads(pickle.dumps(task)).evaluate(config, seed=4) == task.evaluate(config, seed=4)

"""Moved test functions: the optimum is at the declared place, and no value is lower."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from optibench_benchmarks import BenchmarkError, UnknownBenchmarkError, create
from optibench_benchmarks.references.table import lookup
from optibench_benchmarks.synthetic import FUNCTIONS, provider
from optibench_benchmarks.synthetic.functions import michalewicz, michalewicz_optimum
from optibench_benchmarks.synthetic.instances import Synthetic


@st.composite
def tasks(draw: st.DrawFn) -> Synthetic:
    function = draw(st.sampled_from(sorted(FUNCTIONS)))
    least, most = FUNCTIONS[function].dimensions
    dimension = draw(st.integers(least, min(most, 12)))
    rotated = draw(st.booleans()) if dimension > 1 else False
    return Synthetic(function, dimension, draw(st.integers(1, 2**32 - 1)), rotated)


def bounds_of(task: Synthetic) -> tuple[np.ndarray, np.ndarray]:
    parameters = [task.space[name] for name in task.optimum]
    return np.array([p.lower for p in parameters]), np.array([p.upper for p in parameters])


@given(tasks())
@settings(max_examples=300, deadline=None)
def test_optimum_is_inside_the_box_away_from_centre_and_walls_and_has_the_known_value(task):
    low, high = bounds_of(task)
    share = (np.array(list(task.optimum.values())) - low) / (high - low)
    assert np.all((share > 0.0999) & (share < 0.9001))
    assert np.all(np.abs(share - 0.5) > 0.0999)
    assert task.evaluate(task.optimum, seed=0).value == pytest.approx(task.f_best, rel=1e-12, abs=1e-9)


@given(tasks(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_one_at_a_time_equals_batch_and_no_random_point_is_better(task, seed):
    low, high = bounds_of(task)
    points = low + np.random.default_rng(seed).random((40, len(low))) * (high - low)
    configs = [dict(zip(task.optimum, point.tolist(), strict=True)) for point in points]
    single = np.array([task.evaluate(config, seed=1).value for config in configs])
    batch = np.array([evaluation.value for evaluation in task.evaluate_batch(configs, seed=2)])
    np.testing.assert_allclose(single, batch, rtol=1e-10, atol=1e-9)
    assert single.min() >= task.f_best - 1e-9


@pytest.mark.parametrize("name", [name for name in provider.names() if "-20d" not in name and "-10d" not in name])
def test_no_locally_refined_point_is_better_than_the_optimum(name):
    task = create(name)
    low, high = bounds_of(task)
    random = np.random.default_rng(1)
    points = low + random.random((20_000, len(low))) * (high - low)
    starts = points[np.argsort(task.objective(points))[:6]]
    optimum = np.array(list(task.optimum.values()))
    nearby = np.clip(optimum + 1e-2 * (high - low) * random.standard_normal((3, len(low))), low, high)
    for start in [*starts, *nearby]:
        found = minimize(task.objective, start, method="L-BFGS-B", bounds=list(zip(low, high, strict=True)))
        assert found.fun >= task.f_best - 1e-9


@pytest.mark.parametrize("name", ["sphere", "rosenbrock", "zakharov", "dixon-price", "styblinski-tang", "hartmann6"])
def test_descent_from_near_the_optimum_ends_at_the_optimum(name):
    task = Synthetic(name, FUNCTIONS[name].dimensions[0] if name == "hartmann6" else 4, 3, rotated=True)
    optimum = np.array(list(task.optimum.values()))
    found = minimize(task.objective, optimum + 0.01, method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(found.x, optimum, atol=1e-4)
    assert found.fun == pytest.approx(task.f_best, abs=1e-9)


@given(tasks())
@settings(max_examples=50, deadline=None)
def test_another_instance_moves_the_optimum(task):
    function, dimension, instance, rotated = task._arguments
    other = Synthetic(function, dimension, instance - 1 or 2, rotated)
    assert other.optimum != task.optimum
    assert other.f_best == task.f_best
    assert other.evaluate(task.optimum, seed=0).value != task.evaluate(task.optimum, seed=0).value


def test_optima_are_frozen():
    """A change here changes every published result: if intended, increase the tasks' data_version."""
    assert create("synthetic/ackley-2d").optimum == pytest.approx(GOLDEN["synthetic/ackley-2d"], rel=1e-14)
    rotated = create("synthetic/rotated/levy-2d/7")
    assert rotated.optimum == pytest.approx(GOLDEN["synthetic/rotated/levy-2d/7"], rel=1e-14)
    assert rotated.evaluate({"x0": 1.0, "x1": 2.0}, seed=0).value == pytest.approx(GOLDEN["value"], rel=1e-12)


GOLDEN = {
    "synthetic/ackley-2d": {"x0": 23.320946550512673, "x1": -9.3637811984573},
    "synthetic/rotated/levy-2d/7": {"x0": -6.356594608115248, "x1": -6.805152307596676},
    "value": 14.112884578921058,
}


# From the literature: f at the textbook minimizers and at some plain points, worked out by hand.
@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("sphere", [1.0, 2.0, -3.0], 14.0),
        ("rastrigin", [1.0, -2.0], 5.0),
        ("rastrigin", [0.5, 0.0], 20.25),
        ("rosenbrock", [0.0, 0.0, 0.0], 2.0),
        ("rosenbrock", [1.0, 2.0], 100.0),
        ("ackley", [1.0, 1.0], 20.0 * (1.0 - np.exp(-0.2))),
        ("levy", [5.0], 1.0),
        ("levy", [5.0, 1.0], 1.0 + 10.0 * np.sin(2.0 * np.pi + 1.0) ** 2),
        ("griewank", [np.pi, 0.0], 2.0 + np.pi**2 / 4000.0),
        ("griewank", [0.0, np.pi * np.sqrt(2.0)], 2.0 + 2.0 * np.pi**2 / 4000.0),
        ("schwefel", [0.0, 0.0], 2 * 418.9828872724338),
        ("styblinski-tang", [1.0, -1.0], -15.0),
        ("zakharov", [1.0, 1.0], 2.0 + 1.5**2 + 1.5**4),
        ("dixon-price", [0.0, 1.0, 1.0], 1.0 + 2.0 * 4.0 + 3.0),
        ("michalewicz", [np.pi / 2.0, np.pi / 2.0], -1.0 - np.sin(np.pi / 4.0) ** 20),
        ("branin", [-np.pi, 12.275], 10.0 / (8.0 * np.pi)),
        ("branin", [3.0 * np.pi, 2.475], 10.0 / (8.0 * np.pi)),
        ("branin", [0.0, 0.0], 36.0 + 10.0 * (1.0 - 1.0 / (8.0 * np.pi)) + 10.0),
        ("hartmann3", [0.114614, 0.555649, 0.852547], -3.86278),
        ("hartmann6", [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573], -3.32237),
    ],
)
def test_formulas_give_their_textbook_values(name, point, value):
    tolerance = 1e-5 if name.startswith("hartmann") else 1e-9
    assert FUNCTIONS[name].formula(np.array(point)) == pytest.approx(value, abs=tolerance)


@pytest.mark.parametrize(("dimension", "value"), [(2, -1.8013034), (5, -4.687658), (10, -9.6601517)])
def test_michalewicz_minimum_agrees_with_the_literature(dimension, value):
    assert FUNCTIONS["michalewicz"].minimum(dimension) == pytest.approx(value, abs=1e-6)


def test_michalewicz_optimum_is_the_best_of_every_coordinate():
    optimum = michalewicz_optimum(60)
    for i in (1, 2, 3, 4, 7, 20, 60):

        def term(x, i=i):
            return -np.sin(x) * np.sin(i * x * x / np.pi) ** 20

        grid = np.linspace(0.0, np.pi, 200_001)
        start = grid[np.argmin(term(grid))]
        best = minimize_scalar(term, bounds=(start - 1e-4, start + 1e-4), method="bounded", options={"xatol": 1e-12})
        assert term(optimum[i - 1]) <= best.fun + 1e-13
        assert optimum[i - 1] == pytest.approx(best.x, abs=1e-6)
    assert float(michalewicz(optimum)) < -58.0


@pytest.mark.parametrize("name", ["schwefel", "michalewicz"])
def test_a_bounded_function_continues_over_its_own_wall_without_a_jump_and_pays_for_it(name):
    task = Synthetic(name, 1, 1)
    low, high = task._low[0], task._high[0]
    # The part of the box that the shift has moved out of the function's own box.
    wall, outwards = (low + task._shift, -1.0) if task._shift[0] > 0 else (high + task._shift, 1.0)
    assert low < wall[0] < high
    inside, outside = (float(task.objective(wall + outwards * step)) for step in (-1e-9, 1e-9))
    assert inside == pytest.approx(outside, abs=1e-6)
    step = 0.05 * (high - low)
    mirrored = float(task.objective(wall - outwards * step))
    assert float(task.objective(wall + outwards * step)) == pytest.approx(mirrored + task.function.amplitude * 0.01)


def test_rotated_sphere_is_only_shifted_and_rotated_rastrigin_is_not_separable():
    def mixed_difference(task):
        a, b = np.array(list(task.optimum.values())) + [[0.3], [0.7]] * np.array([1.0, 1.0])
        corners = task.objective(np.array([[a[0], a[1]], [a[0], b[1]], [b[0], a[1]], [b[0], b[1]]]))
        return abs(corners[0] - corners[1] - corners[2] + corners[3])

    assert mixed_difference(Synthetic("sphere", 2, 1, rotated=True)) < 1e-9
    assert mixed_difference(Synthetic("rastrigin", 2, 1, rotated=False)) < 1e-9
    assert mixed_difference(Synthetic("rastrigin", 2, 1, rotated=True)) > 0.1


def test_rotation_is_orthogonal():
    rotation = Synthetic("ackley", 30, 5, rotated=True)._rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(30), atol=1e-12)


def test_every_listed_task_has_a_frozen_reference_and_it_is_the_measured_one():
    for name in provider.names():
        task = create(name)
        frozen, measured = lookup(name, data_version=task.data_version), task.measure_reference()
        assert frozen is not None, name
        assert task.reference is frozen
        for field in ("f_best", "f_ref", "f_worst"):
            assert getattr(frozen, field) == pytest.approx(getattr(measured, field), rel=1e-9, abs=1e-12)


def test_a_measured_reference_is_the_median_of_random_configurations():
    task = Synthetic("levy", 3, 99)
    configs = [dict(config) for config in task.space.sample_configuration(4001)]
    sample = np.median([evaluation.value for evaluation in task.evaluate_batch(configs, seed=0)])
    assert task.reference.f_ref == pytest.approx(sample, rel=0.1)
    assert task.measure_reference() == task.measure_reference()


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("synthetic/branin", "synthetic/branin-2d"),
        ("synthetic/hartmann6/3", "synthetic/hartmann6-6d/3"),
        ("synthetic/ackley-5d/1", "synthetic/ackley-5d"),
        ("synthetic/styblinski-tang-7d/12", "synthetic/styblinski-tang-7d/12"),
        ("synthetic/rotated/dixon-price-2d/1", "synthetic/rotated/dixon-price-2d"),
    ],
)
def test_other_spellings_build_the_registered_task(spelling, name):
    assert create(spelling).name == name


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("synthetic/akley-5d", UnknownBenchmarkError, "did you mean synthetic/ackley-5d"),
        ("synthetic/ackley", UnknownBenchmarkError, "lacks its dimension"),
        ("synthetic/ackley-0d", UnknownBenchmarkError, "Unknown benchmark"),
        ("synthetic/ackley-5d/x", UnknownBenchmarkError, "Unknown benchmark"),
        ("synthetic/ackley-1001d", BenchmarkError, "dimension 1 to 1000, not 1001"),
        ("synthetic/rosenbrock-1d", BenchmarkError, "dimension 2 to 1000, not 1"),
        ("synthetic/rotated/ackley-1d", BenchmarkError, "dimension 2 to 1000, not 1"),
        ("synthetic/branin-3d", BenchmarkError, "dimension 2, not 3"),
        ("synthetic/ackley-5d/0", BenchmarkError, "numbered from 1, not 0"),
    ],
)
def test_a_wrong_name_gets_one_clear_sentence(name, error, words):
    with pytest.raises(error, match=words):
        create(name)


def test_a_thousand_dimensions_work():
    for name in FUNCTIONS:
        if FUNCTIONS[name].dimensions[1] == 1000:
            task = Synthetic(name, 1000)
            assert task.evaluate(task.optimum, seed=0).value == pytest.approx(task.f_best, rel=1e-12, abs=1e-8)


def test_a_task_survives_pickling():
    task = create("synthetic/rotated/levy-3d/4")
    copy = pickle.loads(pickle.dumps(task))
    point = {"x0": 1.0, "x1": -2.0, "x2": 3.0}
    assert copy.evaluate(point, seed=0) == task.evaluate(point, seed=0)

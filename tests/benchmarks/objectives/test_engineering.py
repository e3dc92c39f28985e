"""Engineering designs: published optima are feasible, have the published value, and are local optima."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import optibench_benchmarks
from optibench_benchmarks import BenchmarkError
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_benchmarks.engineering import NAMES
from optibench_benchmarks.engineering.designs import DESIGNS
from optibench_benchmarks.references.table import lookup

PUBLISHED = {
    "cantilever-beam": 1.3399564,
    "pressure-vessel": 6059.714335,
    "speed-reducer": 2994.471066,
    "spring": 0.012665232788,
    "three-bar-truss": 263.895843,
    "welded-beam": 1.724852309,
}


class TestPressureVessel(BenchmarkConformance):
    name = "engineering/pressure-vessel"


class TestSpeedReducer(BenchmarkConformance):
    name = "engineering/speed-reducer"


def test_every_design_is_here():
    assert set(NAMES) == set(DESIGNS) == set(PUBLISHED)
    assert len({design.variant for design in DESIGNS.values()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_published_optimum_is_feasible_and_has_its_value(name):
    task = optibench_benchmarks.create(f"engineering/{name}")
    config = dict(zip(DESIGNS[name].parameters, DESIGNS[name].best, strict=True))
    assert all(task.space[key].legal_value(value) for key, value in config.items())
    found = task.evaluate(config, seed=0)
    assert max(found.constraints) <= 1e-8
    assert len(found.constraints) == len(task.constraints)
    assert found.value == pytest.approx(PUBLISHED[name], rel=1e-6, abs=1e-10)
    assert task.reference == lookup(f"engineering/{name}", data_version="1")
    assert task.reference.f_best == found.value


@pytest.mark.parametrize("name", NAMES)
def test_no_feasible_configuration_near_the_optimum_is_better(name):
    task = optibench_benchmarks.create(f"engineering/{name}")
    bounds = list(DESIGNS[name].parameters.values())
    low, high = np.array(bounds, dtype=float).T
    whole = np.array([isinstance(lower, int) for lower, _ in bounds])
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((20_000, len(low))) * 10.0 ** rng.uniform(-6, -1, (20_000, 1)) * (high - low)
    points = np.clip(np.array(DESIGNS[name].best) + np.where(whole, np.rint(steps), steps), low, high)
    values, constraints = task.outcomes(points)
    feasible = values[(constraints <= 0.0).all(axis=1)]
    assert len(feasible) > 50
    assert feasible.min() >= task.reference.f_best * (1.0 - 1e-9)
    assert feasible.min() < task.reference.f_best * 1.01


def test_the_cantilever_beams_optimum_has_a_closed_form():
    loads = (61.0, 37.0, 19.0, 7.0, 1.0)
    total = sum(load**0.25 for load in loads)
    assert optibench_benchmarks.create("engineering/cantilever-beam").reference.f_best == pytest.approx(
        0.0624 * total ** (4.0 / 3.0), rel=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_measured_again(name):
    task = optibench_benchmarks.create(f"engineering/{name}")
    again, frozen = task.measure_reference(), task.reference
    for field in ("f_best", "f_ref", "f_worst"):
        assert math.isclose(getattr(again, field), getattr(frozen, field), rel_tol=1e-9)
    assert again.source == frozen.source


def test_it_is_pickled_by_its_name_and_knows_no_fidelity():
    task = optibench_benchmarks.create("engineering/spring")
    config = dict(task.space.get_default_configuration())
    assert pickle.loads(pickle.dumps(task)).evaluate(config, seed=0) == task.evaluate(config, seed=0)
    with pytest.raises(BenchmarkError, match="no fidelity"):
        task.evaluate(config, seed=0, fidelity={"epoch": 1})
    with pytest.raises(BenchmarkError, match="did you mean engineering/spring"):
        optibench_benchmarks.create("engineering/springs")

"""Hypervolumes against Optuna's and against inclusion and exclusion, the IGD+ against moocore's and its definition."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import moocore
import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume

from optibench_benchmarks import BenchmarkError, Front
from optibench_benchmarks.hypervolume import alone, igd_plus, nondominated, normalised, volume, volumes
from optibench_benchmarks.references.fronts import exact, measured


def by_inclusion_and_exclusion(points: np.ndarray) -> float:
    """Up to the point (1, ..., 1): the boxes, minus those of pairs, plus those of triples, ..."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for some in combinations(points, size):
            total -= (-1) ** size * float(np.prod(np.maximum(1.0 - np.max(some, axis=0), 0.0)))
    return total


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_a_volume_is_that_of_two_other_methods(objectives: int, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-0.2, 1.3, (8, objectives))
    points[3] = points[2]
    expected = by_inclusion_and_exclusion(points)
    assert volume(points) == pytest.approx(expected, abs=1e-9)
    inside = points[(points < 1).all(axis=1)]
    theirs = compute_hypervolume(inside, np.ones(objectives)) if len(inside) else 0.0
    assert volume(points) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("objectives", [2, 3])
def test_after_each_trial_it_is_the_volume_of_all_so_far(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    ideal, last = (5.0, -1.0, 2.0)[:objectives], (1.0, 3.0, 2.5)[:objectives]  # the first objective is maximized
    trials = [None if rng.random() < 0.3 else tuple(rng.uniform(0.0, 4.0, objectives)) for _ in range(60)]
    found = volumes(trials, ideal, last)
    for n in range(61):
        counted = [trial for trial in trials[:n] if trial is not None]
        assert found[:n][-1:] == [pytest.approx(volume(normalised(counted, ideal, last)), abs=1e-12)] * (n > 0)
    assert sorted(found) == found


def test_points_on_the_reference_point_or_beyond_the_ideal() -> None:
    assert volumes([(1.0, 0.0), (2.0, -5.0), (0.5, 0.5)], (0.0, 0.0), (1.0, 1.0)) == [0.0, 0.0, 0.25]
    assert volumes([(-1.0, -1.0)], (0.0, 0.0), (1.0, 1.0)) == [4.0], "beyond the ideal it is above 1, not clipped"
    front = Front((0.0, 0.0), (1.0, 2.0), 0.5, (), "x")
    assert alone(front, (0.5, 1.0)) == 0.25
    assert alone(front, (0.5, 2.0)) == 0.0
    assert volumes([], (0.0,), (1.0,)) == []


def test_equal_points_count_once_on_a_front() -> None:
    points = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5], [0.0, 2.0]])
    assert nondominated(points).tolist() == [True, True, False, False, True, False]


def test_the_front_of_a_table_is_exact_in_the_objectives_own_directions() -> None:
    rng = np.random.default_rng(0)
    table = rng.uniform(0.0, 1.0, (501, 2))
    front = exact(table, np.ones(501, dtype=bool), np.array([-1.0, 1.0]), "complete table")
    best = [
        point for point in table if not any((o[0] >= point[0]) & (o[1] <= point[1]) & (o != point).any() for o in table)
    ]
    assert {tuple(point) for point in np.round(front.points, 5)} == {tuple(point) for point in np.round(best, 5)}
    assert front.ideal == (max(point[0] for point in best), min(point[1] for point in best))
    first, second = (sorted(column) for column in zip(*best, strict=True))
    assert front.reference_point[0] == min(first[0] - 0.1 * (first[-1] - first[0]), np.median(table[:, 0]))
    assert front.reference_point[1] == max(second[-1] + 0.1 * (second[-1] - second[0]), np.median(table[:, 1]))
    counted = normalised(table, front.ideal, front.reference_point)
    assert front.hypervolume == pytest.approx(volume(counted), abs=1e-12)


def test_a_constant_objective_has_no_front() -> None:
    with pytest.raises(BenchmarkError, match="constant"):
        measured(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([0.5, 1.0]), None, "x")
    one = measured(np.array([[0.0, 1.0]]), np.array([0.5, 3.0]), None, "a front of one point")
    assert (one.ideal, one.reference_point, one.hypervolume) == ((0.0, 1.0), (0.5, 3.0), 1.0)


def by_definition(trials: list[tuple[float, ...] | None], front: Any, ideal: Any, last: Any) -> float:
    """The mean over the front of the distance to the nearest trial, of what is worse only."""
    total = 0.0
    for point in front:
        nearest = math.inf
        for trial in trials:
            if trial is not None:
                worse = [max((a - z) / (w - b), 0.0) for a, z, b, w in zip(trial, point, ideal, last, strict=True)]
                nearest = min(nearest, math.sqrt(sum(each**2 for each in worse)))
        total += nearest
    return total / len(front)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1, 1), (1, 1, 1)])
def test_the_igd_plus_after_each_trial_is_that_of_its_definition_and_of_moocore(
    signs: tuple[int, ...], seed: int
) -> None:
    rng, sign = np.random.default_rng(seed), np.array(signs, dtype=float)
    ideal, last = sign * rng.uniform(-3.0, 0.0, len(sign)), sign * rng.uniform(4.0, 9.0, len(sign))
    front = ideal + rng.uniform(0.0, 1.0, (9, len(sign))) * (last - ideal)
    values = ideal + rng.uniform(-0.2, 1.4, (25, len(sign))) * (last - ideal)
    values[[0, 1, 7]] = np.nan
    found = igd_plus(values, front.tolist(), ideal.tolist(), last.tolist())
    assert np.isnan(found[:2]).all()
    trials = [None if np.isnan(row).any() else tuple(row) for row in values]
    for n in range(3, 26):
        assert found[n - 1] == pytest.approx(by_definition(trials[:n], front, ideal, last), abs=1e-9)
        counted = normalised(values[:n][~np.isnan(values[:n, 0])], ideal, last)
        theirs = moocore.igd_plus(counted, ref=normalised(front, ideal, last))
        assert found[n - 1] == pytest.approx(theirs, abs=1e-9)


def test_the_igd_plus_of_the_front_is_0_and_without_points_it_is_unknown() -> None:
    front = [(1.0, 0.0), (0.0, 2.0)]
    assert igd_plus(np.array(front), front, (0.0, 0.0), (1.0, 2.0)).tolist() == [0.5, 0.0]
    assert np.isnan(igd_plus(np.array(front), (), (0.0, 0.0), (1.0, 2.0))).all()

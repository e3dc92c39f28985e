"""Boxes, expected hypervolume improvement and feasibility against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from optiformer.gp.acquisition import Acquisition, Feasibility
from optiformer.gp.expected_improvement import ExpectedImprovement
from optiformer.gp.fronts import MAX_FRONT, boxes, dominating, spread
from optiformer.gp.hypervolume_improvement import HypervolumeImprovement
from optiformer.gp.kernels import HEADS, Array
from optiformer.gp.posterior import Coordinates, Kinds, WarpedHistory
from optiformer.gp.predictor import Predictor

N, D, KNEE = 14, 2, 0.05
ACTIVE = np.ones((N, D), dtype=bool)


def predictors(how_many: int) -> tuple[Coordinates, list[Predictor]]:
    """GPs of random smooth functions at the same trials."""
    rng = np.random.default_rng(0)
    kinds = Kinds(np.zeros(D, dtype=bool), np.zeros(D))
    position = rng.random((N, D))
    coordinates = Coordinates(kinds, 8, position, ACTIVE)
    found = []
    for _ in range(how_many):
        value = np.sin(4 * position @ rng.standard_normal(D)) + position @ rng.standard_normal(D)
        score = np.arcsinh((value - value.min()) / KNEE)
        history = WarpedHistory.of(HEADS.of((2,)), KNEE, coordinates(position, ACTIVE), score)
        found.append(Predictor(history.solve(np.full((D, 1), math.log(0.15)), np.full(1, -6.0))))
    return coordinates, found


def volume(front: Array, reference: Array) -> float:
    """Hypervolume by inclusion and exclusion."""
    total = 0.0
    for size in range(1, len(front) + 1):
        for chosen in itertools.combinations(front, size):
            total -= (-1) ** size * float(np.maximum(reference - np.max(chosen, 0), 0).prod())
    return total


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
def test_boxes_fill_what_no_point_dominates(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    for _ in range(10):
        front, reference = rng.random((7, objectives)), np.full(objectives, 0.9)
        lower, upper = boxes(front, reference)
        free = np.maximum(upper - np.maximum(lower, 0), 0).prod(1).sum()
        assert free + volume(front, reference) == pytest.approx(0.9**objectives, abs=1e-12)
        points = rng.random((200, objectives))
        inside = ((points[:, None] > lower) & (points[:, None] < upper)).all(-1).sum(1)
        dominated = (front[None] <= points[:, None]).all(-1).any(1)
        np.testing.assert_array_equal(inside, ~dominated & (points < reference).all(1))


@pytest.mark.parametrize("objectives", [2, 3])
def test_it_is_the_mean_improvement_of_the_hypervolume(objectives: int) -> None:
    coordinates, found = predictors(objectives)
    feasible = np.arange(N) % 3 > 0
    improvement = HypervolumeImprovement(coordinates, found, feasible)
    means = np.stack([each.at_trials for each in found], 1)
    front = means[feasible][dominating(means[feasible]) == 0]
    reference = np.maximum(np.median(means, 0), front.max(0) + 0.1 * np.ptp(front, axis=0))
    rng = np.random.default_rng(1)
    position = rng.random((3, D))
    posteriors = [each(coordinates(position, ACTIVE[:3])) for each in found]
    before, expected = volume(front, reference), improvement.value(position, ACTIVE[:3])
    for row in range(3):
        draws = np.stack([mean[row] + deviation[row] * rng.standard_normal(4000) for mean, deviation in posteriors], 1)
        gains = [volume(np.vstack([front, draw]), reference) - before for draw in draws]
        assert expected[row] == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / math.sqrt(4000) + 1e-9)


def several() -> list[Acquisition]:
    coordinates, found = predictors(4)
    some = np.arange(N) % 2 > 0
    return [
        HypervolumeImprovement(coordinates, found[:2], some),
        HypervolumeImprovement(coordinates, found[:3], some).times(Feasibility(found[3:], [0.0] * len(found[3:]))),
        ExpectedImprovement(coordinates, found[0], some).times(Feasibility(found[2:], [0.0] * len(found[2:]))),
    ]


@pytest.mark.parametrize("index", range(3))
def test_gradients_equal_finite_differences(index: int) -> None:
    acquisition = several()[index]
    points = acquisition._coordinates(np.random.default_rng(3).random((9, D)), ACTIVE[:9])
    terms = [acquisition._log] + ([acquisition._feasibility.log] if acquisition._feasibility else [])
    for term in terms:
        _, slopes = term(points)
        for column in (0, 2):  # the two parameters; the others are flags
            moved = np.zeros_like(points)
            moved[:, column] = 1e-6
            rise = term(points + moved)[0] - term(points - moved)[0]
            np.testing.assert_allclose(slopes[:, column], rise / 2e-6, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("index", range(3))
def test_maximization_improves_every_start(index: int) -> None:
    acquisition = several()[index]
    position = np.random.default_rng(5).random((4, D))
    maxima = acquisition.maximize(position, ACTIVE[:4], np.ones(D, dtype=bool), 30)
    assert (acquisition.value(maxima, ACTIVE[:4]) >= acquisition.value(position, ACTIVE[:4])).all()


def test_improvements_refer_to_feasible_trials() -> None:
    coordinates, (one, *_) = predictors(1)
    position = np.random.default_rng(6).random((20, D))
    active = np.ones((20, D), dtype=bool)
    every = ExpectedImprovement(coordinates, one, np.ones(N, dtype=bool)).value(position, active)
    worse = np.ones(N, dtype=bool)
    worse[one.at_trials.argmin()] = False
    assert (ExpectedImprovement(coordinates, one, worse).value(position, active) > every).all()


def test_feasibility_is_the_product_of_normal_shares() -> None:
    coordinates, found = predictors(2)
    points = coordinates(np.random.default_rng(7).random((50, D)), np.ones((50, D), dtype=bool))
    both = Feasibility(found, [0.0] * len(found)).probability(points)
    np.testing.assert_allclose(
        both,
        Feasibility(found[:1], [0.0] * len(found[:1])).probability(points)
        * Feasibility(found[1:], [0.0] * len(found[1:])).probability(points),
    )
    np.testing.assert_allclose(both, np.exp(Feasibility(found, [0.0] * len(found)).log(points)[0]), atol=1e-12)
    assert both.min() >= 0
    assert both.max() <= 1


def test_dominance_is_strict_in_one_objective_at_least() -> None:
    values = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(dominating(values), [0, 0, 0, 3, 4])


def test_a_long_front_keeps_its_extremes_and_spreads() -> None:
    x = np.sort(np.random.default_rng(8).random(500))
    front = np.stack([x, 1 - np.sqrt(x), x**2], 1)
    kept = spread(front)
    assert len(kept) == MAX_FRONT[3]
    assert {kept[:, 0].min(), kept[:, 1].min()} == {front[:, 0].min(), front[:, 1].min()}
    assert np.diff(np.sort(kept[:, 0])).max() < 0.2
    assert spread(front[:5]) is not kept
    np.testing.assert_array_equal(spread(front[:5]), front[:5])

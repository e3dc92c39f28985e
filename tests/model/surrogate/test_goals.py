"""Objectives and constraints of a history: what ranks the trials, what counts as fulfilled."""

from __future__ import annotations

import math

import numpy as np

from optiformer.space.trial import Trial
from optiformer.surrogate.goals import Goals


def goals(*trials: Trial) -> Goals:
    found = Goals.of(trials)
    assert found is not None
    return found


def test_one_value_has_no_goals() -> None:
    assert Goals.of([]) is None
    assert Goals.of([Trial({}, 1.0), Trial({}, None)]) is None


def test_infeasible_trials_rank_behind_by_their_violation() -> None:
    trials = [
        Trial({}, 3.0, constraints=(-1.0, 0.0)),
        Trial({}, 1.0, constraints=(2.0, -1.0)),
        Trial({}, 0.0, constraints=(2.0, 5.0)),
        Trial({}, 2.0, constraints=(-1.0, -1.0)),
        Trial({}, None),
    ]
    found = goals(*trials)
    ranking = found.ranking()
    assert np.argsort(ranking[:4]).tolist() == [3, 0, 1, 2]
    np.testing.assert_array_equal(ranking[[0, 3]], [3.0, 2.0])
    assert np.isnan(ranking[4])
    assert found.feasible.tolist() == [True, False, False, True, False]
    assert found.infeasible.tolist() == [False, True, True, False, False]


def test_without_a_feasible_trial_the_violation_ranks() -> None:
    found = goals(
        Trial({}, 0.0, constraints=(4.0,)), Trial({}, 9.0, constraints=(2.0,)), Trial({}, 1.0, constraints=(8.0,))
    )
    np.testing.assert_allclose(found.ranking(), [1.0, 0.5, 2.0])


def test_dominated_trials_rank_by_how_many_dominate_them() -> None:
    values = [(0.0, 2.0), (2.0, 0.0), (2.0, 2.0), (3.0, 3.0), (-1.0, -1.0)]
    limits = [(0.0,), (0.0,), (0.0,), (0.0,), (1.0,)]
    found = goals(*(Trial({}, v[0], v, c) for v, c in zip(values, limits, strict=True)))
    ranking = found.ranking()
    np.testing.assert_array_equal(ranking[:4], [0, 0, 2, 3])
    assert ranking[4] > 3


def test_values_that_are_missing_or_infinite_are_replaced() -> None:
    nan, inf = np.nan, np.inf
    found = goals(
        Trial({}, 1.0, (1.0, inf), (nan, -2.0)),
        Trial({}, 2.0, (2.0, 5.0), (-1.0, inf)),
        Trial({}, nan, (nan, 1.0), (3.0, 1.0)),
        Trial({}, 0.0, (0.0, 4.0), (2.0,)),
    )
    assert found.failed.tolist() == [False, False, True, False]
    np.testing.assert_array_equal(found.values[[0, 1, 3]], [[1, 5], [2, 5], [0, 4]])
    np.testing.assert_array_equal(found.constraints[:, 0], [-1, -1, 3, 2])
    assert found.constraints[0, 1] == -2
    assert found.constraints[3, 1] == -2  # not measured: as the largest that is fulfilled
    assert np.isfinite(found.constraints).all()
    assert found.infeasible.tolist() == [False, True, False, True]


def test_pruned_trials_are_not_feasible_and_tell_nothing_about_constraints_that_they_did_not_measure() -> None:
    nan, inf = np.nan, np.inf
    pruned, failed = Trial({}, inf, constraints=(nan, -1.0)), Trial({}, None, constraints=(nan, nan))
    found = goals(pruned, Trial({}, 1.0, constraints=(2.0, -3.0)), failed)
    assert found.feasible.tolist() == [False, False, False]
    assert found.ranking()[:2].tolist() == [inf, 1.0]
    np.testing.assert_array_equal(found.constraints[:2], [[nan, -1.0], [2.0, -3.0]])
    found = goals(pruned, Trial({}, 1.0, constraints=(2.0, -3.0)), Trial({}, 7.0, constraints=(nan, -2.0)))
    assert found.feasible.tolist() == [False, False, True]
    assert found.ranking().argsort().tolist() == [2, 1, 0]
    assert found.constraints[2, 0] == 0


def test_only_complete_trials_measure_the_constraints() -> None:
    trials = [
        Trial({}, None),
        Trial({}, math.inf, constraints=(math.nan,)),
        Trial({}, 1.0, constraints=(2.0,)),
    ]
    goals = Goals.of(trials)
    assert goals is not None
    assert goals.measured.tolist() == [False, False, True]
    assert not goals.feasible.any()

"""Targets, performance profiles and seconds by history against plain loops; the Bayesian test against baycomp."""

from __future__ import annotations

from collections.abc import Callable

import baycomp
import numpy as np
import pytest

from optibench_reports.data.results import Results
from optibench_reports.figures.distributions import MAX_BOXED, boxed_tasks
from optibench_reports.stats.analysis import Analysis, analyse
from optibench_reports.stats.bayes import bayesian_signed_rank
from optibench_reports.stats.comparison import Aggregate
from optibench_reports.stats.profiles import (
    PROFILE_TARGET,
    TARGETS,
    asking_by_history,
    performance_profile,
    targets_reached,
)

Make = Callable[..., Results]


@pytest.fixture(scope="module")
def analysis(make: Make) -> Analysis:
    missing = [("tpe", "hpobench/nn/53", seed) for seed in range(3)]
    results = make(("random", "tpe", "gp-botorch"), seeds=4, trials=30, missing=missing)
    return analyse(results, at=[25], draws=100, seed=0)


def headline(analysis: Analysis) -> Aggregate:
    found = analysis.overall[analysis.headline]
    assert found is not None
    return found


def runs(analysis: Analysis, o: int, t: int) -> list[np.ndarray]:
    """Regrets of each run of an optimizer on a task, by hand from the flat rows."""
    grid = analysis.grid
    shape = grid.finished.shape
    cells = [np.ravel_multi_index((o, t, s), shape) for s in range(shape[2]) if grid.finished[o, t, s]]
    return [grid.score[grid.cell == cell] for cell in cells]


def test_targets_reached_is_what_counting_gives(analysis: Analysis) -> None:
    counts, shares = targets_reached(analysis, headline(analysis))
    assert counts.tolist() == list(range(1, 26))
    for o in range(3):
        for count in (1, 7, 25):
            by_task = []
            for t in range(12):
                each = [np.mean([run[count - 1] <= target for target in TARGETS]) for run in runs(analysis, o, t)]
                by_task.append(np.mean(each))
            assert shares[o, count - 1] == pytest.approx(np.mean(by_task))
    assert (np.diff(shares) >= 0).all()


def test_performance_profile_is_what_counting_gives(analysis: Analysis) -> None:
    factors, shares = performance_profile(analysis, headline(analysis))
    cost = np.empty((3, 12))
    for o in range(3):
        for t in range(12):
            hits = [np.flatnonzero(run[:25] <= PROFILE_TARGET) for run in runs(analysis, o, t)]
            cost[o, t] = np.median([hit[0] + 1 if len(hit) else np.inf for hit in hits])
    assert np.isinf(cost).any()
    best = cost.min(axis=0)
    assert factors[0] == 1
    for factor in (1.0, 1.5, 3.0, 10.0):
        expected = [[np.isfinite(c) and c <= factor * b for c, b in zip(row, best, strict=True)] for row in cost]
        at = np.searchsorted(factors, factor, side="right") - 1
        np.testing.assert_allclose(shares[:, at], np.mean(expected, axis=1))


def test_a_task_that_no_optimizer_solves_counts_against_all(make: Make) -> None:
    results = make(("random", "tpe"), ("a/x", "b/y"), seeds=2, trials=6)
    hard = results.trials["task"] == "a/x"
    trials = results.trials.assign(regret=np.where(hard, 1.0, 0.0))
    analysis = analyse(Results(trials, results.tasks, results.planned, {}), at=None, draws=100, seed=0)
    assert performance_profile(analysis, headline(analysis))[1].max() == 0.5


def test_seconds_by_history_are_pandas_means(make: Make) -> None:
    results = make(("random", "gp-botorch"), seeds=3, trials=20)
    analysis = analyse(results, at=None, draws=100, seed=0)
    history, seconds = asking_by_history(analysis)
    assert history.tolist() == list(range(20))
    search = results.trials[results.trials["phase"] == "search"].astype({"optimizer": str})
    expected = search.groupby(["optimizer", "trial"])["ask_seconds"].mean().unstack()
    np.testing.assert_allclose(seconds[:, 5:], expected.to_numpy())
    assert np.isnan(seconds[:, :5]).all()


def test_seconds_by_history_are_binned_in_long_cells(make: Make) -> None:
    results = make(("tpe",), ("a/x",), seeds=2, trials=200)
    history, seconds = asking_by_history(analyse(results, at=None, draws=100, seed=0))
    assert history.tolist() == list(range(0, 200, 8))
    rows = results.trials[(results.trials["trial"] >= 16) & (results.trials["trial"] < 24)]
    assert seconds[0, 2] == pytest.approx(rows["ask_seconds"].mean())


@pytest.mark.parametrize(("n", "shift"), [(6, 0.0), (12, 0.01), (30, 0.005), (30, -0.02)])
@pytest.mark.parametrize("rope", [0.01, 0.002])
def test_bayesian_signed_rank_is_baycomps(n: int, shift: float, rope: float) -> None:
    difference = np.random.default_rng(n).normal(shift, 0.02, n)
    difference[0] = 0.0
    ours = bayesian_signed_rank(difference[None], draws=20_000, seed=0, rope=rope)[0]
    sample = baycomp.SignedRankTest.sample(np.zeros(n), difference, rope=rope, nsamples=20_000, random_state=1)
    theirs = np.bincount(sample.argmax(axis=1), minlength=3) / 20_000
    # Four standard errors of the difference of two independent Monte Carlo estimates.
    np.testing.assert_allclose([ours.a, ours.same, ours.b], theirs, atol=4 * np.sqrt(2 * 0.25 / 20_000))


def test_bayesian_signed_rank_mirrors_and_is_certain_where_it_should_be() -> None:
    difference = np.random.default_rng(0).normal(0.01, 0.02, (1, 15))
    one, other = bayesian_signed_rank(np.concatenate([difference, -difference]), draws=20_000, seed=0)
    np.testing.assert_allclose([one.a, one.same, one.b], [other.b, other.same, other.a], atol=0.02)
    clear, equal = bayesian_signed_rank(np.stack([np.full(20, -0.5), np.zeros(20)]), draws=1000, seed=0)
    assert clear.a == 1.0
    assert equal.same == 1.0
    assert bayesian_signed_rank(np.empty((0, 4)), draws=100, seed=0) == []


def test_posteriors_stand_in_the_comparison(analysis: Analysis) -> None:
    tests = analysis.comparisons[analysis.headline]
    assert tests is not None
    for pair in tests.pairs:
        assert pair.bayes.a + pair.bayes.same + pair.bayes.b == pytest.approx(1)
    best = next(pair for pair in tests.pairs if {pair.a, pair.b} == {0, 1})
    assert best.bayes.a > 0.9


def test_box_plots_of_many_tasks_are_spread_over_all(make: Make) -> None:
    tasks = [f"f/{i:03d}" for i in range(50)]
    found = headline(analyse(make(("random", "tpe"), tasks, seeds=1, trials=3), at=None, draws=100, seed=0))
    boxed = boxed_tasks(found)
    assert len(set(boxed)) == MAX_BOXED
    assert (boxed[0], boxed[-1]) == (0, 49)

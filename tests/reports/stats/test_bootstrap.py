"""The cluster bootstrap against slow loops, closed forms and its nominal coverage."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from optibench_reports.stats.bootstrap import cluster_bootstrap, interval, rank_interval
from optibench_reports.stats.tests import ranks


def scores(k: int = 4, tasks: int = 8, seeds: int = 5, counts: int = 2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    skill = np.linspace(0.6, 1.4, k)[:, None, None, None]
    return rng.gamma(2, 0.5, (k, tasks, seeds, counts)) * skill * (0.5 + rng.random((1, tasks, 1, 1)))


def slow_bootstrap(x: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two plain loops: tasks with replacement, then each one's seeds, every optimizer from the seeds it has."""
    rng = np.random.default_rng(seed)
    k, n_tasks, n_seeds = x.shape
    means, mean_ranks = [], []
    for _ in range(draws):
        table = []
        for task in rng.integers(n_tasks, size=n_tasks):
            u = rng.random(n_seeds)
            row = []
            for o in range(k):
                have = x[o, task][~np.isnan(x[o, task])]
                row.append(np.mean([have[int(u[j] * len(have))] for j in range(len(have))]))
            table.append(row)
        means.append(np.mean(table, axis=0))
        mean_ranks.append(scipy.stats.rankdata(np.round(table, 12), axis=1).mean(axis=0))
    return np.array(means), np.array(mean_ranks)


@pytest.mark.parametrize("missing", [False, True])
def test_agrees_with_a_slow_loop(missing: bool) -> None:
    x = scores(counts=1)
    if missing:
        x[0, 0, 2:] = np.nan
        x[2, 5, 0] = np.nan
    fast = cluster_bootstrap(x, np.ones(8, dtype=bool), draws=20_000, seed=1)
    mean, rank = slow_bootstrap(x[..., 0], 2_000, 2)
    # Within Monte Carlo error of 2,000 loops: 4 standard errors of the mean, a few per cent of the spread.
    for ours, theirs in ((fast.mean[..., 0], mean), (fast.rank[..., 0], rank)):
        error = theirs.std(axis=0) / np.sqrt(2_000)
        assert np.all(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * error + 1e-12)
        np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.08)
        for level in (0.025, 0.975):
            gap = np.quantile(ours, level, axis=0) - np.quantile(theirs, level, axis=0)
            assert np.all(np.abs(gap) < 0.25 * theirs.std(axis=0))


def test_one_seed_is_the_plain_bootstrap_over_tasks() -> None:
    x = scores(k=1, tasks=30, seeds=1, counts=1)
    draws = cluster_bootstrap(x, np.ones(30, dtype=bool), draws=20_000, seed=0)
    low, high = interval(draws.mean[:, 0, 0])
    theirs = scipy.stats.bootstrap(
        (x[0, :, 0, 0],), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    np.testing.assert_allclose([low, high], theirs, rtol=0.02)


def test_variance_is_that_of_two_stage_resampling() -> None:
    # Var = (between tasks + within tasks / seeds) / tasks, both with divisor n: Davison and Hinkley (1997), 3.8.
    x = scores(k=1, tasks=12, seeds=6, counts=1)
    draws = cluster_bootstrap(x, np.ones(12, dtype=bool), draws=40_000, seed=0)
    table = x[0, :, :, 0]
    expected = (table.mean(axis=1).var() + table.var(axis=1).mean() / 6) / 12
    assert draws.mean.var() == pytest.approx(expected, rel=0.03)


def test_seeds_are_drawn_jointly_for_all_optimizers() -> None:
    x = scores(k=1, tasks=3, seeds=6, counts=1)
    draws = cluster_bootstrap(np.concatenate([x, x + 1.0]), np.ones(3, dtype=bool), draws=500, seed=0)
    np.testing.assert_allclose(draws.mean[:, 1] - draws.mean[:, 0], 1.0)


def test_equal_scores_stay_tied_in_every_draw() -> None:
    x = np.full((3, 5, 4, 1), 0.3)
    x[1, 2, 3] = np.nan  # another number of seeds: 0.3 is summed in another way
    draws = cluster_bootstrap(x, np.ones(5, dtype=bool), draws=300, seed=0)
    assert (draws.rank == 2.0).all()


def test_tasks_without_reference_count_for_ranks_only() -> None:
    x = scores(k=2, tasks=6, counts=1)
    x[:, 3:] *= 1e6
    has = np.array([True] * 3 + [False] * 3)
    draws = cluster_bootstrap(x, has, draws=2_000, seed=0)
    assert np.nanmax(draws.mean) < 100
    assert np.isnan(cluster_bootstrap(x, np.zeros(6, dtype=bool), draws=100, seed=0).mean).all()
    assert not np.isnan(draws.rank).any()


def test_same_seed_same_draws() -> None:
    x = scores()
    first, second = (cluster_bootstrap(x, np.ones(8, dtype=bool), draws=200, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.rank, second.rank)
    assert not np.array_equal(first.rank, cluster_bootstrap(x, np.ones(8, dtype=bool), draws=200, seed=6).rank)


def test_rank_interval_covers_the_population_and_holds_the_estimate() -> None:
    """With 80 tasks the plain percentile interval covers about 85%; the corrected one must reach its level."""
    rng = np.random.default_rng(0)

    def population(tasks: int) -> np.ndarray:
        level = np.log([1.0, 1.1, 1.2, 1.8])[:, None, None, None]
        return np.exp(level + rng.normal(0, 0.1, (4, tasks, 1, 1)) + rng.normal(0, 0.3, (4, tasks, 5, 1)))

    truth = ranks(population(100_000).mean(axis=2)).mean(axis=1)[:, 0]
    covered = []
    for i in range(100):
        x = population(80)
        estimate = ranks(x.mean(axis=2)).mean(axis=1)
        draws = cluster_bootstrap(x, np.ones(80, dtype=bool), draws=300, seed=i)
        low, high = rank_interval(draws.rank, estimate)
        assert np.all((low <= estimate) & (estimate <= high))
        covered.append((low[:, 0] <= truth) & (truth <= high[:, 0]))
    assert np.mean(covered) > 0.92

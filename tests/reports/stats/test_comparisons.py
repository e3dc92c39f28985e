"""Cliques, intervals of differences and effect sizes of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from optibench_reports.data.results import Results
from optibench_reports.figures.critical_difference import cliques
from optibench_reports.format.text import MISSING
from optibench_reports.stats.analysis import Analysis, analyse
from optibench_reports.stats.comparison import Aggregate, Comparison, Pair
from optibench_reports.tables.significance import effects_table

Make = Callable[..., Results]


@pytest.fixture(scope="module")
def analysis(realistic: Results) -> Analysis:
    return analyse(realistic, at=None, draws=4_000, seed=0)


def headline(analysis: Analysis) -> tuple[Aggregate, Comparison]:
    found, tests = analysis.overall[analysis.headline], analysis.comparisons[analysis.headline]
    assert found is not None
    assert tests is not None
    return found, tests


def with_differences(analysis: Analysis, different: np.ndarray) -> tuple[Aggregate, Comparison]:
    """The comparison with every adjusted p as ``different`` says, (k, k) by position in the order of mean ranks."""
    found, tests = headline(analysis)
    place = {int(o): p for p, o in enumerate(found.selection.optimizers[np.argsort(found.rank, kind="stable")])}

    def changed(pair: Pair) -> Pair:
        return replace(pair, p_holm=0.01 if different[place[pair.a], place[pair.b]] else 0.5)

    return found, replace(tests, pairs=tuple(map(changed, tests.pairs)), attainable=True)


@pytest.mark.parametrize("seed", range(30))
def test_cliques_are_the_longest_rows_of_neighbours_without_a_difference(analysis: Analysis, seed: int) -> None:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((7, 7)) < rng.random(), 1)
    different = upper | upper.T
    rows = [
        (first, last)
        for first in range(7)
        for last in range(first + 1, 7)
        if not different[first : last + 1, first : last + 1].any()
    ]
    longest = [(a, b) for a, b in rows if not any(c <= a and b <= d and (a, b) != (c, d) for c, d in rows)]
    found = cliques(*with_differences(analysis, different))
    assert found == sorted(longest)


def test_the_interval_of_a_difference_is_that_of_a_plain_loop(analysis: Analysis) -> None:
    found, tests = headline(analysis)
    pair = tests.pairs[0]
    place = {int(o): i for i, o in enumerate(found.selection.optimizers)}
    x, y = (found.seed_scores[place[o]][found.with_regret] for o in (pair.a, pair.b))
    rng, n = np.random.default_rng(1), len(x)
    draws = []
    for _ in range(2_000):
        total = 0.0
        for task in rng.integers(n, size=n):
            seeds = rng.random(x.shape[1])
            means = []
            for scores in (x[task], y[task]):  # the same seeds for both, each from those it has
                have = scores[~np.isnan(scores)]
                means.append(have[(seeds[: len(have)] * len(have)).astype(int)].mean())
            total += means[0] - means[1]
        draws.append(total / n)
    spread = np.std(draws)
    assert pair.difference == pytest.approx(np.nanmean(x, axis=1).mean() - np.nanmean(y, axis=1).mean())
    for ours, level in ((pair.low, 0.025), (pair.high, 0.975)):
        assert abs(ours - np.quantile(draws, level)) < 0.25 * spread


def test_the_table_of_effects_has_scipys_numbers(analysis: Analysis) -> None:
    found, tests = headline(analysis)
    table = effects_table(analysis, analysis.headline)
    place = {name: i for i, name in enumerate(analysis.grid.optimizers[o] for o in found.selection.optimizers)}
    assert len(table.rows) == len(tests.pairs) == 21
    for row in table.data.itertuples():
        a, b = (found.seed_scores[place[name]][found.with_regret] for name in (row.a, row.b))
        means = [np.nanmean(scores, axis=1) for scores in (a, b)]
        theirs = scipy.stats.ttest_rel(*means)
        assert (row.paired_t, row.paired_t_p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))
        assert row.cohens_d == pytest.approx(theirs.statistic / np.sqrt(len(means[0])))
        share = []
        for u, v in zip(a, b, strict=True):
            u, v = u[~np.isnan(u)], v[~np.isnan(v)]
            share.append(scipy.stats.mannwhitneyu(v, u).statistic / (len(u) * len(v)))
        assert row.a12 == pytest.approx(np.mean(share))
        gap = means[0] - means[1]
        assert row.win_rate == pytest.approx(np.mean((gap < -1e-3) + 0.5 * (np.abs(gap) <= 1e-3)))


def test_effects_that_do_not_exist_are_dashes(make: Make) -> None:
    analysis = analyse(make(("random", "tpe"), ("a/x",), seeds=3, trials=8), at=None, draws=100, seed=0)
    (row,) = effects_table(analysis, 0).rows
    assert [cell.text for cell in row[-3:]] == [MISSING] * 3

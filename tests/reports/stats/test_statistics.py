"""Every statistic against an independent implementation on the same numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from optibench_reports.stats.tests import friedman, holm, not_worse, ranks, signed_rank, smallest_p, t_interval, welch

small_integers = st.lists(st.integers(-6, 6), min_size=1, max_size=11)


@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=1, max_size=8))
def test_ranks_are_scipys_average_ranks(rows: list[list[int]]) -> None:
    scores = np.array(rows, dtype=float).T
    np.testing.assert_array_equal(ranks(scores), scipy.stats.rankdata(scores, axis=0))


def test_ranks_treat_rounding_as_a_tie_at_any_scale() -> None:
    for scale in (1e-9, 1.0, 1e6):
        scores = scale * np.array([0.1 + 0.2, 0.3, 0.1])
        np.testing.assert_array_equal(ranks(scores), [2.5, 2.5, 1.0])
    np.testing.assert_array_equal(ranks(np.array([1e-15, 2e-15, 0.0])), [2, 3, 1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_friedman_is_scipys_and_iman_davenport_an_analysis_of_variance_on_ranks(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (12, 5)).astype(float) if ties else rng.random((12, 5)) + np.arange(5) * 0.1
    result = friedman(scipy.stats.rankdata(scores, axis=1))
    expected = scipy.stats.friedmanchisquare(*scores.T)
    assert result is not None
    assert result.chi2 == pytest.approx(expected.statistic)
    assert result.p_chi2 == pytest.approx(expected.pvalue)
    # Independent route to F (Conover 1999, 5.8): an analysis of variance on the ranks, tasks as blocks.
    table = scipy.stats.rankdata(scores, axis=1)
    between = 12 * ((table.mean(axis=0) - table.mean()) ** 2).sum()
    residual = ((table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()) ** 2).sum()
    f = (between / 4) / (residual / 44)
    assert result.f == pytest.approx(f)
    assert result.p == pytest.approx(scipy.stats.f.sf(f, 4, 44))


def test_friedman_with_complete_agreement_has_the_exact_probability() -> None:
    result = friedman(np.tile([1.0, 2.0, 3.0], (4, 1)))
    assert result is not None
    assert math.isinf(result.f)
    assert result.p == pytest.approx((1 / 6) ** 3)
    tied = friedman(np.tile([1.5, 1.5, 3.0], (4, 1)))
    assert tied is not None
    assert tied.p == pytest.approx((1 / 3) ** 3)


def test_friedman_with_all_ties_finds_nothing() -> None:
    result = friedman(np.full((6, 3), 2.0))
    assert result is not None
    assert (result.chi2, result.p, result.p_chi2) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("shape", [(1, 5), (8, 2), (8, 1)])
def test_friedman_does_not_exist_for_one_task_or_two_optimizers(shape: tuple[int, int]) -> None:
    assert friedman(np.ones(shape)) is None


@pytest.mark.parametrize("n", [1, 4, 9, 30, 50])
def test_signed_rank_without_ties_is_scipys_exact_test(n: int) -> None:
    difference = np.random.default_rng(n).normal(0.3, 1, n)
    result = signed_rank(difference)
    expected = scipy.stats.wilcoxon(difference, zero_method="pratt", method="exact")
    assert result.exact
    assert result.p == pytest.approx(expected.pvalue)
    assert min(result.positive, result.negative) == pytest.approx(expected.statistic)


@given(small_integers)
@settings(deadline=None, max_examples=60)
def test_signed_rank_with_ties_and_zeros_enumerates_all_signs(values: list[int]) -> None:
    difference = np.array(values, dtype=float)
    rank = scipy.stats.rankdata(np.abs(difference))
    used = [(r, d) for r, d in zip(rank, values, strict=True) if d]
    middle = sum(r for r, _ in used) / 2
    observed = abs(sum(r for r, d in used if d > 0) - middle)
    sums = [
        sum(r for (r, _), sign in zip(used, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(used))
    ]
    expected = np.mean([abs(total - middle) >= observed - 1e-9 for total in sums])
    assert signed_rank(difference).p == pytest.approx(expected)


def test_signed_rank_with_zeros_is_scipys_permutation_test() -> None:
    difference = np.array([0.0, 0.0, 1.0, 2.0, -1.0, 3.0, 4.0, 5.0, 2.0])
    expected = scipy.stats.wilcoxon(difference, zero_method="pratt", method=scipy.stats.PermutationMethod())
    assert signed_rank(difference).p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("zeros", [0, 20])
def test_signed_rank_over_many_tasks_is_scipys_normal_approximation(zeros: int) -> None:
    difference = np.round(np.random.default_rng(1).normal(0.1, 1, 150), 1)
    difference[:zeros] = 0.0
    result = signed_rank(difference)
    expected = scipy.stats.wilcoxon(difference, zero_method="pratt", method="asymptotic", correction=False)
    assert not result.exact
    assert result.p == pytest.approx(expected.pvalue)


def test_effect_size_is_the_simple_difference_of_rank_shares() -> None:
    # |d| ranks: 0 -> 1, .1 -> 2, .2 -> 3, .4 -> 4, of 10: b is favoured by rank 3, a by 2 + 4, rank 1 by nobody.
    result = signed_rank(np.array([0.0, -0.1, 0.2, -0.4]))
    assert result.effect == pytest.approx((2 + 4 - 3) / 10)
    assert signed_rank(-np.arange(1.0, 8.0)).effect == 1.0
    assert signed_rank(np.arange(1.0, 8.0)).effect == -1.0


@given(st.lists(st.floats(-5, 5).filter(lambda x: abs(x) > 1e-6), min_size=2, max_size=30))
def test_effect_size_without_zeros_is_the_share_of_positive_walsh_averages(values: list[float]) -> None:
    # Independent route: the rank sum of positive d counts the Walsh averages (d_i + d_j) / 2 > 0 (Tukey), without ties.
    d = np.array(values)
    if len(np.unique(np.abs(d))) < len(d):
        return
    pairs = [(d[i] + d[j]) > 0 for i in range(len(d)) for j in range(i + 1)]
    assert signed_rank(d).effect == pytest.approx(1 - 2 * np.mean(pairs))


def test_all_zero_differences_have_p_one_and_no_effect() -> None:
    result = signed_rank(np.zeros(9))
    assert (result.p, result.effect, result.nonzero) == (1.0, 0.0, 0)


def test_five_tasks_cannot_reach_significance() -> None:
    assert smallest_p(5) == 0.0625
    assert signed_rank(np.arange(1.0, 6.0)).p == pytest.approx(smallest_p(5))
    assert smallest_p(6) < 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(deadline=None, max_examples=10)
def test_holm_is_statsmodels(values: list[float]) -> None:
    p = np.array(values)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_t_interval_is_scipys() -> None:
    x = np.random.default_rng(0).random(7)
    low, high = scipy.stats.t.interval(0.95, 6, loc=x.mean(), scale=scipy.stats.sem(x))
    half = t_interval(np.array([x.mean()]), np.array([x.std(ddof=1)]), np.array([7]))
    np.testing.assert_allclose([x.mean() - half[0], x.mean() + half[0]], [low, high])


def test_t_interval_of_one_seed_does_not_exist() -> None:
    assert np.isnan(t_interval(np.array([0.5]), np.array([np.nan]), np.array([1])))[0]


def test_welch_is_scipys() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random(8), rng.random(5) * 2
    p = welch(np.array([x.mean()]), np.array([x.std(ddof=1)]), np.array([8]), y.mean(), y.std(ddof=1), 5)
    assert p[0] == pytest.approx(scipy.stats.ttest_ind(x, y, equal_var=False).pvalue)


def test_best_and_similar_marks() -> None:
    mean = np.array([0.10, 0.11, 0.90, 0.10, np.nan, 0.2])
    sd = np.array([0.05, 0.05, 0.05, 0.05, np.nan, np.nan])
    best, similar = not_worse(mean, sd, np.array([10, 10, 10, 10, 0, 1]))
    assert best.tolist() == [True, False, False, True, False, False]
    assert similar.tolist() == [False, True, False, False, False, False]


def test_constant_samples_that_differ_are_told_apart() -> None:
    best, similar = not_worse(np.array([0.1, 0.2, 0.1]), np.zeros(3), np.array([5, 5, 5]))
    assert best.tolist() == [True, False, True]
    assert not similar.any()

"""The tests and effect sizes of a report; each formula with its source.

Everything takes plain arrays. "Tasks" are always the rows and the unit of analysis: seeds have been averaged before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from optibench_reports.data.score_array import Bools, Floats, Ints

ALPHA = 0.05
ROUNDING = 1e-12
"""Relative difference below which two numbers are the same number, computed in another order."""


def tolerant_sign(a: Floats, b: Floats) -> Floats:
    """Sign of ``a - b``, 0 where they differ by rounding only (relative ``ROUNDING``)."""
    difference, tolerance = a - b, ROUNDING * (np.abs(a) + np.abs(b))
    return np.asarray((difference > tolerance).astype(float) - (difference < -tolerance))


def ranks(scores: Floats) -> Floats:
    """Average ranks along the first axis, 1 for the lowest score; ties share the mean of their ranks.

    Uses ``rank_i = (k + 1) / 2 + 1/2 * sum_j sign(x_i - x_j)``, which is the mid-rank and vectorises over every
    further axis.

    Args:
        scores: (k, ...), no NaN.

    Returns:
        (k, ...), each column summing to ``k (k + 1) / 2``.
    """
    k = len(scores)
    result = np.full(scores.shape, (k + 1) / 2)
    for i in range(k):
        for j in range(i):
            half = 0.5 * tolerant_sign(scores[i], scores[j])
            result[i] += half
            result[j] -= half
    return result


def t_interval(mean: Floats, sd: Floats, n: Ints) -> Floats:
    """Half width of Student's 95 % interval of a mean, ``t_{0.975, n - 1} * sd / sqrt(n)``; NaN for ``n < 2``.

    Source: Student (1908), "The probable error of a mean", Biometrika 6(1).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        half = stats.t.ppf((1 + 0.95) / 2, np.where(n > 1, n - 1, 1)) * sd / np.sqrt(n)
    return np.where(n > 1, half, np.nan) + 0.0 * mean


def welch(mean: Floats, sd: Floats, n: Ints, mean0: float, sd0: float, n0: int) -> Floats:
    """Two-sided p of Welch's t test of each of several samples against one; NaN where either has fewer than 2 values.

    Source: Welch (1947), "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34. Two samples without any spread differ for certain if their means do (p = 0).
    """
    possible = (n > 1) & (n0 > 1)
    constant = possible & (sd == 0) & (sd0 == 0)
    safe = possible & ~constant
    p = np.full(len(mean), np.nan)
    if safe.any():
        test = stats.ttest_ind_from_stats(mean[safe], sd[safe], n[safe], mean0, sd0, n0, equal_var=False)
        p[safe] = test.pvalue
    p[constant] = np.where(np.abs(mean[constant] - mean0) <= ROUNDING * (mean[constant] + mean0), 1.0, 0.0)
    return p


def holm(p: Floats) -> Floats:
    """Holm's step-down adjusted p values, in the order given.

    ``p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))``. Source: Holm (1979), "A simple sequentially rejective multiple
    test procedure", Scandinavian Journal of Statistics 6.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(1.0, np.arange(len(p), 0, -1) * p[order]))
    adjusted = np.empty(len(p))
    adjusted[order] = stepped
    return adjusted


@dataclass(frozen=True)
class Friedman:
    """Friedman's test with Iman and Davenport's correction.

    Attributes:
        chi2: Friedman's chi-squared, corrected for ties; ``k - 1`` degrees of freedom.
        p_chi2: Its p value.
        f: Iman and Davenport's F; infinite where all tasks agree completely.
        df1: ``k - 1``.
        df2: ``(k - 1) (n - 1)``.
        p: p value of F; where F is infinite, the exact probability of complete agreement by chance.
    """

    chi2: float
    p_chi2: float
    f: float
    df1: int
    df2: int
    p: float


def friedman(rank_table: Floats) -> Friedman | None:
    """Friedman's test over a table of ranks and Iman and Davenport's F.

    With mid-ranks ``R_ij`` (n tasks, k optimizers), column sums ``R_j`` and ``C = n k (k + 1)^2 / 4``:
    ``chi2 = (k - 1) (sum_j R_j^2 - n C) / (sum_ij R_ij^2 - C)`` (Conover 1999, *Practical Nonparametric Statistics*,
    section 5.8, which allows for ties) and ``F = (n - 1) chi2 / (n (k - 1) - chi2)`` (Iman and Davenport 1980,
    "Approximations of the critical region of the Friedman statistic", Communications in Statistics A9; recommended by
    Demsar 2006, JMLR 7). Where that denominator is 0, all tasks rank alike: the chance that ``n - 1`` further tasks
    draw the first one's order at random is ``(1 / k!) ** (n - 1)``, or more if it has ties.

    Args:
        rank_table: (n, k).

    Returns:
        ``None`` for fewer than 2 tasks or 3 optimizers, where there is no such test.
    """
    n, k = rank_table.shape
    if n < 2 or k < 3:
        return None
    correction = n * k * (k + 1) ** 2 / 4
    spread = float((rank_table**2).sum()) - correction
    df1, df2 = k - 1, (k - 1) * (n - 1)
    if spread <= 1e-9:  # every task ties all optimizers
        return Friedman(0.0, 1.0, 0.0, df1, df2, 1.0)
    chi2 = (k - 1) * (float((rank_table.sum(axis=0) ** 2).sum()) - n * correction) / spread
    rest = n * (k - 1) - chi2
    if rest <= 1e-9 * n * k:
        same = np.unique(rank_table[0], return_counts=True)[1]
        orders = math.factorial(k) // math.prod(math.factorial(int(size)) for size in same)
        f, p = math.inf, float(orders) ** (1 - n)
    else:
        f = (n - 1) * chi2 / rest
        p = float(stats.f.sf(f, df1, df2))
    return Friedman(chi2, float(stats.chi2.sf(chi2, df1)), f, df1, df2, p)


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of paired differences ``a - b`` over tasks, zeros treated as Pratt proposed.

    Attributes:
        positive: Sum of the ranks of positive differences (``a`` is worse).
        negative: Sum of the ranks of negative differences (``a`` is better).
        nonzero: Number of differences that are not zero.
        p: Two-sided p value; 1 where all differences are zero.
        exact: Whether ``p`` is exact (given the ties), or from the normal approximation.
        effect: Matched-pairs rank-biserial correlation in favour of ``a``: 1 if ``a`` is better on every task.
    """

    positive: float
    negative: float
    nonzero: int
    p: float
    exact: bool
    effect: float


EXACT_LIMIT = 100


def signed_rank(difference: Floats) -> SignedRank:
    """Wilcoxon's signed-rank test with Pratt's zeros, exact up to ``EXACT_LIMIT`` tasks, and its effect size.

    Pratt (1959), "Remarks on zeros and ties in the Wilcoxon signed rank procedures", JASA 54: zeros take part in the
    ranking of ``|d|`` and are dropped afterwards. The exact p is the share of the ``2^m`` sign assignments to the
    ``m`` other (mid-)ranks whose statistic is at least as far from its mean; it counts ties as they are and is found
    by convolution. Above the limit: the normal approximation with the same mean and variance, ``sum(r) / 2`` and
    ``sum(r^2) / 4``, which is Cureton's (1967, "The normal approximation to the signed-rank sampling distribution when
    zero differences are present", JASA 62), corrected for ties; no correction for continuity.

    The effect is Kerby's (2014, "The simple difference formula", Comprehensive Psychology 3) ``(R- - R+) / (R+ + R- +
    R0)``: favourable minus unfavourable share of all ranks, ties counting as neither.

    Args:
        difference: (n,), n >= 1, regret of ``a`` minus regret of ``b``; exact zeros are ties.
    """
    n = len(difference)
    rank = stats.rankdata(np.abs(difference))
    positive, negative = float(rank[difference > 0].sum()), float(rank[difference < 0].sum())
    used = rank[difference != 0]
    effect = (negative - positive) / (n * (n + 1) / 2)
    if len(used) == 0:
        return SignedRank(0.0, 0.0, 0, 1.0, True, 0.0)
    if n <= EXACT_LIMIT:
        p = _exact_signed_rank(used, positive)
    else:
        z = (positive - used.sum() / 2) / math.sqrt((used**2).sum() / 4)
        p = float(2 * stats.norm.sf(abs(z)))
    return SignedRank(positive, negative, len(used), p, n <= EXACT_LIMIT, effect)


def _exact_signed_rank(used: Floats, positive: float) -> float:
    """Two-sided p of the sum of positive ranks when every sign is a fair coin; mid-ranks are halves, hence doubled."""
    doubled = np.rint(2 * used).astype(np.int64)
    probability = np.zeros(int(doubled.sum()) + 1)
    probability[0] = 1.0
    for step in doubled:
        shifted = np.zeros_like(probability)
        shifted[step:] = probability[: len(probability) - step]
        probability = (probability + shifted) / 2
    total = len(probability) - 1
    far = abs(2 * round(2 * positive) - total)
    return float(min(1.0, probability[np.abs(2 * np.arange(total + 1) - total) >= far].sum()))


def smallest_p(n: int) -> float:
    """The smallest two-sided p that a signed-rank test over ``n`` tasks can give, ``2^(1 - n)``: 0.0625 for 5 tasks."""
    return min(1.0, 2.0 ** (1 - n))


def not_worse(mean: Floats, sd: Floats, n: Ints, alpha: float = ALPHA) -> tuple[Bools, Bools]:
    """Which optimizers of one task are best, and which are not significantly worse than the best.

    Welch's t test over seeds against the (first) best, Holm-adjusted within the task.

    Args:
        mean: Mean regret over seeds, (O,); NaN where missing.
        sd: Standard deviation over seeds, (O,).
        n: Seeds, (O,).

    Returns:
        ``best`` (O,): the lowest mean, ties by rounding included; ``similar`` (O,): tested (both have 2 seeds or more)
        and not found worse; false for the best themselves.
    """
    best, similar = np.zeros(len(mean), dtype=bool), np.zeros(len(mean), dtype=bool)
    known = np.flatnonzero(~np.isnan(mean))
    if len(known) == 0:
        return best, similar
    top = known[np.argmin(mean[known])]
    best[known] = tolerant_sign(mean[known], np.full(len(known), mean[top])) == 0
    others = known[~best[known]]
    p = welch(mean[others], sd[others], n[others], float(mean[top]), float(sd[top]), int(n[top]))
    tested = ~np.isnan(p)
    if tested.any():
        similar[others[tested]] = holm(p[tested]) >= alpha
    return best, similar

"""Cluster bootstrap of mean regret and mean rank: tasks are resampled, then the seeds inside each of them.

Source: Davison and Hinkley (1997), *Bootstrap Methods and their Application*, section 3.8 (hierarchical data), with
replacement at both levels; percentile intervals after Efron and Tibshirani (1993), chapter 13.

Seeds are pairs (the optimizers of one task and seed share their initial design), so a draw takes the *same* seeds for
all optimizers. Where an optimizer lacks some seeds, the same uniform numbers pick from those it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optibench_reports.data.score_array import Bools, Floats, Ints
from optibench_reports.stats.tests import ranks


@dataclass(frozen=True)
class Draws:
    """Bootstrap replicates.

    Attributes:
        mean: Mean score over the drawn tasks that have a regret, (draws, k, counts); NaN in a draw without any.
        rank: Mean rank over all drawn tasks, (draws, k, counts).
    """

    mean: Floats
    rank: Floats


def cluster_bootstrap(scores: Floats, has_regret: Bools, *, draws: int, seed: int) -> Draws:
    """Resample tasks with replacement, then each drawn task's seeds, independently for every time it is drawn.

    Works task by task: all draws that contain a task get their seed weights at once, so that the means are one matrix
    product and the ranks one vectorised comparison.

    Args:
        scores: (k optimizers, T tasks, S seeds, counts), lower is better; NaN where a seed is missing.
            Every (optimizer, task, count) must have at least one seed.
        has_regret: Which tasks count for the mean, (T,); ranks use all.
        draws: Number of replicates.
        seed: Seed of the resampling.
    """
    k, n_tasks, _, n_counts = scores.shape
    random = np.random.default_rng(seed)
    picked = random.integers(n_tasks, size=(draws, n_tasks), dtype=np.uint16 if n_tasks < 2**16 else np.int64)
    order = np.argsort(picked.ravel(), kind="stable")
    draw_of = np.split(order // n_tasks, np.cumsum(np.bincount(picked.ravel(), minlength=n_tasks))[:-1])
    mean, rank = np.zeros((draws, k * n_counts)), np.zeros((draws, k * n_counts))
    with_regret = np.zeros(draws)
    for task in range(n_tasks):
        rows = draw_of[task]
        if len(rows) == 0:
            continue
        means = _resampled_means(scores[:, task], random.random((len(rows), scores.shape[2])))
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        ranked = ranks(means).transpose(1, 0, 2).reshape(len(rows), -1)
        rank[rows[starts]] += np.add.reduceat(ranked, starts, axis=0)
        if has_regret[task]:
            mean[rows[starts]] += np.add.reduceat(means.transpose(1, 0, 2).reshape(len(rows), -1), starts, axis=0)
            with_regret[rows[starts]] += np.diff(starts, append=len(rows))
    with np.errstate(invalid="ignore"):
        mean /= with_regret[:, None]
    shape = (draws, k, n_counts)
    return Draws(mean.reshape(shape), (rank / n_tasks).reshape(shape))


def _resampled_means(scores: Floats, uniform: Floats) -> Floats:
    """Means over seeds drawn with replacement.

    Args:
        scores: (k, S, counts).
        uniform: (M, S) in [0, 1); number ``j`` of a row picks the ``j``-th drawn seed.

    Returns:
        (k, M, counts).
    """
    k, _, n_counts = scores.shape
    columns = scores.transpose(1, 0, 2).reshape(scores.shape[1], -1)
    result = np.empty((len(uniform), columns.shape[1]))
    patterns, pattern_of = np.unique(~np.isnan(columns), axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        seeds = np.flatnonzero(patterns[:, index])
        same = np.flatnonzero(pattern_of.ravel() == index)
        weights = _weights((uniform[:, : len(seeds)] * len(seeds)).astype(np.int64))
        result[:, same] = weights @ columns[np.ix_(seeds, same)] / len(seeds)
    return np.ascontiguousarray(result.reshape(len(uniform), k, n_counts).transpose(1, 0, 2))


def _weights(drawn: Ints) -> Floats:
    """How often each of n seeds was drawn: (M, n) indices below n -> (M, n) counts."""
    counts = np.zeros(drawn.shape)
    every = np.arange(len(drawn))
    for column in drawn.T:
        counts[every, column] += 1
    return counts


def interval(replicates: Floats) -> tuple[Floats, Floats]:
    """95 % percentile interval along the first axis, over the replicates that are not NaN; NaN where all are."""
    empty = np.isnan(replicates).all(axis=0)
    known = np.where(empty, 0.0, replicates)
    quantile = np.nanquantile if np.isnan(known).any() else np.quantile
    low, high = quantile(known, [(1 - 0.95) / 2, (1 + 0.95) / 2], axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def rank_interval(replicates: Floats, estimate: Floats) -> tuple[Floats, Floats]:
    """95 % percentile interval of mean ranks, shifted to the estimate and clipped to [1, k].

    Resampling seeds adds noise to means that are noisy already, and noise pulls ranks towards the middle: the
    replicates' mean is biased against the observed mean rank. With many tasks, a plain percentile interval can even
    miss it. The observed mean rank is an unbiased estimate of the mean rank that as many seeds would give on
    tasks of this population; subtracting the bootstrap's estimate of the bias is the usual remedy (Efron and
    Tibshirani 1993, chapter 10). Means of regret are linear in the trials and need no such correction.

    Args:
        replicates: (draws, k, ...).
        estimate: (k, ...).
    """
    low, high = interval(replicates)
    shift = estimate - replicates.mean(axis=0)
    k = replicates.shape[1]
    return np.clip(low + shift, 1, k), np.clip(high + shift, 1, k)

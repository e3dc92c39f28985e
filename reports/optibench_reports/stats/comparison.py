"""What can be compared at a trial count, and the comparison itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optibench_reports.data.score_array import Bools, Floats, Ints, ScoreArray
from optibench_reports.stats.bayes import Posterior, bayesian_signed_rank
from optibench_reports.stats.bootstrap import cluster_bootstrap, interval, rank_interval
from optibench_reports.stats.effect_sizes import PairedT, a12, paired_t
from optibench_reports.stats.tests import (
    ALPHA,
    Friedman,
    SignedRank,
    friedman,
    holm,
    ranks,
    signed_rank,
    smallest_p,
    tolerant_sign,
)

COVERAGE = 0.5
"""An optimizer is compared if it reached the trial count on at least this share of the tasks that any of them did."""
TIE = 1e-3
"""Two mean regrets on a task that differ by at most this are a tie in win/tie/loss."""


@dataclass(frozen=True)
class Selection:
    """Who is compared on what after ``count`` trials; all members are indices into the grid.

    Attributes:
        count: The trial count.
        optimizers: Those compared, (k,).
        tasks: Complete tasks: every compared optimizer has at least one seed there, (n,).
        left_out: Optimizers that reached the count on too few tasks, with the number of tasks they did.
        dropped: Tasks that some optimizer reached, but not all compared ones.
        reached: Number of tasks that any optimizer reached.
    """

    count: int
    optimizers: Ints
    tasks: Ints
    left_out: tuple[tuple[int, int], ...]
    dropped: Ints
    reached: int

    @property
    def key(self) -> tuple[bytes, bytes]:
        """Equal for selections that can share one bootstrap."""
        return self.optimizers.tobytes(), self.tasks.tobytes()


def select(scores: Floats, count: int, tasks: Ints) -> Selection:
    """Choose complete cases: ranks mean something only where every optimizer of a family was ranked.

    Args:
        scores: (O, T, S) after ``count`` trials; NaN where missing.
        count: The trial count, for the record.
        tasks: The tasks to look at.
    """
    covered: Bools = np.asarray(~np.isnan(scores[:, tasks]).all(axis=2))
    reached = covered.any(axis=0)
    share = covered.sum(axis=1)
    chosen = (share > 0) & (share >= COVERAGE * reached.sum())
    complete = covered[chosen].all(axis=0) & reached
    return Selection(
        count=count,
        optimizers=np.flatnonzero(chosen),
        tasks=tasks[complete],
        left_out=tuple((int(o), int(share[o])) for o in np.flatnonzero(~chosen)),
        dropped=tasks[reached & ~complete],
        reached=int(reached.sum()),
    )


@dataclass(frozen=True)
class Aggregate:
    """Means over the complete tasks of a selection with 95% cluster-bootstrap intervals; arrays are (k,).

    Attributes:
        selection: Who and what.
        task_means: Mean score over each one's seeds, (k, n).
        task_ranks: Rank of that mean among the optimizers, (k, n).
        with_regret: Which of the n tasks have reference values, (n,).
        mean: Mean regret over tasks with reference values; NaN if there is none. With ``mean_low``, ``mean_high``.
        rank: Mean rank over all n tasks. With ``rank_low``, ``rank_high``.
        seed_scores: The scores themselves, (k, n, S).
        mean_draws: Bootstrap replicates of the mean regret, (draws, k).
    """

    selection: Selection
    task_means: Floats
    task_ranks: Floats
    with_regret: Bools
    mean: Floats
    mean_low: Floats
    mean_high: Floats
    rank: Floats
    rank_low: Floats
    rank_high: Floats
    seed_scores: Floats
    mean_draws: Floats

    @cached_property
    def place(self) -> dict[int, int]:
        """The position here of each compared optimizer of the grid."""
        return {int(o): i for i, o in enumerate(self.selection.optimizers)}


def seed_means(scores: Floats) -> Floats:
    """Mean over the seeds there are (axis 2), NaN where there is none."""
    known = ~np.isnan(scores)
    n = known.sum(axis=2)
    return np.where(n > 0, np.where(known, scores, 0.0).sum(axis=2) / np.maximum(n, 1), np.nan)


def aggregate(
    grid: ScoreArray, scores: Floats, counts: Sequence[int], tasks: Ints, *, draws: int, seed: int
) -> list[Aggregate | None]:
    """Aggregate over ``tasks`` at every trial count; ``None`` where no task is complete.

    Args:
        grid: The grid.
        scores: (O, T, S, len(counts)), from :meth:`ScoreArray.at`.
        counts: The trial counts.
        tasks: Indices of the tasks to look at.
        draws: Bootstrap replicates.
        seed: Drives the bootstrap.
    """
    selections = [select(scores[..., a], count, tasks) for a, count in enumerate(counts)]
    together: dict[tuple[bytes, bytes], list[int]] = {}
    for a, selection in enumerate(selections):
        if len(selection.tasks):
            together.setdefault(selection.key, []).append(a)
    result: list[Aggregate | None] = [None] * len(counts)
    for members in together.values():
        first = selections[members[0]]
        part = scores[np.ix_(first.optimizers, first.tasks, np.arange(scores.shape[2]), np.array(members))]
        has = grid.has_regret[first.tasks]
        replicates = cluster_bootstrap(part, has, draws=draws, seed=seed)
        mean_low, mean_high = interval(replicates.mean)
        means = seed_means(part)
        ranked = ranks(means)
        rank_low, rank_high = rank_interval(replicates.rank, ranked.mean(axis=1))
        for position, a in enumerate(members):
            mean = means[:, has, position].mean(axis=1) if has.any() else np.full(len(means), np.nan)
            result[a] = Aggregate(
                selection=selections[a],
                task_means=means[..., position],
                task_ranks=ranked[..., position],
                with_regret=has,
                mean=mean,
                mean_low=mean_low[:, position],
                mean_high=mean_high[:, position],
                rank=ranked[..., position].mean(axis=1),
                rank_low=rank_low[:, position],
                rank_high=rank_high[:, position],
                seed_scores=part[..., position],
                mean_draws=replicates.mean[..., position],
            )
    return result


@dataclass(frozen=True)
class Pair:
    """Two optimizers over the tasks with reference values; indices into the grid, ``a`` the one with the better rank.

    Attributes:
        difference: Mean regret of ``a`` minus that of ``b``, with its 95% cluster-bootstrap interval ``low, high``.
        wins: Tasks on which ``a`` is better by more than ``TIE``; likewise ``ties`` and ``losses``.
        test: The signed-rank test.
        p_holm: Its p, Holm-adjusted over the family.
        t: The paired t test and Cohen's d.
        a12: Vargha and Delaney's probability that a run of ``a`` beats one of ``b``.
        bayes: Posterior probabilities of the Bayesian signed-rank test.
    """

    a: int
    b: int
    difference: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    test: SignedRank
    p_holm: float
    t: PairedT
    a12: float
    bayes: Posterior


@dataclass(frozen=True)
class Comparison:
    """The tests over the complete tasks of one aggregate.

    Attributes:
        friedman: Over the ranks of all complete tasks; ``None`` with fewer than 3 optimizers or 2 tasks.
        pairs: All pairs, or every optimizer against the control; empty without at least two optimizers and one task
            with reference values.
        n: Tasks in the pairwise tests.
        attainable: Whether any pair could reach ``ALPHA`` after Holm's adjustment with that many tasks. If not, the
            p values are no evidence either way and must not be printed.
    """

    friedman: Friedman | None
    pairs: tuple[Pair, ...]
    n: int
    attainable: bool


def compare(found: Aggregate, control: int | None = None, *, draws: int, seed: int, tie: float = TIE) -> Comparison:
    """Friedman over ranks, signed-rank tests over tasks with Holm over the declared family, and the Bayesian test.

    Args:
        found: The aggregate to test.
        control: An optimizer of the grid: the family is then "everyone against it"; ``None`` for all pairs.
        draws: Monte Carlo draws of the Bayesian test.
        seed: Drives them.
        tie: Differences of means up to this count as ties.
    """
    chosen = found.selection.optimizers
    n = int(found.with_regret.sum())
    order = [int(i) for i in np.argsort(found.rank, kind="stable")]
    places = [(i, j) for at, i in enumerate(order) for j in order[at + 1 :]] if n else []
    if control is not None:
        places = [(i, j) for i, j in places if control in (chosen[i], chosen[j])]
    drafts = []
    for i, j in places:
        x, y = found.task_means[i, found.with_regret], found.task_means[j, found.with_regret]
        difference = np.where(tolerant_sign(x, y) == 0, 0.0, x - y)
        drafts.append((i, j, difference, signed_rank(difference)))
    adjusted = holm(np.array([test.p for *_, test in drafts]))
    posteriors = bayesian_signed_rank(np.reshape([d for *_, d, _ in drafts], (len(drafts), n)), draws=draws, seed=seed)
    pairs = []
    for (i, j, difference, test), p_holm, posterior in zip(drafts, adjusted, posteriors, strict=True):
        low, high = interval(found.mean_draws[:, i] - found.mean_draws[:, j])
        pairs.append(
            Pair(
                a=int(chosen[i]),
                b=int(chosen[j]),
                difference=float(difference.mean()),
                low=float(low),
                high=float(high),
                wins=int((difference < -tie).sum()),
                ties=int((np.abs(difference) <= tie).sum()),
                losses=int((difference > tie).sum()),
                test=test,
                p_holm=float(p_holm),
                t=paired_t(difference),
                a12=a12(*(found.seed_scores[o, found.with_regret] for o in (i, j))),
                bayes=posterior,
            )
        )
    return Comparison(
        friedman=friedman(found.task_ranks.T),
        pairs=tuple(pairs),
        n=n,
        attainable=bool(pairs) and smallest_p(n) * len(pairs) <= ALPHA,
    )

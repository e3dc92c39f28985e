"""Tests that need no reference values: signs over tasks, and the seeds inside a task.

Both compare final values, of which only the order (signs) or the differences on one task (seeds) are used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from scipy import stats

from optibench_reports.data.score_array import Floats, ScoreArray
from optibench_reports.stats.comparison import Aggregate, Comparison
from optibench_reports.stats.tests import ALPHA, SignedRank, holm, signed_rank, smallest_p, tolerant_sign

MAX_TASKS = 5
"""Up to so many tasks are tested over their seeds, where no test over tasks can be significant."""


@dataclass(frozen=True)
class SignPair:
    """Two optimizers over all complete tasks; ``a`` has the better mean rank.

    Attributes:
        wins: Tasks on which the mean over the seeds of ``a`` is better; ``ties`` by rounding only; likewise ``losses``.
        p: Two-sided p of the sign test.
        p_holm: Holm-adjusted over the family.
    """

    a: int
    b: int
    wins: int
    ties: int
    losses: int
    p: float
    p_holm: float = 1.0


@dataclass(frozen=True)
class Signs:
    """Sign tests over ``n`` tasks; ``attainable`` as in :class:`optibench_reports.stats.comparison.Comparison`."""

    pairs: tuple[SignPair, ...]
    n: int
    attainable: bool


@dataclass(frozen=True)
class SeedPair:
    """Two optimizers over the seeds that both have on one task.

    Attributes:
        task: The task, an index into the grid.
        seeds: How many.
        difference: Mean score of ``a`` minus that of ``b``: regret, or on a task without reference values the distance
            from the best value, so a difference of values; negative if ``a`` is better.
        wins: Seeds with which ``a`` is better; likewise ``ties`` and ``losses``.
        test: The signed-rank test over the differences.
        p_holm: Its p, Holm-adjusted over all pairs on all tasks.
    """

    task: int
    a: int
    b: int
    seeds: int
    difference: float
    wins: int
    ties: int
    losses: int
    test: SignedRank
    p_holm: float = 1.0

    @property
    def p(self) -> float:
        """Unadjusted."""
        return self.test.p


@dataclass(frozen=True)
class Seeds:
    """Tests over seeds on ``tasks`` tasks; the p values of a task say nothing of any other one."""

    pairs: tuple[SeedPair, ...]
    tasks: int
    attainable: bool


def sign_tests(found: Aggregate, control: int | None = None) -> Signs | None:
    """Sign tests over all complete tasks, where some have no reference values; ``None`` where all have.

    Ties are dropped and the others are fair coins under the null hypothesis: the exact binomial test of Dixon and Mood
    (1946), "The statistical sign test", Journal of the American Statistical Association 41.

    Args:
        found: The aggregate.
        control: As for :func:`optibench_reports.stats.comparison.compare`.
    """
    if found.with_regret.all():
        return None
    chosen, n = found.selection.optimizers, found.task_means.shape[1]
    drafts = []
    for i, j in _places(found, control):
        sign = tolerant_sign(found.task_means[i], found.task_means[j])
        wins, losses = int((sign < 0).sum()), int((sign > 0).sum())
        p = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
        drafts.append(SignPair(int(chosen[i]), int(chosen[j]), wins, n - wins - losses, losses, p))
    return Signs(_adjusted(drafts), n, bool(drafts) and smallest_p(n) * len(drafts) <= ALPHA)


def seed_tests(found: Aggregate, tests: Comparison, signs: Signs | None, control: int | None = None) -> Seeds | None:
    """Signed-rank tests over the seeds of each task, where no test over tasks can be significant; else ``None``.

    Seeds of one task share their initial design: they are pairs.
    """
    chosen, n = found.selection.optimizers, found.task_means.shape[1]
    if tests.attainable or (signs is not None and signs.attainable) or n > MAX_TASKS:
        return None
    drafts = []
    for task in range(n):
        for i, j in _places(found, control):
            x, y = found.seed_scores[i, task], found.seed_scores[j, task]
            both = ~(np.isnan(x) | np.isnan(y))
            if not both.any():
                continue
            sign = tolerant_sign(x[both], y[both])
            difference = np.where(sign == 0, 0.0, x[both] - y[both])
            wins, losses = int((sign < 0).sum()), int((sign > 0).sum())
            seeds = int(both.sum())
            pair = (int(found.selection.tasks[task]), int(chosen[i]), int(chosen[j]))
            test = signed_rank(difference)
            drafts.append(SeedPair(*pair, seeds, float(difference.mean()), wins, seeds - wins - losses, losses, test))
    possible = bool(drafts) and smallest_p(max(pair.seeds for pair in drafts)) * len(drafts) <= ALPHA
    return Seeds(_adjusted(drafts), n, possible) if drafts else None


def values(grid: ScoreArray, task: int, scores: Floats) -> Floats:
    """Scores on a task without reference values as the values that they stand for, in the task's own direction."""
    return np.asarray(grid.best[task] + grid.sign[task] * scores)


def _places(found: Aggregate, control: int | None) -> list[tuple[int, int]]:
    order = [int(i) for i in np.argsort(found.rank, kind="stable")]
    pairs = [(i, j) for at, i in enumerate(order) for j in order[at + 1 :]]
    chosen = found.selection.optimizers
    return pairs if control is None else [(i, j) for i, j in pairs if control in (chosen[i], chosen[j])]


Pair = TypeVar("Pair", SignPair, SeedPair)


def _adjusted(drafts: list[Pair]) -> tuple[Pair, ...]:
    adjusted: Any = holm(np.array([pair.p for pair in drafts]))
    return tuple(replace(pair, p_holm=float(p)) for pair, p in zip(drafts, adjusted, strict=True))

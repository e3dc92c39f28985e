"""Whether a second run is worse than a first one, as a check in continuous integration asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optibench_reports.data.merge import apart, merge, renamed, restricted
from optibench_reports.data.results import ReportError, Results
from optibench_reports.data.score_array import read
from optibench_reports.format.text import bracket, number, p_value, plural
from optibench_reports.stats.analysis import shared_trials
from optibench_reports.stats.bootstrap import interval
from optibench_reports.stats.comparison import aggregate
from optibench_reports.stats.tests import ALPHA, holm, signed_rank, smallest_p, tolerant_sign


@dataclass(frozen=True)
class Change:
    """One optimizer in both runs after ``count`` trials, over the tasks with reference values that it has in both.

    Attributes:
        first, second: Mean normalised regrets.
        low, high: 95 % cluster-bootstrap interval of their difference, second minus first.
        n: Tasks.
        p_holm: Of the signed-rank test over tasks, Holm-adjusted over all optimizers and counts.
        attainable: Whether so few tasks could give a p below ``ALPHA``; if not, the interval decides.
    """

    optimizer: str
    count: int
    first: float
    second: float
    low: float
    high: float
    n: int
    p_holm: float
    attainable: bool

    @property
    def worse(self) -> bool:
        """Whether the second run is significantly worse or, with too few tasks for the test, its interval wholly is."""
        return self.second > self.first and (self.p_holm < ALPHA if self.attainable else self.low > 0)

    def __str__(self) -> str:
        p = f", p {p_value(self.p_holm)} (signed-rank, Holm)" if self.attainable else ", interval wholly worse"
        return (
            f"{self.optimizer} after {self.count} trials: mean regret {number(self.second)} instead of "
            f"{number(self.first)}, difference {bracket(self.second - self.first, self.low, self.high)} on "
            f"{plural(self.n, 'task')}{p}"
        )


def changes(
    first: Results, second: Results, *, at: Sequence[int] | None = None, draws: int = 10_000, seed: int = 0
) -> list[Change]:
    """Compare every optimizer that two runs have in common, on the tasks that they share.

    Args:
        first: The run to compare with.
        second: The run that may be worse.
        at: Trial counts; by default the largest one that every optimizer has on every task.
        draws: Replicates of the cluster bootstrap.
        seed: Of the bootstrap.

    Raises:
        ReportError: They share no optimizer, or no task with reference values, or a trial count is out of range.
    """
    tasks, both = (
        set(map(str, first.trials[key].unique())) & set(map(str, second.trials[key].unique()))
        for key in ("task", "optimizer")
    )
    if not both or not tasks:
        raise ReportError(f"The two runs have no {'optimizer' if tasks else 'task'} in common: nothing can be worse.")
    names = ("first", "second")
    pairs = [
        renamed(restricted(run, tasks), apart(both, name)) for run, name in zip((first, second), names, strict=True)
    ]
    grid = read(merge(pairs))
    counts = sorted(set(at)) if at else [shared_trials(grid)]
    if counts[-1] > grid.longest:
        raise ReportError(f"Cannot compare after {counts[-1]} trials: the cells have between 1 and {grid.longest}.")
    scores = grid.at(counts)
    drafts: list[tuple[str, int, float, float, float, float, int, float]] = []
    for optimizer in sorted(both):
        places = [grid.optimizers.index(f"{optimizer} ({name})") for name in names]
        every = np.arange(len(grid.tasks))
        for count, found in zip(
            counts, aggregate(grid, scores[places], counts, every, draws=draws, seed=seed), strict=True
        ):
            if found is None or len(found.task_means) < 2 or not found.with_regret.any():
                continue
            one, other = found.task_means[:, found.with_regret]
            difference = np.where(tolerant_sign(other, one) == 0, 0.0, other - one)
            low, high = map(float, interval(found.mean_draws[:, 1] - found.mean_draws[:, 0]))
            means = float(one.mean()), float(other.mean())
            drafts.append((optimizer, count, *means, low, high, len(difference), signed_rank(difference).p))
    if not drafts:
        raise ReportError("No shared optimizer has finished a shared task with reference values in both runs.")
    adjusted = holm(np.array([draft[-1] for draft in drafts]))
    return [
        Change(*draft[:-1], p_holm=float(p), attainable=smallest_p(draft[6]) * len(drafts) <= ALPHA)
        for draft, p in zip(drafts, adjusted, strict=True)
    ]

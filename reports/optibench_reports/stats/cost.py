"""Regret against cost: every optimizer after evaluations that cost the same, where not all of them do.

Likewise where a grid gives its tasks different numbers of trials: after parts of each task's own number (``trials``).

A cell's cost is the sum of its evaluations in units of a full one (``fidelity``), or the simulated time at which they
end (``seconds``). After a cost ``c`` a cell stands at its best full evaluation among those that were over by then: an
evaluation under way, or at a lower fidelity, does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optibench_reports.data.score_array import Floats, ScoreArray
from optibench_reports.stats.comparison import Aggregate, Comparison, aggregate, compare, seed_means

UNITS = {"fidelity": "full evaluations", "seconds": "simulated seconds", "trials": "trials"}
SHARES = (0.25, 0.5, 1.0)
"""Parts of a task's whole cost that the table shows."""
CURVE = 100
"""Points of a curve."""


@dataclass(frozen=True)
class Costs:
    """The results against one kind of cost.

    Attributes:
        unit: A key of :data:`UNITS`.
        whole: What each task has to spend, (T,): the budget, or where there is none what the cheapest cell took; of
            ``trials`` the task's own number.
        overall: Aggregates after each of :data:`SHARES`; ``None`` where no task is complete.
        tests: The pairwise tests after the whole cost.
        curve: Mean regret over complete tasks after (i + 1) / ``CURVE`` of the cost, (O, CURVE).
        trials, full: Mean trials of a cell, and full evaluations among them, (O,).
    """

    unit: str
    whole: Floats
    overall: tuple[Aggregate | None, ...]
    tests: Comparison | None
    curve: Floats
    trials: Floats
    full: Floats

    @property
    def same(self) -> float | None:
        """What every task has to spend, if that is one number."""
        return float(self.whole[0]) if np.allclose(self.whole, self.whole[0]) else None

    def words(self, share: float) -> str:
        """A part of the whole cost, as the head of a column says it."""
        if self.same is None:
            return f"{share:.0%}"
        return f"{self.same * share:g}" + " s" * (self.unit == "seconds")


def costs(
    grid: ScoreArray, budgets: dict[str, Floats], *, control: int | None, draws: int, seed: int
) -> tuple[Costs, ...]:
    """What the grid's trials cost, in each of the units that it has.

    Args:
        grid: The grid.
        budgets: By unit, the budget of each task, (T,); NaN where it is not in that unit.
        control: An optimizer to test everyone against; ``None`` for all pairs.
        draws, seed: Of the bootstrap.
    """
    if not grid.has_regret.any():
        return ()
    found = []
    for unit, ends in grid.ends.items():
        whole = _whole(grid, ends, budgets.get(unit))
        scores = at_cost(grid, unit, whole[:, None] * np.array(SHARES))
        overall = aggregate(grid, scores, [round(100 * x) for x in SHARES], grid.counted(), draws=draws, seed=seed)
        last = overall[-1]
        fine = at_cost(grid, unit, whole[:, None] * np.arange(1, CURVE + 1) / CURVE)
        curve = np.full((len(grid.optimizers), CURVE), np.nan)
        if last is not None:
            o, t = last.selection.optimizers, last.selection.tasks[last.with_regret]
            curve[o] = seed_means(fine[np.ix_(o, t)]).mean(axis=1)
        optimizer = grid.cell // (len(grid.tasks) * grid.seeds.shape[1])
        cells = np.maximum((grid.finished > 0).sum(axis=(1, 2)), 1)
        rows = [np.bincount(optimizer[where], minlength=len(cells)) / cells for where in (slice(None), grid.full)]
        tests = None if last is None else compare(last, control, draws=draws, seed=seed)
        found.append(Costs(unit, whole, tuple(overall), tests, curve, *rows))
    return tuple(found)


def _whole(grid: ScoreArray, ends: Floats, budget: Floats | None) -> Floats:
    """What each task has to spend, (T,)."""
    total = np.full(grid.finished.size, -np.inf)
    np.maximum.at(total, grid.cell, np.where(np.isfinite(ends), ends, -np.inf))
    cheapest = np.where(np.isfinite(total), total, np.inf).reshape(grid.finished.shape).min(axis=(0, 2))
    return cheapest if budget is None else np.where(np.isnan(budget), cheapest, budget)


def at_cost(grid: ScoreArray, unit: str, levels: Floats) -> Floats:
    """The score of every cell once its cost has reached a level.

    Args:
        grid: The grid.
        unit: A key of its ``ends``.
        levels: For each task its costs, ascending, (T, A).

    Returns:
        (O, T, S, A): the lowest regret among the full evaluations that are over, that of the worst reference where
        there is none; NaN for missing cells, those without a clock, those with fewer trials and tasks without
        regret.
    """
    ends, own = grid.ends[unit], grid.own[unit]
    result = np.full((*grid.finished.shape, levels.shape[1]), np.nan)
    first = np.flatnonzero(np.diff(grid.cell, prepend=-1))
    for start, stop in zip(first, [*first[1:], len(grid.cell)], strict=True):
        o, t, s = np.unravel_index(grid.cell[start], grid.finished.shape)
        if not grid.has_regret[t] or not np.isfinite(ends[start:stop]).any():
            continue
        order = np.argsort(ends[start:stop], kind="stable")
        over = ends[start:stop][order]
        best = np.minimum.accumulate(np.append(grid.worst[t], own[start:stop][order]))
        # the tolerance is for sums of 0.1
        result[o, t, s] = best[np.searchsorted(over, levels[t] + 1e-9 * np.abs(levels[t]), side="right")]
        if unit == "trials":
            result[o, t, s, np.floor(levels[t] + 1e-9) > stop - start] = np.nan
    return result

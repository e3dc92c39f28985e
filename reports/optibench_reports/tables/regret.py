"""The tables of regret and rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from optibench_reports.data.score_array import Floats, Ints
from optibench_reports.format.text import (
    MISSING,
    MODEL_FROM,
    MODEL_FROM_NOTE,
    Cell,
    Table,
    bracket,
    join_names,
    number,
    plus_minus,
    rank,
)
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.comparison import Aggregate, seed_means
from optibench_reports.stats.effect_sizes import interquartile_mean
from optibench_reports.stats.tests import not_worse, t_interval


class _Measure(NamedTuple):
    """A measure whose lowest value is the best, and its words: what it is, and what a cell that lacks it has not."""

    name: str
    title: str
    meaning: str
    lacking: str


_REGRET = _Measure("regret", "Normalised regret", "", "reached this count")
_IGD_PLUS = _Measure(
    "igd_plus",
    "IGD+",
    "Mean distance of the points of the frozen front to the nearest feasible trial so far, in which only objectives "
    "worse than the point's count; in each objective the ideal is 0, the reference point 1. ",
    "have a feasible trial by then",
)


def regret_tables(analysis: Analysis) -> list[Table]:
    """Per trial count: regret of each optimizer on each task, mean over seeds with a t interval.

    Tasks without reference values are left out; the report lists them.
    """
    return _by_task(analysis, analysis.scores, np.flatnonzero(analysis.grid.has_regret), _REGRET)


def igd_tables(analysis: Analysis) -> list[Table]:
    """The same of the IGD+ on the tasks whose frozen front has points; no table if there is none."""
    if analysis.igd_plus is None:
        return []
    return _by_task(
        analysis, analysis.igd_plus, np.flatnonzero(np.isin(analysis.grid.tasks, analysis.fronted)), _IGD_PLUS
    )


def _by_task(analysis: Analysis, scores: Floats, tasks: Ints, measure: _Measure) -> list[Table]:
    """A measure, (O, T, S, A), on some tasks."""
    return [_table(analysis, a, scores[..., a], tasks, measure) for a in range(len(analysis.counts))]


def _table(analysis: Analysis, a: int, scores: Floats, tasks: Ints, measure: _Measure) -> Table:
    grid, count = analysis.grid, analysis.counts[a]
    mean, sd, n = per_task(scores)
    half = t_interval(mean, sd, n)
    planned = (grid.planned > 0).sum(axis=2)
    order = ranking(analysis)
    # An optimizer with a smaller planned budget lacks no seeds at a count beyond it.
    due = (grid.planned >= count).sum(axis=2)
    rows, data = [], []
    for t in tasks:
        best, similar = not_worse(mean[:, t], sd[:, t], n[:, t])
        best &= best.sum() < (n[:, t] > 0).sum()  # if all are best, none is marked
        cells = [Cell(grid.tasks[t])]
        for o in order:
            text = mean_words(mean[o, t], half[o, t], n[o, t], due[o, t])
            cells.append(Cell(text, bool(best[o]), bool(similar[o])))
            data.append(
                {
                    "trials": count,
                    "family": grid.families[t],
                    "task": grid.tasks[t],
                    "optimizer": grid.optimizers[o],
                    f"mean_{measure.name}": mean[o, t],
                    "half_width_95": half[o, t],
                    "sd": sd[o, t],
                    "seeds": n[o, t],
                    "seeds_planned": planned[o, t],
                    "best": best[o],
                    "not_significantly_worse": similar[o],
                }
            )
        rows.append(tuple(cells))
    return Table(
        name=f"{measure.name}_at_{count}",
        title=f"{measure.title} after {count} trials",
        note=(
            f"{measure.meaning}Mean ± half width of Student's 95% interval over seeds. Bold: lowest mean. ≈: not "
            "significantly worse than it (Welch's t test over seeds, Holm within the task). (m/n): only m of n planned "
            f"cells {measure.lacking}"
        ),
        header=("task", *(grid.optimizers[o] for o in order)),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )


def mean_words(mean: float, half: float, seeds: int, due: int) -> str:
    """A mean over seeds with its interval, and the number of seeds if some are missing."""
    if seeds == due == 0:
        return MISSING
    return plus_minus(mean, half) + ("" if seeds == due and seeds > 1 else f" ({seeds}/{due})")


def per_task(scores: Floats) -> tuple[Floats, Floats, Ints]:
    """Mean, standard deviation (n - 1) and number over seeds, each (O, T), from (O, T, S)."""
    known = ~np.isnan(scores)
    n = known.sum(axis=2)
    mean = seed_means(scores)
    squares = np.where(known, (scores - mean[..., None]) ** 2, 0.0).sum(axis=2)
    return mean, np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan), n


def ranks_table(analysis: Analysis) -> Table:
    """Mean rank and mean regret of each optimizer at each trial count, over the complete tasks."""
    grid = analysis.grid
    order = ranking(analysis)
    header = ["optimizer"]
    columns: list[list[Cell]] = []
    data: list[dict[str, Any]] = []
    for count, found in zip(analysis.counts, analysis.overall, strict=True):
        header += [f"rank after {count}", f"regret after {count}"]
        columns += aggregate_columns(found, order)
        data += _aggregate_data(analysis, "all", count, found)
    header.append(f"IQM after {analysis.counts[analysis.headline]}")
    columns.append(_iqm_column(analysis.overall[analysis.headline], order))
    if analysis.first_model_trials:
        header.append(MODEL_FROM)
        columns.append([Cell(str(analysis.first_model_trials.get(grid.optimizers[o], MISSING))) for o in order])
    rows = [(Cell(grid.optimizers[o]), *(column[i] for column in columns)) for i, o in enumerate(order)]
    return Table(
        name="ranks",
        title="Mean rank and mean normalised regret over tasks",
        note=(
            f"With 95% cluster-bootstrap intervals (tasks, then seeds; {analysis.draws} draws; that of the rank is "
            "corrected for bias). Over complete "
            "tasks only: those where every compared optimizer reached the trial count. IQM: interquartile mean of the "
            "regrets of all runs there. Bold: best" + (f". {MODEL_FROM_NOTE}" if analysis.first_model_trials else "")
        ),
        header=tuple(header),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=list(_AGGREGATE_COLUMNS)),
    )


def families_table(analysis: Analysis, a: int) -> Table:
    """Mean regret and mean rank per family of tasks and overall, at one trial count."""
    grid = analysis.grid
    order = ranking(analysis)
    rows, data = [], []
    parts = [*analysis.families.items(), ("all", analysis.overall)]
    for name, aggregates in parts:
        found = aggregates[a]
        data += _aggregate_data(analysis, name, analysis.counts[a], found)
        ranked, mean = aggregate_columns(found, order)
        n = 0 if found is None else len(found.selection.tasks)
        with_regret = 0 if found is None else int(found.with_regret.sum())
        rows.append((Cell(name), Cell("regret"), Cell(str(with_regret)), *mean))
        rows.append((Cell(name), Cell("rank"), Cell(str(n)), *ranked))
    return Table(
        name=f"families_at_{analysis.counts[a]}",
        title=f"Mean regret and mean rank by family after {analysis.counts[a]} trials",
        note=(
            "With 95% cluster-bootstrap intervals over the complete tasks of each family, n of them. Bold: best. An "
            "optimizer that covers fewer than half of the tasks of a family is not compared there"
        ),
        header=("family", "", "n", *(grid.optimizers[o] for o in order)),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=list(_AGGREGATE_COLUMNS)),
        labels=2,
    )


_AGGREGATE_COLUMNS = (
    *("family", "trials", "optimizer", "tasks", "tasks_with_regret"),
    *("mean_regret", "regret_low", "regret_high", "mean_rank", "rank_low", "rank_high", "iqm_regret"),
)


def _aggregate_data(analysis: Analysis, name: str, count: int, found: Aggregate | None) -> list[dict[str, Any]]:
    if found is None:
        return []
    return [
        {
            "family": name,
            "trials": count,
            "optimizer": analysis.grid.optimizers[o],
            "tasks": len(found.selection.tasks),
            "tasks_with_regret": int(found.with_regret.sum()),
            "mean_regret": found.mean[i],
            "regret_low": found.mean_low[i],
            "regret_high": found.mean_high[i],
            "mean_rank": found.rank[i],
            "rank_low": found.rank_low[i],
            "rank_high": found.rank_high[i],
            "iqm_regret": interquartile_mean(found.seed_scores[i, found.with_regret]),
        }
        for i, o in enumerate(found.selection.optimizers)
    ]


def mean_interval(found: Aggregate, i: int, sign: float = 1.0) -> tuple[float, float, float]:
    """Mean and interval of the ``i``-th optimizer, with the opposite sign if the scores are negated."""
    low, high = sorted((sign * found.mean_low[i], sign * found.mean_high[i]))
    return float(sign * found.mean[i]), float(low), float(high)


def mean_of(found: Aggregate | None, o: int) -> str:
    """An optimizer's mean regret; a dash if it is not compared."""
    return MISSING if found is None or o not in found.place else number(float(found.mean[found.place[o]]))


def rank_words(found: Aggregate, i: int) -> str:
    """Mean rank and interval of the ``i``-th optimizer."""
    return f"{rank(found.rank[i])} [{rank(found.rank_low[i])}, {rank(found.rank_high[i])}]"


def aggregate_columns(found: Aggregate | None, order: list[int], sign: float = 1.0) -> tuple[list[Cell], list[Cell]]:
    """Cells of rank and of the mean, in the given order of optimizers."""
    ranked, mean = [Cell(MISSING)] * len(order), [Cell(MISSING)] * len(order)
    for column, o in enumerate(order):
        if found is not None and o in found.place:
            i = found.place[o]
            ranked[column] = Cell(rank_words(found, i), bool(found.rank[i] == found.rank.min() < found.rank.max()))
            text = bracket(*mean_interval(found, i, sign))
            mean[column] = Cell(text, bool(found.mean[i] == found.mean.min() < found.mean.max()))
    return ranked, mean


def leaders(found: Aggregate, names: Sequence[str]) -> tuple[list[int], list[str], str]:
    """Positions by mean rank, then mean; the names that share the best mean rank; and the same in words."""
    order = [int(i) for i in np.lexsort((found.mean, found.rank))]
    best = [names[found.selection.optimizers[i]] for i in order if found.rank[i] - found.rank[order[0]] < 1e-9]
    return order, best, f"{join_names(best)} {'has' if len(best) == 1 else 'share'} the best mean rank"


def _iqm_column(found: Aggregate | None, order: list[int]) -> list[Cell]:
    """Interquartile means of the regret in the given order of optimizers."""
    if found is None:
        return [Cell(MISSING)] * len(order)
    means = [interquartile_mean(scores[found.with_regret]) for scores in found.seed_scores]
    return [
        Cell(number(means[i]), bold=min(means) == means[i] < max(means)) if i is not None else Cell(MISSING)
        for i in map(found.place.get, order)
    ]


def ranking(analysis: Analysis) -> list[int]:
    """Optimizers by mean rank at the headline count, then by mean regret; those not compared come last, by name."""
    found = analysis.overall[analysis.headline]
    every = range(len(analysis.grid.optimizers))
    if found is None:
        return list(every)

    def key(o: int) -> tuple[float, float, int]:
        if o not in found.place:
            return (np.inf, np.inf, o)
        i = found.place[o]
        return (float(found.rank[i]), float(np.nan_to_num(found.mean[i], nan=np.inf)), o)

    return sorted(every, key=key)

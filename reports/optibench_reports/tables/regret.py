"""The tables of regret and rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.score_array import Floats, Ints
from optibench_reports.format.text import MISSING, Cell, Table, bracket, number, plus_minus, rank
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.comparison import Aggregate, seed_means
from optibench_reports.stats.effect_sizes import interquartile_mean
from optibench_reports.stats.tests import not_worse, t_interval


def regret_tables(analysis: Analysis) -> list[Table]:
    """Per trial count: regret of each optimizer on each task, mean over seeds with a t interval.

    Tasks without reference values are left out; the report lists them.
    """
    return [_regret_table(analysis, a) for a in range(len(analysis.counts))]


def _regret_table(analysis: Analysis, a: int) -> Table:
    grid, count = analysis.grid, analysis.counts[a]
    mean, sd, n = per_task(analysis.scores[..., a])
    half = t_interval(mean, sd, n)
    planned = (grid.planned > 0).sum(axis=2)
    order = ranking(analysis)
    # An optimizer with a smaller budget by plan is not short of seeds at a count that it was never to reach.
    due = (grid.planned >= count).sum(axis=2)
    rows, data = [], []
    for t in np.flatnonzero(grid.has_regret):
        best, similar = not_worse(mean[:, t], sd[:, t], n[:, t])
        best &= best.sum() < (n[:, t] > 0).sum()  # if all are best, nobody is
        cells = [Cell(grid.tasks[t])]
        for o in order:
            text = plus_minus(mean[o, t], half[o, t])
            short = "" if n[o, t] == due[o, t] and n[o, t] > 1 else f" ({n[o, t]}/{due[o, t]})"
            cells.append(Cell(MISSING if due[o, t] == n[o, t] == 0 else text + short, bool(best[o]), bool(similar[o])))
            data.append(
                {
                    "trials": count,
                    "family": grid.families[t],
                    "task": grid.tasks[t],
                    "optimizer": grid.optimizers[o],
                    "mean_regret": mean[o, t],
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
        name=f"regret_at_{count}",
        title=f"Normalised regret after {count} trials",
        note=(
            "Mean ± half width of Student's 95% interval over seeds. Bold: lowest mean. ≈: not significantly worse "
            "than it (Welch's t test over seeds, Holm within the task). (m/n): only m of n planned cells "
            "reached this count"
        ),
        header=("task", *(grid.optimizers[o] for o in order)),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )


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
    rows = [(Cell(grid.optimizers[o]), *(column[i] for column in columns)) for i, o in enumerate(order)]
    return Table(
        name="ranks",
        title="Mean rank and mean normalised regret over tasks",
        note=(
            f"With 95% cluster-bootstrap intervals (tasks, then seeds; {analysis.draws} draws; that of the rank is "
            "corrected for bias). Over complete "
            "tasks only: those where every compared optimizer reached the trial count. IQM: interquartile mean of the "
            "regrets of all runs there. Bold: best"
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


def aggregate_columns(found: Aggregate | None, order: list[int]) -> tuple[list[Cell], list[Cell]]:
    """Cells of rank and of regret, in the given order of optimizers."""
    nothing = [Cell(MISSING)] * len(order)
    if found is None:
        return nothing, nothing
    place = {int(o): i for i, o in enumerate(found.selection.optimizers)}
    ranked, mean = [], []
    for o in order:
        i = place.get(o)
        if i is None:
            ranked.append(Cell(MISSING))
            mean.append(Cell(MISSING))
            continue
        text = f"{rank(found.rank[i])} [{rank(found.rank_low[i])}, {rank(found.rank_high[i])}]"
        ranked.append(Cell(text, bold=bool(found.rank[i] == found.rank.min() < found.rank.max())))
        text = bracket(found.mean[i], found.mean_low[i], found.mean_high[i])
        mean.append(Cell(text, bold=bool(found.mean[i] == found.mean.min() < found.mean.max())))
    return ranked, mean


def _iqm_column(found: Aggregate | None, order: list[int]) -> list[Cell]:
    """Interquartile means of the regret in the given order of optimizers."""
    if found is None:
        return [Cell(MISSING)] * len(order)
    means = [interquartile_mean(scores[found.with_regret]) for scores in found.seed_scores]
    place = {int(o): i for i, o in enumerate(found.selection.optimizers)}
    return [
        Cell(number(means[place[o]]), bold=min(means) == means[place[o]] < max(means)) if o in place else Cell(MISSING)
        for o in order
    ]


def ranking(analysis: Analysis) -> list[int]:
    """Optimizers by mean rank at the headline count, then by mean regret; those not compared come last, by name."""
    found = analysis.overall[analysis.headline]
    every = range(len(analysis.grid.optimizers))
    if found is None:
        return list(every)
    place = {int(o): i for i, o in enumerate(found.selection.optimizers)}

    def key(o: int) -> tuple[float, float, int]:
        if o not in place:
            return (np.inf, np.inf, o)
        mean = found.mean[place[o]]
        return (float(found.rank[place[o]]), float(np.nan_to_num(mean, nan=np.inf)), o)

    return sorted(every, key=key)

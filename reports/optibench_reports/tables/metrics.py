"""Metrics at the incumbent: tables, sentences and cautions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.format.text import (
    MISSING,
    Cell,
    Table,
    bracket,
    join_names,
    number,
    p_value,
    plural,
    rank,
)
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.metrics import MetricResult
from optibench_reports.stats.tests import EXACT_LIMIT, t_interval
from optibench_reports.tables.regret import aggregate_columns, leaders, mean_interval, mean_words, per_task, ranking
from optibench_reports.tables.significance import family_words, impossible, significant

_AGGREGATES = (
    *("metric", "direction", "family", "trials", "optimizer", "tasks"),
    *("mean", "mean_low", "mean_high", "mean_rank", "rank_low", "rank_high"),
)
_PAIRS = (
    *("metric", "trials", "a", "b", "tasks", "mean_difference", "difference_low", "difference_high"),
    *("wins", "ties", "losses", "rank_biserial", "p", "p_holm", "family_size"),
)


def metric_tables(analysis: Analysis) -> list[Table]:
    """Of each metric at each trial count: means and ranks by family, pairs, and the means on each task."""
    tables = []
    for place, found in enumerate(analysis.metrics):
        slugs = [re.sub(r"[^A-Za-z0-9-]+", "_", each.name)[:40] for each in analysis.metrics[: place + 1]]
        name = f"metric_{slugs[-1]}" + (f"_{place + 1}" if slugs[-1] in slugs[:-1] else "")
        for a in range(len(analysis.counts)):
            tables += [
                _families_table(analysis, found, a, name),
                _pairs_table(analysis, found, a, name),
                _tasks_table(analysis, found, a, name),
            ]
    return tables


def _families_table(analysis: Analysis, metric: MetricResult, a: int, name: str) -> Table:
    grid, count, order = analysis.grid, analysis.counts[a], ranking(analysis)
    several = metric.families if len(metric.families) > 1 else {}
    rows, data = [], []
    for family, found in (*((f, each[a]) for f, each in several.items()), ("all", metric.overall[a])):
        if found is None:
            continue
        ranked, means = aggregate_columns(found, order, metric.sign)
        for o, i in ((o, found.place[o]) for o in order if o in found.place):
            ranks = (float(found.rank[i]), float(found.rank_low[i]), float(found.rank_high[i]))
            label = (metric.name, metric.direction, family, count, grid.optimizers[o], len(found.selection.tasks))
            data.append(dict(zip(_AGGREGATES, (*label, *mean_interval(found, i, metric.sign), *ranks), strict=True)))
        n = Cell(str(len(found.selection.tasks)))
        rows += [(Cell(family), Cell("mean"), n, *means), (Cell(family), Cell("rank"), n, *ranked)]
    return Table(
        name=f"{name}_at_{count}",
        title=f"{metric.name} at the incumbent after {count} trials",
        note=(
            f"{metric.name} ({metric.direction}) of the trial that is the incumbent by the objective, not its best; in "
            "its own unit. Seeds are averaged inside a task first; means and ranks over the n complete tasks that have "
            "it, with 95% cluster-bootstrap intervals. A mean over tasks says something only where they share the unit"
            f"{_friedman(metric, a)}. Bold: best"
        ),
        header=("family", "", "n", *(grid.optimizers[o] for o in order)),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=list(_AGGREGATES)),
        labels=2,
    )


def _friedman(metric: MetricResult, a: int) -> str:
    tests = metric.comparisons[a]
    if tests is None or tests.friedman is None:
        return ""
    test = tests.friedman
    f = "∞" if test.f == float("inf") else f"{test.f:.2f}"
    return f". Friedman's test over all ranks: F ({test.df1}, {test.df2}) = {f}, p {p_value(test.p)}"


def _pairs_table(analysis: Analysis, metric: MetricResult, a: int, name: str) -> Table:
    names, tests, count = analysis.grid.optimizers, metric.comparisons[a], analysis.counts[a]
    rows, data = [], []
    for pair in tests.pairs if tests else ():
        assert tests is not None
        low, high = sorted((metric.sign * pair.low, metric.sign * pair.high))
        gap = (metric.sign * pair.difference, low, high)
        p = (pair.test.p, pair.p_holm) if tests.attainable else (float("nan"), float("nan"))
        counted = (pair.wins, pair.ties, pair.losses)
        label = (metric.name, count, names[pair.a], names[pair.b], tests.n)
        values = (*label, *gap, *counted, pair.test.effect, *p, len(tests.pairs))
        data.append(dict(zip(_PAIRS, values, strict=True)))
        shown = [p_value(each) if tests.attainable else MISSING for each in p]
        rows.append(
            (
                *map(Cell, (names[pair.a], names[pair.b], bracket(*gap), "{}/{}/{}".format(*counted))),
                *(Cell(f"{pair.test.effect:+.2f}"), Cell(shown[0])),
                Cell(shown[1], bold=significant(tests, pair.p_holm)),
            )
        )
    words = ""
    if tests is not None and tests.pairs:
        how = "exact" if tests.n <= EXACT_LIMIT else "normal approximation"
        words = (
            f"Mean difference of {metric.name} over tasks, a - b, with its 95% cluster-bootstrap interval. Wins, ties, "
            "losses: tasks on which a is better, equal, worse. Effect: matched-pairs rank-biserial correlation, +1 if "
            f"a is better on every task. p: Wilcoxon's signed-rank test over {plural(tests.n, 'task')} (two-sided, "
            f"Pratt's zeros, {how}), Holm-adjusted over {family_words(analysis, tests)}; it weighs differences: where "
            "units differ, read the ranks"
        )
        words += "" if tests.attainable else f". No p values: {impossible(analysis, tests)}"
    return Table(
        name=f"{name}_pairs_at_{count}",
        title=f"Pairwise comparison of {metric.name} at the incumbent after {count} trials",
        note=words,
        header=("a", "b", "a - b", "a wins/ties/loses", "effect", "p", "p (Holm)"),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=list(_PAIRS)),
        labels=2,
    )


def _tasks_table(analysis: Analysis, metric: MetricResult, a: int, name: str) -> Table:
    grid, count, order = analysis.grid, analysis.counts[a], ranking(analysis)
    mean, sd, n = per_task(metric.scores[..., a])
    half = t_interval(mean, sd, n)
    due = (grid.planned >= count).sum(axis=2)
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    for t in (t for t, task in enumerate(grid.tasks) if task not in metric.without):
        best = np.nanmin(metric.sign * mean[:, t]) if n[:, t].any() else np.nan
        worst = np.nanmax(metric.sign * mean[:, t]) if n[:, t].any() else np.nan
        cells = [Cell(grid.tasks[t])]
        for o in order:
            bold = bool(metric.sign * mean[o, t] == best < worst)
            cells.append(Cell(mean_words(mean[o, t], half[o, t], n[o, t], due[o, t]), bold=bold))
            numbers = {"mean": mean[o, t], "half_width_95": half[o, t], "sd": sd[o, t], "seeds": n[o, t]}
            label = {"metric": metric.name, "trials": count, "family": grid.families[t], "task": grid.tasks[t]}
            data.append({**label, "optimizer": grid.optimizers[o], **numbers})
        rows.append(tuple(cells))
    return Table(
        name=f"{name}_tasks_at_{count}",
        title=f"{metric.name} at the incumbent after {count} trials, by task",
        note=(
            f"{metric.name} ({metric.direction}) in its own unit: mean ± half width of Student's 95% interval over "
            "seeds. Bold: best mean. (m/n): only m of n planned cells have it there"
        ),
        header=("task", *(grid.optimizers[o] for o in order)),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )


def metric_sentences(analysis: Analysis) -> list[str]:
    """The leader by each metric; plain text, one sentence each."""
    return [_sentence(analysis, metric) for metric in analysis.metrics]


def _sentence(analysis: Analysis, metric: MetricResult) -> str:
    a, count = analysis.headline, analysis.counts[analysis.headline]
    found = metric.overall[a]
    if found is None:
        return f"No task allows a comparison by {metric.name} at the incumbent after {count} trials."
    names = [analysis.grid.optimizers[o] for o in found.selection.optimizers]
    order, best, who = leaders(found, analysis.grid.optimizers)
    means = join_names([f"{number(metric.sign * found.mean[i])} ({names[i]})" for i in order[: max(2, len(best))]])
    where = f"over {plural(len(found.selection.tasks), 'task')} after {count} trials"
    if len(names) == 1:
        return f"Mean {metric.name} at the incumbent that the objective chose, {where}: {means}."
    return (
        f"By {metric.name} ({metric.direction}) at the incumbent that the objective chose, {who} of {len(names)} "
        f"optimizers {where}: {rank(found.rank[order[0]])}; mean {metric.name}: {means}."
    )


def metric_cautions(analysis: Analysis) -> list[str]:
    """Exclusions from each metric's tables."""
    grid, a = analysis.grid, analysis.headline
    notes = []
    for metric in analysis.metrics:
        if metric.without:
            notes.append(
                f"{plural(len(metric.without), 'task')} without {metric.name}, left out of its tables: "
                f"{join_names(list(metric.without), 20)}."
            )
        if metric.lacking[a]:
            notes.append(
                f"{plural(metric.lacking[a], 'cell')} without {metric.name} after {analysis.counts[a]} trials (the "
                "incumbent has none, or there is no incumbent yet): they are missing in its tables."
            )
        found = metric.overall[a]
        if found is not None and len(found.selection.dropped):
            names = [grid.tasks[t] for t in found.selection.dropped]
            notes.append(f"Left out, as a compared optimizer lacks {metric.name} there: {join_names(names)}.")
        if found is not None and found.selection.left_out:
            names = [grid.optimizers[o] for o, _ in found.selection.left_out]
            notes.append(f"Not compared by {metric.name}, as too few of their tasks have it: {join_names(names)}.")
    return notes

"""The tables of tasks without reference values: best values, sign tests over tasks, tests over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optibench_reports.format.text import MISSING, Cell, Table, number, p_value, plural
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.tests import ALPHA, EXACT_LIMIT, not_worse, smallest_p, t_interval
from optibench_reports.stats.without_regret import Seeds, Signs, values
from optibench_reports.tables.regret import mean_words, per_task, ranking
from optibench_reports.tables.significance import family_of, impossible_with


def without_regret_tables(analysis: Analysis) -> list[Table]:
    """Those that the results allow: of values and of tests at each trial count."""
    every = range(len(analysis.counts))
    tables = [table(analysis, a) for table in (_values_table, _signs_table, _seeds_table) for a in every]
    return [table for table in tables if table.rows]


def _values_table(analysis: Analysis, a: int) -> Table:
    """Best values on the tasks without reference values, mean over seeds with a t interval."""
    grid, count = analysis.grid, analysis.counts[a]
    mean, sd, n = per_task(analysis.scores[..., a])
    half, due = t_interval(mean, sd, n), (grid.planned >= count).sum(axis=2)
    order = ranking(analysis)
    rows, data = [], []
    for t in np.flatnonzero(~grid.has_regret):
        best, similar = not_worse(mean[:, t], sd[:, t], n[:, t])
        best &= best.sum() < (n[:, t] > 0).sum()
        value = values(grid, int(t), mean[:, t])
        random = analysis.random.get(grid.tasks[t], float("nan"))
        cells = [Cell(grid.tasks[t])]
        for o in order:
            text = mean_words(value[o], half[o, t], n[o, t], due[o, t])
            cells.append(Cell(text, bool(best[o]), bool(similar[o])))
            data.append(
                {
                    **{"trials": count, "task": grid.tasks[t], "optimizer": grid.optimizers[o]},
                    **{"mean_value": value[o], "half_width_95": half[o, t], "sd": sd[o, t], "seeds": n[o, t]},
                    **{"best": best[o], "not_significantly_worse": similar[o], "random_median": random},
                }
            )
        rows.append((*cells, Cell(number(random))) if analysis.random else tuple(cells))
    random_words = ". Random: median of random configurations, measured before the run" if analysis.random else ""
    return Table(
        name=f"values_at_{count}",
        title=f"Best value after {count} trials on tasks without reference values",
        note=(
            "Mean ± half width of Student's 95% interval over seeds, in the task's own unit. Bold: best mean. ≈: not "
            f"significantly worse than it (Welch's t test over seeds, Holm within the task){random_words}"
        ),
        header=("task", *(grid.optimizers[o] for o in order), *(["random"] if analysis.random else [])),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )


def _signs_table(analysis: Analysis, a: int) -> Table:
    """Sign tests over all complete tasks, those with and those without reference values."""
    names, signs = analysis.grid.optimizers, analysis.signs[a]
    rows, data = [], []
    for pair in signs.pairs if signs and signs.n > 1 else ():
        assert signs is not None
        p = (pair.p, pair.p_holm) if signs.attainable else (float("nan"), float("nan"))
        keys = ("trials", "a", "b", "tasks", "wins", "ties", "losses", "p", "p_holm")
        label = (analysis.counts[a], names[pair.a], names[pair.b], signs.n)
        data.append(dict(zip(keys, (*label, pair.wins, pair.ties, pair.losses, *p), strict=True)))
        won = f"{pair.wins}/{pair.ties}/{pair.losses}"
        rows.append((Cell(names[pair.a]), Cell(names[pair.b]), Cell(won), *_p_cells(p)))
    return Table(
        name=f"signs_at_{analysis.counts[a]}",
        title=f"Sign tests after {analysis.counts[a]} trials",
        note=_signs_note(analysis, signs),
        header=("a", "b", "a wins/ties/loses", "p", "p (Holm)"),
        rows=tuple(rows),
        data=pd.DataFrame(data),
        labels=2,
    )


def _seeds_table(analysis: Analysis, a: int) -> Table:
    """Tests over the seeds of each task."""
    names, seeds = analysis.grid.optimizers, analysis.seeds[a]
    rows, data = [], []
    for pair in seeds.pairs if seeds else ():
        assert seeds is not None
        p = (pair.p, pair.p_holm) if seeds.attainable else (float("nan"), float("nan"))
        task = analysis.grid.tasks[pair.task]
        difference = pair.difference * (1.0 if analysis.grid.has_regret[pair.task] else analysis.grid.sign[pair.task])
        keys = ("trials", "task", "a", "b", "seeds", "mean_difference", "wins", "ties", "losses", "p", "p_holm")
        label = (analysis.counts[a], task, names[pair.a], names[pair.b], pair.seeds, difference)
        data.append(dict(zip(keys, (*label, pair.wins, pair.ties, pair.losses, *p), strict=True)))
        won = f"{pair.wins}/{pair.ties}/{pair.losses}"
        words = (task, names[pair.a], names[pair.b], str(pair.seeds), number(difference), won)
        rows.append((*map(Cell, words), *_p_cells(p)))
    note = (
        "Mean difference a - b of regret, or of the best value on a task without reference values. p: Wilcoxon's "
        f"signed-rank test over the seeds of the task (two-sided, Pratt's zeros, exact up to {EXACT_LIMIT} seeds), "
        f"Holm-adjusted over {plural(len(rows), 'comparison')}. It says whether the difference on this task is chance, "
        "and nothing of other tasks"
    )
    if seeds is not None and not seeds.attainable:
        note += f". No p values: {impossible_over_seeds(seeds)}"
    return Table(
        name=f"seeds_at_{analysis.counts[a]}",
        title=f"Comparison over seeds, task by task, after {analysis.counts[a]} trials",
        note=note,
        header=("task", "a", "b", "seeds", "a - b", "a wins/ties/loses", "p", "p (Holm)"),
        rows=tuple(rows),
        data=pd.DataFrame(data),
        labels=3,
    )


def _p_cells(p: tuple[float, float]) -> tuple[Cell, Cell]:
    one, adjusted = (MISSING if np.isnan(each) else p_value(each) for each in p)
    return Cell(one), Cell(adjusted, bold=p[1] <= ALPHA)


def _signs_note(analysis: Analysis, signs: Signs | None) -> str:
    if signs is None:
        return ""
    words = (
        f"Over {plural(signs.n, 'task')}, also those without reference values: a wins where the mean over its seeds is "
        "better. p: exact binomial sign test (two-sided, ties dropped), Holm-adjusted over "
        f"{family_of(analysis, len(signs.pairs))}"
    )
    return (
        words if signs.attainable else f"{words}. No p values: {impossible_with(analysis, signs.n, len(signs.pairs))}"
    )


def impossible_over_seeds(seeds: Seeds) -> str:
    """Why no p value over seeds is printed."""
    most = max(pair.seeds for pair in seeds.pairs)
    words = f"with {plural(most, 'seed')} the smallest possible p value is {smallest_p(most):.3g}"
    if smallest_p(most) > ALPHA:
        return f"{words}, above {ALPHA}"
    return f"{words}, which Holm's adjustment for {plural(len(seeds.pairs), 'comparison')} raises above {ALPHA}"

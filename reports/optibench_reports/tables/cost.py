"""Text on regret against cost: the table, the sentence, the caution."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optibench_reports.format.text import MISSING, Cell, Table, join_names, number, p_value, plural, rank, shortened
from optibench_reports.stats.comparison import Comparison
from optibench_reports.stats.cost import SHARES, UNITS, Costs
from optibench_reports.tables.regret import aggregate_columns, leaders, mean_of, rank_words


def cost_table(found: Costs, names: tuple[str, ...]) -> Table:
    """Mean rank and mean regret of each optimizer after parts of the whole cost."""
    last = found.overall[-1]
    order = [] if last is None else [int(last.selection.optimizers[i]) for i in np.lexsort((last.mean, last.rank))]
    header, data = ["optimizer"], []
    columns: list[list[Cell]] = []
    for share, part in zip(SHARES, found.overall, strict=True):
        header += [f"rank after {found.words(share)}", f"regret after {found.words(share)}"]
        columns += aggregate_columns(part, order)
        for i, o in enumerate(() if part is None else part.selection.optimizers):
            assert part is not None
            data.append(
                {
                    **{"unit": found.unit, "share": share, "cost": (found.same or np.nan) * share},
                    **{"optimizer": names[o], "tasks": int(part.with_regret.sum())},
                    **{"mean_regret": part.mean[i], "regret_low": part.mean_low[i], "regret_high": part.mean_high[i]},
                    **{"mean_rank": part.rank[i], "rank_low": part.rank_low[i], "rank_high": part.rank_high[i]},
                }
            )
    header += ["wins / ties / losses", "p", "trials", "in full"]
    columns += [
        *_against(found.tests, order),
        [Cell(f"{found.trials[o]:.1f}") for o in order],
        [Cell(f"{found.full[o]:.1f}") for o in order],
    ]
    tasks = 0 if last is None else int(last.with_regret.sum())
    title = f"Mean rank and mean normalised regret against cost in {UNITS[found.unit]}"
    whole = (
        f"All of it is {number(found.same)}" if found.same is not None else "All of it is what the cheapest run took"
    )
    counted = (
        "Only full evaluations that are over by then count for regret; all are paid for, promoted configurations again"
    )
    if found.unit == "trials":
        title = "Mean rank and mean normalised regret after parts of each task's own number of trials"
        few, most = int(found.whole.min()), int(found.whole.max())
        whole, counted = f"Tasks have {few} to {most} trials", "A run that is shorter than a part is missing there"
    return Table(
        name=f"regret_by_{found.unit}",
        title=title,
        note=(
            f"Over {plural(tasks, 'task')}, with 95% cluster-bootstrap intervals. {whole}. {counted}. Wins, ties, "
            "losses: tasks on which the first row is better, the same, worse at the end; p: Wilcoxon's signed-rank "
            f"test, Holm-adjusted, {MISSING} where so few tasks cannot reach significance. Trials, in full: means of a "
            "run. Bold: best"
        ),
        header=tuple(header),
        rows=tuple((Cell(names[o]), *(column[i] for column in columns)) for i, o in enumerate(order)),
        data=pd.DataFrame(data),
    )


def _against(tests: Comparison | None, order: list[int]) -> tuple[list[Cell], list[Cell]]:
    """Wins, ties and losses, and p, of the first of ``order`` against each other one."""
    counts, p = [], []
    for o in order:
        pair = next((q for q in tests.pairs if {q.a, q.b} == {order[0], o}), None) if tests is not None else None
        if pair is None:
            counts.append(Cell(""))
            p.append(Cell(""))
            continue
        wins, losses = (pair.wins, pair.losses) if pair.a == order[0] else (pair.losses, pair.wins)
        counts.append(Cell(f"{wins} / {pair.ties} / {losses}"))
        p.append(Cell(p_value(pair.p_holm) if tests is not None and tests.attainable else MISSING))
    return counts, p


def cost_sentence(found: Costs, names: tuple[str, ...]) -> str | None:
    """The leader at equal cost; ``None`` if no optimizers can be compared."""
    last = found.overall[-1]
    if last is None or len(last.rank) < 2:
        return None
    order, best, who = leaders(last, names)
    unit = UNITS[found.unit]
    spent = f"At the cost of {found.same:g} {unit}" if found.same is not None else f"At equal cost in {unit}"
    spent = "At each task's own last trial" if found.unit == "trials" else spent
    shown = order[: max(2, len(best))]
    regrets = [f"{number(float(last.mean[i]))} ({names[last.selection.optimizers[i]]})" for i in shown]
    return (
        f"{spent} {who} of {len(order)} optimizers over {plural(len(last.selection.tasks), 'task')}: "
        f"{rank(last.rank[order[0]])}. Mean normalised regret there: {join_names(regrets)}."
    )


def cost_lines(found: Costs, names: tuple[str, ...]) -> list[list[str]]:
    """The table for a terminal: one row per optimizer with regret after parts of the cost and rank after all of it."""
    last = found.overall[-1]
    spent = [found.words(share) for share in SHARES]
    lines = [["optimizer", *(f"@{words}" for words in spent), f"mean rank @{spent[-1]}", "trials", "in full"]]
    for i in () if last is None else np.lexsort((last.mean, last.rank)):
        assert last is not None
        o = int(last.selection.optimizers[i])
        regrets = [mean_of(part, o) for part in found.overall]
        counts = (f"{found.trials[o]:.1f}", f"{found.full[o]:.1f}")
        lines.append([shortened(names[o], 26), *regrets, rank_words(last, int(i)), *counts])
    return lines


COST_CAUTION = (
    "Evaluations differ in cost: statements after a number of trials count cheap evaluations like full ones. The "
    "tables of regret against cost compare at equal cost."
)

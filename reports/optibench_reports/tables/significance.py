"""The tables of tests: Friedman and all pairs."""

from __future__ import annotations

import math

import pandas as pd

from optibench_reports.format.text import MISSING, Cell, Table, bracket, p_value, plural
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.bayes import ROPE
from optibench_reports.stats.comparison import TIE, Comparison
from optibench_reports.stats.tests import ALPHA, EXACT_LIMIT, smallest_p

_FRIEDMAN = ("trials", "optimizers", "tasks", "chi2", "df", "p_chi2", "iman_davenport_f", "df1", "df2", "p")
_PAIRS = (
    *("trials", "a", "b", "tasks", "mean_difference", "difference_low", "difference_high", "wins", "ties", "losses"),
    *("rank_biserial", "rank_sum_positive", "rank_sum_negative", "nonzero", "exact", "p", "p_holm", "family_size"),
    *("a12", "cohens_d", "paired_t", "paired_t_p", "bayes_a", "bayes_same", "bayes_b"),
)


def friedman_table(analysis: Analysis) -> Table:
    """Friedman's test and Iman and Davenport's F at every trial count that allows them."""
    rows, data = [], []
    for count, found, tests in zip(analysis.counts, analysis.overall, analysis.comparisons, strict=True):
        if found is None or tests is None or tests.friedman is None:
            continue
        test, (k, n) = tests.friedman, found.task_ranks.shape
        values = (count, k, n, test.chi2, test.df1, test.p_chi2, test.f, test.df1, test.df2, test.p)
        data.append(dict(zip(_FRIEDMAN, values, strict=True)))
        chi2 = f"{test.chi2:.2f} (df {test.df1})"
        f = "∞" if test.f == float("inf") else f"{test.f:.2f}"
        shown = (
            str(count),
            str(k),
            str(n),
            chi2,
            p_value(test.p_chi2),
            f"{f} ({test.df1}, {test.df2})",
            p_value(test.p),
        )
        rows.append(tuple(map(Cell, shown)))
    return Table(
        name="friedman",
        title="Friedman's test over the ranks of tasks",
        note="Chi-squared corrected for ties, and Iman and Davenport's F: read F",
        header=("trials", "optimizers", "tasks", "chi-squared", "p", "F", "p of F"),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=list(_FRIEDMAN)),
        labels=0,
    )


def pairs_table(analysis: Analysis, a: int) -> Table:
    """Every pair of the family at one trial count, the better-ranked optimizer first.

    If no p value could be significant after Holm's adjustment, none is printed or stored in the CSV.
    """
    names = analysis.grid.optimizers
    tests = analysis.comparisons[a]
    rows, data = [], []
    for pair in tests.pairs if tests else ():
        assert tests is not None
        p = (pair.test.p, pair.p_holm) if tests.attainable else (float("nan"), float("nan"))
        values = (
            *(analysis.counts[a], names[pair.a], names[pair.b], tests.n, pair.difference, pair.low, pair.high),
            *(pair.wins, pair.ties, pair.losses, pair.test.effect, pair.test.positive, pair.test.negative),
            *(pair.test.nonzero, pair.test.exact, *p, len(tests.pairs)),
            *(pair.a12, pair.t.d, pair.t.t, pair.t.p, pair.bayes.a, pair.bayes.same, pair.bayes.b),
        )
        data.append(dict(zip(_PAIRS, values, strict=True)))
        rows.append(
            (
                Cell(names[pair.a]),
                Cell(names[pair.b]),
                Cell(bracket(pair.difference, pair.low, pair.high)),
                Cell(f"{pair.wins}/{pair.ties}/{pair.losses}"),
                Cell(f"{pair.test.effect:+.2f}"),
                Cell(p_value(pair.test.p) if tests.attainable else MISSING),
                Cell(p_value(pair.p_holm) if tests.attainable else MISSING, bold=significant(tests, pair.p_holm)),
                Cell(f"{pair.bayes.a:.2f}/{pair.bayes.same:.2f}/{pair.bayes.b:.2f}"),
            )
        )
    return Table(
        name=f"pairs_at_{analysis.counts[a]}",
        title=f"Pairwise comparison after {analysis.counts[a]} trials",
        note=_pairs_note(analysis, tests),
        header=("a", "b", "regret of a - b", "a wins/ties/loses", "effect", "p", "p (Holm)", "P(a/same/b)"),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=list(_PAIRS)),
        labels=2,
    )


def effects_table(analysis: Analysis, a: int) -> Table:
    """Effect sizes of every pair of the family at one trial count, and Student's test beside Wilcoxon's."""
    names, tests = analysis.grid.optimizers, analysis.comparisons[a]
    rows, data = [], []
    for pair in tests.pairs if tests else ():
        assert tests is not None
        rate = (pair.wins + pair.ties / 2) / tests.n
        values = (rate, pair.test.effect, pair.a12, pair.t.d, pair.t.t, pair.t.p)
        keys = ("win_rate", "rank_biserial", "a12", "cohens_d", "paired_t", "paired_t_p")
        label = {"trials": analysis.counts[a], "a": names[pair.a], "b": names[pair.b], "tasks": tests.n}
        data.append({**label, **dict(zip(keys, values, strict=True))})
        known = not math.isnan(pair.t.p)
        rows.append(
            (
                Cell(names[pair.a]),
                Cell(names[pair.b]),
                Cell(f"{rate:.0%}"),
                Cell(f"{pair.test.effect:+.2f}"),
                Cell(f"{pair.a12:.2f}"),
                Cell(f"{pair.t.d:+.2f}" if known else MISSING),
                Cell(f"{pair.t.t:+.2f}" if known else MISSING),
                Cell(p_value(pair.t.p) if known else MISSING),
            )
        )
    return Table(
        name=f"effects_at_{analysis.counts[a]}",
        title=f"Effect sizes after {analysis.counts[a]} trials",
        note=(
            f"Over tasks. Win rate: tasks on which a is better by more than {TIE:g}, ties half. Effect: matched-pairs "
            "rank-biserial correlation. A12: probability that a run of a beats one of b on the same task (Vargha and "
            "Delaney), mean over tasks. d: Cohen's d of the differences of regret, a - b, with Student's paired t and "
            "its unadjusted p; they assume nearly normal differences, which are rare among regrets of unlike tasks: "
            "read Wilcoxon's test"
        ),
        header=("a", "b", "win rate", "effect", "A12", "d", "t", "p of t"),
        rows=tuple(rows),
        data=pd.DataFrame(
            data,
            columns=[
                *("trials", "a", "b", "tasks", "win_rate", "rank_biserial", "a12"),
                *("cohens_d", "paired_t", "paired_t_p"),
            ],
        ),
        labels=2,
    )


def matrix_table(analysis: Analysis, a: int) -> Table:
    """Wins, ties and losses of every optimizer (row) against every other one (column) at one trial count."""
    names, tests, found = analysis.grid.optimizers, analysis.comparisons[a], analysis.overall[a]
    pairs = {(pair.a, pair.b): pair for pair in (tests.pairs if tests else ())}
    order = [] if found is None else [int(o) for o in found.selection.optimizers[found.rank.argsort(kind="stable")]]
    rows, data = [], []
    for one in order if tests and pairs else []:
        cells = [Cell(names[one])]
        for other in order:
            pair, mirror = pairs.get((one, other)), pairs.get((other, one))
            either = pair or mirror
            if either is None or tests is None:
                cells.append(Cell("" if one == other else MISSING))
                continue
            counts = (either.wins, either.ties, either.losses) if pair else (either.losses, either.ties, either.wins)
            cells.append(Cell("{}/{}/{}".format(*counts), bold=significant(tests, either.p_holm)))
            rate = (counts[0] + counts[1] / 2) / tests.n
            data.append(
                (analysis.counts[a], names[one], names[other], *counts, rate, significant(tests, either.p_holm))
            )
        rows.append(tuple(cells))
    columns = ["trials", "optimizer", "against", "wins", "ties", "losses", "win_rate", "significant"]
    return Table(
        name=f"matrix_at_{analysis.counts[a]}",
        title=f"Wins/ties/losses after {analysis.counts[a]} trials",
        note=(
            f"Row against column, over tasks; a tie is a difference of at most {TIE:g}. Bold: p (Holm) at most {ALPHA}"
        ),
        header=("", *(names[o] for o in order)),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=columns),
    )


def significant(tests: Comparison, p_holm: float) -> bool:
    """Whether an adjusted p value is significant; never if none could be."""
    return tests.attainable and p_holm <= ALPHA


def family_words(analysis: Analysis, tests: Comparison) -> str:
    """The declared family of Holm's adjustment, in words."""
    return family_of(analysis, len(tests.pairs))


def family_of(analysis: Analysis, pairs: int) -> str:
    """A family of so many pairs, in words."""
    if analysis.control is None:
        return f"all {plural(pairs, 'pair')}" if pairs > 1 else "one pair"
    return f"{plural(pairs, 'comparison')} with {analysis.grid.optimizers[analysis.control]}"


def impossible(analysis: Analysis, tests: Comparison) -> str:
    """Why no p value is printed."""
    return impossible_with(analysis, tests.n, len(tests.pairs))


def impossible_with(analysis: Analysis, n: int, pairs: int) -> str:
    """Why there is no p value of so many pairs over ``n`` tasks."""
    single = smallest_p(n)
    words = f"with {plural(n, 'task')} the smallest possible p value is {single:.3g}"
    if single > ALPHA:
        return f"{words}, above {ALPHA}"
    return f"{words}, which Holm's adjustment for {family_of(analysis, pairs)} raises above {ALPHA}"


def _pairs_note(analysis: Analysis, tests: Comparison | None) -> str:
    if tests is None or not tests.pairs:
        return "There are not two optimizers to compare on a task with reference values"
    words = (
        "Mean difference of the normalised regret with its 95% cluster-bootstrap interval; negative: a is better. "
        f"A tie is a difference of at most {TIE:g}. Effect: matched-pairs rank-biserial correlation, +1 if a is "
        f"better on every task. p: Wilcoxon's signed-rank test over {plural(tests.n, 'task')} (two-sided, Pratt's "
        f"zeros, {'exact' if tests.n <= EXACT_LIMIT else 'normal approximation'}), Holm-adjusted over "
        f"{family_words(analysis, tests)}"
    )
    words = words if tests.attainable else f"{words}. No p values: {impossible(analysis, tests)}"
    return (
        f"{words}. P: posterior probabilities that a is better, that they are practically the same (within {ROPE:g} of "
        "regret), and that b is better (Bayesian signed-rank test)"
    )

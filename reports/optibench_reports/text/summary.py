"""Text computed from the statistics: the three summary sentences, the cautions and the terminal's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from optibench_reports.format.text import MISSING, join_names, number, p_value, plural, shortened
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.comparison import COVERAGE, Pair, seed_means
from optibench_reports.stats.cost import UNITS
from optibench_reports.stats.without_regret import SeedPair, SignPair, values
from optibench_reports.tables.cost import COST_CAUTION, cost_lines, cost_sentence
from optibench_reports.tables.metrics import metric_cautions, metric_sentences
from optibench_reports.tables.regret import mean_of, rank_words, ranking
from optibench_reports.tables.significance import impossible
from optibench_reports.text.verdict import after_trials

FEW_TASKS = 10
POLICY = (
    "Normalised regret is (value - f_best) / (f_ref - f_best) of the best value so far: 0 at the best value known, 1 "
    "at a median random configuration. References are frozen; regret below 0 is clipped at 0 and counted.",
    "A failed trial keeps the incumbent; before its first success a cell has the regret of the worst reference.",
    "The task is the unit of analysis: the available seeds of an optimizer are averaged within a task first; (7/10) "
    "marks an average over 7 of 10 planned seeds.",
    "Missing cells stay missing. Ranks, means over tasks and tests use only complete tasks, where every compared "
    "optimizer has at least one seed, because ranks among different competitors are not comparable. An optimizer that "
    "reached a trial count on less than half of the tasks is not compared there, so it cannot remove tasks from "
    "the others. A cell shorter than a trial count is missing at that count.",
    "On a task without reference values, optimizers are ranked by value; it counts only for ranks, Friedman's test and "
    "sign tests.",
    "Holm's adjustment covers the comparisons at one trial count. A report at several counts has several families, and "
    "nothing adjusts for looking at all of them: choose the decisive count in advance.",
)
"""How numbers are computed and how missing and failed cells count; plain text, one item each."""


HYPERVOLUME = (
    "On a task with several objectives, the value is the hypervolume that all feasible trials so far dominate, as a "
    "share of the box between the best value of each objective and a frozen reference point: it counts all objectives "
    "without weights. Its regret is the share of the frozen front's hypervolume that is missing: 0 for the whole "
    "front, 1 for nothing; more than the front is clipped and counted. The IGD+ is a second measure, which has a table "
    "and no part in ranks and tests."
)
CONSTRAINTS = (
    "On a task with constraints, only trials that fulfil all of them count: until the first one, a cell has the regret "
    "of the worst reference."
)


def policy(analysis: Analysis) -> tuple[str, ...]:
    """How the numbers of a report are computed; plain text, one item each."""
    several = (HYPERVOLUME,) if analysis.several else ()
    return (POLICY[0], *several, *((CONSTRAINTS,) if analysis.feasibility is not None else ()), *POLICY[1:])


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """Winner, margin and significance; plain text, one sentence each.

    If trials cost differently, the leader at equal cost comes first.
    """
    at_cost = [cost_sentence(found, analysis.grid.optimizers) for found in analysis.costs]
    return (*(sentence for sentence in at_cost if sentence), *after_trials(analysis), *metric_sentences(analysis))


def cautions(analysis: Analysis) -> list[str]:
    """Limitations and exclusions; plain text, one item each."""
    grid, a = analysis.grid, analysis.headline
    found, tests, count = analysis.overall[a], analysis.comparisons[a], analysis.counts[a]
    notes = [COST_CAUTION] if grid.costly and analysis.costs else []
    notes += _unequal(analysis)
    skipped = analysis.provenance.get("skipped_tasks") or []
    if skipped:
        names = [skipped] if isinstance(skipped, str) else list(map(str, skipped))
        notes.append(f"Left out of the grid because their data was missing: {join_names(names, 20)}.")
    if found is not None:
        k, n = found.task_ranks.shape
        if n == 1:
            notes.append(
                "There is one complete task: intervals reflect its seeds only and say nothing about other tasks."
            )
        elif n < FEW_TASKS:
            notes.append(f"There are {n} complete tasks: bootstrap intervals over so few tasks are too narrow.")
        tied = int((np.ptp(found.task_ranks, axis=0) == 0).sum()) if k > 1 else 0
        if tied:
            notes.append(f"All optimizers tie on {plural(tied, 'task')} after {count} trials.")
    if tests is not None and tests.pairs and not tests.attainable:
        notes.append(f"Pairwise tests over tasks have no p values: {impossible(analysis, tests)}.")
    one_seed = int((np.sum(grid.finished > 0, axis=2) == 1).sum())
    if one_seed:
        have = "has" if one_seed == 1 else "have"
        notes.append(f"{plural(one_seed, 'pair')} of optimizer and task {have} a single seed: no interval, no mark.")
    notes += _left_out(analysis)
    if grid.left_out:
        reasons = [f"{task} ({reason})" for task, reason in grid.left_out.items()]
        notes.append(
            f"{plural(len(reasons), 'task')} left out of means, ranks and tests, too easy to tell optimizers apart: "
            f"{join_names(reasons)}."
        )
    without = [grid.tasks[t] for t in np.flatnonzero(~grid.has_regret)]
    if without:
        notes.append(
            f"{plural(len(without), 'task')} without reference values: no regret there, only ranks and signs "
            f"({join_names(without)})."
        )
    clipped = int(grid.clipped.sum())
    if clipped:
        notes.append(
            f"Regret was below 0 and clipped in {plural(clipped, 'trial')} on "
            f"{plural(int(grid.clipped.any(axis=0).sum()), 'task')} (lowest "
            f"{number(float(np.nanmin(grid.lowest)))}): these trials beat the reference."
        )
    missing = int(((grid.planned > 0) & (grid.finished == 0)).sum())
    short = int(((grid.finished > 0) & (grid.finished < grid.planned)).sum())
    if missing or short:
        planned = plural(int((grid.planned > 0).sum()), "planned cell")
        notes.append(f"{missing:,} of {planned} missing, {short:,} short.")
    if grid.unplanned:
        notes.append(f"{plural(grid.unplanned, 'cell')} outside the plan are counted as well.")
    if analysis.own_initial:
        own = join_names(list(analysis.own_initial))
        notes.append(f"With their own initial design: {own}; their seeds are not paired with others.")
    return notes + _without_model(analysis) + metric_cautions(analysis) + _unlike_grids(analysis)


def _without_model(analysis: Analysis) -> list[str]:
    """The optimizers of which a trial count shows the trials before the first model-based one only."""
    notes = []
    for name, first in analysis.first_model_trials.items():
        early = [str(count) for count in analysis.counts if name in analysis.start_only(count)]
        if early:
            notes.append(
                f"{name} has a model, or a second generation, from trial {first} on: after {join_names(early)} trials "
                "it shows its start only."
            )
    return notes


def _unequal(analysis: Analysis) -> list[str]:
    """The optimizers with fewer trials than others, and the consequence for the comparison."""
    grid = analysis.grid
    if "trials" in grid.ends:
        return _by_task(analysis)
    if grid.ends or analysis.counts[-1] <= analysis.shared:
        return []
    most = np.where(grid.finished > 0, grid.planned, 0).max(axis=2)
    least = np.where(most > 0, most, grid.longest).min(axis=1)
    short = [name for name, n in zip(grid.optimizers, least, strict=True) if n == analysis.shared]
    return [
        f"Runs have up to {plural(grid.longest, 'trial')}; {analysis.shared} is the largest number that all share "
        f"({join_names(short)} {'has' if len(short) == 1 else 'have'} no more, at least on some tasks)."
    ]


def _by_task(analysis: Analysis) -> list[str]:
    """How a report compares tasks with different numbers of trials, and where a trial count leaves some out."""
    grid = analysis.grid
    most = np.where(grid.finished > 0, grid.planned, 0).max(axis=(0, 2))
    notes = [
        f"Tasks have {most.min()} to {plural(int(most.max()), 'trial')}: the table and the figure of parts of each "
        "task's own number compare them to the end; other curves and the default trial counts go up to "
        f"{analysis.shared}, which every task has."
    ]
    for count in (count for count in analysis.counts if count > analysis.shared):
        short = [task for task, n in zip(grid.tasks, most, strict=True) if n < count]
        counted = "is not counted" if len(short) == 1 else "are not counted"
        notes.append(
            f"After {count} trials, {plural(len(short), 'task')} with fewer trials {counted}: {join_names(short)}."
        )
    return notes


def _unlike_grids(analysis: Analysis) -> list[str]:
    """Differences of merged grids that make their runs less comparable."""
    notes = []
    designs = analysis.provenance.get("initial_design")
    if isinstance(designs, (list, tuple)) and len(designs) > 1:
        notes.append(
            f"The grids differ in their initial designs ({'; '.join(map(str, designs))}): seeds of different grids "
            "are not paired."
        )
    versions = analysis.provenance.get("optimizer_packages")
    for name, found in versions.items() if isinstance(versions, Mapping) else ():
        if isinstance(found, (list, tuple)) and len(found) > 1:
            names = sorted({package for each in found for package in each})
            unlike = [package for package in names if len({each.get(package) for each in found}) > 1]
            words = ", ".join(f"{p} {' and '.join(str(each.get(p, MISSING)) for each in found)}" for p in unlike)
            notes.append(f"{name} ran with different packages in the grids ({words}) and counts as one optimizer.")
    return notes


def _left_out(analysis: Analysis) -> list[str]:
    """Optimizers and tasks that are not compared; one item for all trial counts to which it applies."""
    counts_of: dict[str, list[str]] = {}
    for count, found in zip(analysis.counts, analysis.overall, strict=True):
        notes = []
        if found is None:
            notes.append("no task is complete, so nothing is aggregated.")
        elif found.selection.left_out:
            reached = found.selection.reached
            names = [f"{analysis.grid.optimizers[o]} ({n} of {reached} tasks)" for o, n in found.selection.left_out]
            notes.append(f"not compared, as on fewer than {COVERAGE:.0%} of the tasks: {join_names(names)}.")
        if found is not None and len(found.selection.dropped):
            names = [analysis.grid.tasks[t] for t in found.selection.dropped]
            lacking = f"{plural(len(names), 'task')} left out of ranks, means and tests"
            notes.append(f"{lacking}, because a compared optimizer lacks a seed there: {join_names(names)}.")
        for note in notes:
            counts_of.setdefault(note, []).append(str(count))
    return [f"After {join_names(counts)} trials: {note}" for note, counts in counts_of.items()]


def terminal(analysis: Analysis) -> str:
    """A plain-text table of at most 100 columns, optimizers as rows, the sentences below it."""
    grid, a = analysis.grid, analysis.headline
    shown = list(range(len(analysis.counts)))[-3:]
    found = analysis.overall[a]
    order = ranking(analysis)
    header = [
        "optimizer",
        *(f"@{analysis.counts[i]}" for i in shown),
        f"mean rank @{analysis.counts[a]}",
        "best w/t/l",
        "p",
        "ask ms",
    ]
    lines = [header]
    best = order[0]
    mean, what = _shown_mean(analysis)
    pairs, unit, tested = _shown_pairs(analysis)
    for o in order:
        row = [shortened(grid.optimizers[o], 26), *(mean(i, o) for i in shown)]
        row.append(MISSING if found is None or o not in found.place else rank_words(found, found.place[o]))
        lines.append([*row, *_against(pairs, best, o, tested), number(float(analysis.seconds.median[o]) * 1e3)])
    at_cost: list[str] = []
    for each in analysis.costs:
        legend = f"@n: mean normalised regret at a cost of n, in {UNITS[each.unit]}; trials, in full: means of a run"
        if each.unit == "trials":
            legend = "@n: mean normalised regret after n of each task's own number of trials; trials: mean of a run"
        at_cost += [*_aligned(cost_lines(each, grid.optimizers)), *_wrapped(legend), ""]
    notes = cautions(analysis)
    legend = f"@n: {what}; best w/t/l: {unit} that the first row wins, ties, loses; p: of that, Holm-adjusted"
    return "\n".join(
        [
            *at_cost,
            *_aligned(lines),
            *_wrapped(legend),
            "",
            *(w for s in sentences(analysis) for w in _wrapped(s)),
            *(_wrapped(f"{plural(len(notes), 'note')} on limitations and exclusions: see report.md.") if notes else []),
        ]
    )


def _aligned(lines: list[list[str]]) -> list[str]:
    """Rows as lines with a rule below the first; the first column left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return [
        "  ".join(
            x.ljust(w) if i == 0 else x.rjust(w) for i, (x, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in ruled
    ]


def _shown_mean(analysis: Analysis) -> tuple[Callable[[int, int], str], str]:
    """What the columns of counts show of an optimizer, and that in words: regret, or values where there is one task."""
    grid, a = analysis.grid, analysis.headline
    found = analysis.overall[a]
    if len(grid.tasks) == 1 and not grid.has_regret.any():
        means = values(grid, 0, seed_means(analysis.scores[:, 0].transpose(0, 2, 1)))  # (O, counts)
        return lambda i, o: number(float(means[o, i])), f"mean best value of {grid.tasks[0]} after n trials"
    n = 0 if found is None else int(found.with_regret.sum())
    words = f"mean normalised regret after n trials ({plural(n, 'task')} at {analysis.counts[a]})"
    return lambda i, o: mean_of(analysis.overall[i], o), words


def _shown_pairs(analysis: Analysis) -> tuple[Sequence[Pair | SignPair | SeedPair], str, bool]:
    """The pairs whose wins are shown, of what (tasks, or the seeds of a single one), and whether a p can be small."""
    a = analysis.headline
    tests, signs, seeds = analysis.comparisons[a], analysis.signs[a], analysis.seeds[a]
    if tests is not None and tests.pairs:
        return tests.pairs, "tasks", tests.attainable
    if seeds is not None and seeds.tasks == 1:
        return seeds.pairs, "seeds", seeds.attainable
    return ((), "tasks", False) if signs is None else (signs.pairs, "tasks", signs.attainable)


def _against(pairs: Sequence[Pair | SignPair | SeedPair], best: int, other: int, tested: bool) -> tuple[str, str]:
    """Wins, ties and losses of the best against another, and the adjusted p."""
    for pair in pairs:
        if {pair.a, pair.b} == {best, other}:
            won, lost = (pair.wins, pair.losses) if pair.a == best else (pair.losses, pair.wins)
            return f"{won}/{pair.ties}/{lost}", p_value(pair.p_holm) if tested else MISSING
    return MISSING, MISSING


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 100, break_on_hyphens=False)

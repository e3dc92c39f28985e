"""Sentences on the leader after a number of trials, the margin and its significance.

They must never name a winner, a lead or a competitor that is not in the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optibench_reports.format.text import bracket, join_names, number, p_value, plural, plus_minus, rank
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.comparison import Aggregate, Comparison, Pair
from optibench_reports.stats.tests import ALPHA, t_interval
from optibench_reports.stats.without_regret import SeedPair, Seeds, SignPair, values
from optibench_reports.tables.regret import per_task
from optibench_reports.tables.significance import family_of, family_words, impossible_with
from optibench_reports.tables.without_regret import impossible_over_seeds


def after_trials(analysis: Analysis) -> tuple[str, str, str]:
    """Three sentences; the first also has the share of planned cells, if some are missing."""
    first, *others = _verdict(analysis)
    grid = analysis.grid
    planned, done = int((grid.planned > 0).sum()), int(((grid.planned > 0) & (grid.finished > 0)).sum())
    if done < planned:
        first += f" Only {done:,} of {planned:,} planned cells are finished."
    return (first, others[0], others[1])


def _verdict(analysis: Analysis) -> tuple[str, str, str]:
    grid, a = analysis.grid, analysis.headline
    found, tests, count = analysis.overall[a], analysis.comparisons[a], analysis.counts[a]
    if found is None or tests is None:
        return (
            f"No task was reached by enough optimizers for a comparison after {count} trials.",
            "The size of the difference is unknown.",
            "Nothing can be tested.",
        )
    k, n = found.task_ranks.shape
    order = np.lexsort((np.nan_to_num(found.mean, nan=np.inf), found.rank))
    names = [grid.optimizers[o] for o in found.selection.optimizers]
    if k == 1:
        return _alone(analysis, found, names[0])
    top = int(order[0])
    leaders = [int(i) for i in order if abs(found.rank[int(i)] - found.rank[top]) < 1e-9]
    level = [names[i] for i in leaders]
    where = f"of {k} optimizers over {plural(n, 'task')} after {count} trials: {rank(found.rank[top])}"
    if not np.ptp(found.task_ranks, axis=0).any():
        tie = "both tie" if k == 2 else "all tie"
        return (
            f"{join_names(level)} share the best mean rank {where}; {tie} on every task, so there is no winner.",
            f"Each has a mean normalised regret of {_regret(found, top)} (95% interval)."
            if found.with_regret.any()
            else "No task has reference values, so there is no regret.",
            f"There is no difference to test: {tie}.",
        )
    interval = f"95% interval {rank(found.rank_low[top])} to {rank(found.rank_high[top])}"
    return (
        f"{join_names(level)} {'has' if len(level) == 1 else 'share'} the best mean rank {where} ({interval}).",
        _by_how_much(analysis, found, tests, names, order),
        _is_it_significant(analysis, tests, level),
    )


def _regret(found: Aggregate, i: int) -> str:
    return bracket(float(found.mean[i]), float(found.mean_low[i]), float(found.mean_high[i]))


def _alone(analysis: Analysis, found: Aggregate, name: str) -> tuple[str, str, str]:
    """Sentences if only one optimizer is compared: it ran alone, or the others have no cell yet or fewer trials."""
    grid, count = analysis.grid, analysis.counts[analysis.headline]
    ran = (grid.finished > 0).any(axis=(1, 2))
    if len(grid.optimizers) == 1:
        first = f"Only {name} was run, so there is no winner."
    elif ran.sum() == 1:
        first = f"Only {name} of {len(grid.optimizers)} optimizers has finished cells, so there is no winner yet."
    else:
        first = f"Only {name} reached {plural(count, 'trial')} on enough tasks to be compared, so there is no winner."
    return (
        first,
        f"Its mean normalised regret after {count} trials over {plural(int(found.with_regret.sum()), 'task')} is "
        f"{_regret(found, 0)} (95% interval)."
        if found.with_regret.any()
        else "No task has reference values, so it has no regret.",
        "With a single optimizer there is nothing to test.",
    )


def _by_how_much(
    analysis: Analysis,
    found: Aggregate,
    tests: Comparison,
    names: list[str],
    order: np.ndarray[tuple[int], np.dtype[np.intp]],
) -> str:
    top, second = int(order[0]), int(order[1])
    if not found.with_regret.any():
        return _values(analysis, found, names, [int(i) for i in order])
    place = "of the same mean rank" if abs(found.rank[second] - found.rank[top]) < 1e-9 else "the next by rank"
    words = (
        f"The mean normalised regret of {names[top]} is {_regret(found, top)}, that of {names[second]}, {place}, "
        f"{_regret(found, second)} (95% intervals)"
    )
    everyone = analysis.grid.optimizers
    for pair in tests.pairs:
        if {everyone[pair.a], everyone[pair.b]} == {names[top], names[second]}:
            mirrored = everyone[pair.a] != names[top]
            wins, losses = (pair.losses, pair.wins) if mirrored else (pair.wins, pair.losses)
            low, high = (-pair.high, -pair.low) if mirrored else (pair.low, pair.high)
            gap = number(-pair.difference if mirrored else pair.difference)
            words += f": a difference of {gap} [{number(low)}, {number(high)}], with "
            words += (
                f"{plural(wins, 'win')}, {plural(pair.ties, 'tie')} and {losses} {'loss' if losses == 1 else 'losses'}"
            )
    lowest = int(np.argmin(found.mean))
    if found.mean[lowest] < found.mean[top]:
        words += f"; the lowest mean regret is that of {names[lowest]}, {number(float(found.mean[lowest]))}"
    return words + "."


@dataclass(frozen=True)
class _Tested:
    """Pairs of one test: ahead, behind and the adjusted p; whether any could be significant; and the test in words."""

    pairs: tuple[tuple[str, str, float], ...]
    attainable: bool
    method: str


def _over_tasks(analysis: Analysis, tests: Comparison) -> _Tested | None:
    """The test over tasks to read: of regrets if it can be significant, otherwise of signs; ``None`` without pairs."""
    everyone, signs = analysis.grid.optimizers, analysis.signs[analysis.headline]
    if tests.pairs and (tests.attainable or signs is None or not signs.attainable):
        family = family_words(analysis, tests)
        method = f"Wilcoxon's signed-rank test over {plural(tests.n, 'task')}, Holm over {family}"
        pairs = tuple((*_sides(pair, everyone), pair.p_holm) for pair in tests.pairs)
        return _Tested(pairs, tests.attainable, method)
    if signs is None or not signs.pairs:
        return None
    method = f"sign test over {plural(signs.n, 'task')}, Holm over {family_of(analysis, len(signs.pairs))}"
    return _Tested(tuple(_by_wins(pair, everyone) for pair in signs.pairs), signs.attainable, method)


def _over_seeds(analysis: Analysis, seeds: Seeds, task: int) -> _Tested:
    """The tests over the seeds of one task."""
    mine = [pair for pair in seeds.pairs if pair.task == task]
    most = max(pair.seeds for pair in mine)
    method = (
        f"Wilcoxon's signed-rank test over {plural(most, 'seed')} of one task, which says nothing of other tasks; Holm "
        f"over {family_of(analysis, len(mine))}"
    )
    pairs = tuple((*_sides(pair, analysis.grid.optimizers), pair.p_holm) for pair in mine)
    return _Tested(pairs, seeds.attainable, method)


def _is_it_significant(analysis: Analysis, tests: Comparison, leaders: list[str]) -> str:
    """Whether all with the best mean rank are significantly better than the others."""
    everyone = analysis.grid.optimizers
    control = None if analysis.control is None else everyone[analysis.control]
    leaders = [control] if control in leaders else leaders  # no pair of another leader was tested
    tested, a = _over_tasks(analysis, tests), analysis.headline
    seeds, signs = analysis.seeds[a], analysis.signs[a]
    if seeds is not None and seeds.attainable and seeds.tasks == 1:
        tested = _over_seeds(analysis, seeds, seeds.pairs[0].task)
    mine = [] if tested is None else [pair for pair in tested.pairs if {*pair[:2]} & {*leaders}]
    if tested is None or not mine:
        return "Significance was not tested: no pair of optimizers is complete on a task."
    early = [name for name in analysis.start_only(analysis.counts[a]) if name not in leaders]
    met = [name for name in early if any(name in pair[:2] for pair in mine)]
    mine = [pair for pair in mine if not {*pair[:2]} & {*early}]
    uncounted = f"Not counted, because they had no model by then: {join_names(met)}." if met else ""
    if not mine:
        return uncounted
    if not tested.attainable:
        n = tests.n if signs is None else signs.n
        why = f"Significance cannot be tested: {impossible_with(analysis, n, len(tested.pairs))}"
        if seeds is None:
            return f"{why}."
        if not seeds.attainable:
            return f"{why}; {impossible_over_seeds(seeds)}."
        return f"{why}. {_on_each_task(analysis, seeds, leaders)}"
    against: dict[str, list[tuple[bool, float]]] = {}
    within: list[tuple[str, str, float]] = []
    for better, worse, p_holm in mine:
        if better in leaders and worse in leaders:
            within.append((better, worse, p_holm))
        elif better in leaders:
            against.setdefault(worse, []).append((p_holm <= ALPHA, p_holm))
        else:
            against.setdefault(better, []).append((False, p_holm))
    apart = [f"{better} is significantly better than {worse}" for better, worse, p in within if p <= ALPHA]
    among = f"Although their mean ranks are equal, {join_names(apart)}" if apart else ""
    if not against:
        p = p_value(min(p for *_, p in within))
        none = f"No difference between them is significant (smallest p {p}; {tested.method})."
        return " ".join(filter(None, (f"{among} ({tested.method})." if among else none, uncounted)))
    return " ".join(filter(None, (_lead(leaders, against, tested.method), among and f"{among}.", uncounted)))


def _on_each_task(analysis: Analysis, seeds: Seeds, leaders: list[str]) -> str:
    """What the tests over the seeds of each task say of the leaders."""
    counts: dict[tuple[str, str], list[int]] = {}
    for task in dict.fromkeys(pair.task for pair in seeds.pairs):
        for better, worse, p in _over_seeds(analysis, seeds, task).pairs:
            for one, other, place in ((better, worse, 0), (worse, better, 1)):
                if one in leaders and other not in leaders:
                    counts.setdefault((one, other), [0, 0])[place] += p <= ALPHA
    words = [f"{one} is better than {other} on {up} and worse on {down}" for (one, other), (up, down) in counts.items()]
    if not words:
        return ""
    return (
        f"Over the seeds of each of the {seeds.tasks} tasks, with significance: {'; '.join(words)} (Wilcoxon's "
        f"signed-rank test, Holm over {plural(len(seeds.pairs), 'comparison')})."
    )


def _lead(leaders: list[str], against: dict[str, list[tuple[bool, float]]], method: str) -> str:
    """The others over which the lead is significant; for each, the verdict and p value of every leader."""
    beaten = [other for other, found in against.items() if all(ahead for ahead, _ in found)]
    level = [other for other in against if other not in beaten]
    several = len(leaders) > 1
    if not beaten:
        p = p_value(min(p for found in against.values() for _, p in found))
        lead = f"The lead that {join_names(leaders)} share" if several else f"The lead of {leaders[0]}"
        return f"{lead} is not significant over any other optimizer (smallest p {p}; {method})."
    worst = max(p for other in beaten for _, p in against[other])
    p = "below 0.0001" if worst < 1e-4 else f"at most {p_value(worst)}"
    words = f"{join_names(leaders)} {'are each' if several else 'is'} significantly better than {join_names(beaten)}"
    return f"{words} (p {p}; {method})" + (f", but not than {join_names(level)}." if level else ".")


def _sides(pair: Pair | SeedPair, everyone: tuple[str, ...]) -> tuple[str, str]:
    """The one ahead in the test, and the other."""
    a, b = everyone[pair.a], everyone[pair.b]
    return (a, b) if pair.test.effect > 0 else (b, a)


def _by_wins(pair: SignPair, everyone: tuple[str, ...]) -> tuple[str, str, float]:
    a, b = everyone[pair.a], everyone[pair.b]
    return (a, b, pair.p_holm) if pair.wins > pair.losses else (b, a, pair.p_holm)


def _values(analysis: Analysis, found: Aggregate, names: list[str], order: Sequence[int]) -> str:
    """The margin where no task has reference values."""
    if len(found.selection.tasks) > 1:
        return "No task has reference values, so there is no mean regret: the values on each task are in a table."
    t = int(found.selection.tasks[0])
    mean, sd, n = per_task(found.seed_scores)
    half = t_interval(mean, sd, n)[:, 0]
    shown = [plus_minus(float(values(analysis.grid, t, mean[i])[0]), float(half[i])) for i in order]
    top, second = names[order[0]], names[order[1]]
    return (
        f"On {analysis.grid.tasks[t]}, the mean best value of {top} is {shown[0]}, that of {second} {shown[1]} "
        "(Student's 95% intervals over seeds); without reference values there is no regret."
    )

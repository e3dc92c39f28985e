"""All numbers of a report: computed once from the results, then only formatted."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.feasibility import Feasibility, feasibility
from optibench_reports.data.results import IGD_PLUS, ReportError, Results
from optibench_reports.data.score_array import Floats, Ints, ScoreArray, read
from optibench_reports.stats.comparison import Aggregate, Comparison, aggregate, compare
from optibench_reports.stats.cost import Costs, costs
from optibench_reports.stats.metrics import Metric, MetricResult, measure
from optibench_reports.stats.without_regret import Seeds, Signs, seed_tests, sign_tests

SHOWN_COUNTS = (5, 10, 20, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)

BAYES_DRAWS = 10_000
"""The posterior probabilities then have a standard error of at most 0.005."""


@dataclass(frozen=True)
class Seconds:
    """Seconds of suggestions and of evaluations, per optimizer, (O,).

    ``mean``, ``median`` and ``p95`` are per suggestion of the search phase (the shared initial design takes no time);
    the totals are over all trials. NaN where an optimizer made no suggestion, or none whose seconds are known.
    """

    suggestions: Ints
    mean: Floats
    median: Floats
    p95: Floats
    total_ask: Floats
    total_evaluate: Floats
    total_cost: Floats


@dataclass(frozen=True)
class Analysis:
    """The numbers of a report.

    Attributes:
        grid: The encoded results.
        counts: Trial counts, ascending, A of them.
        scores: (O, T, S, A), see :meth:`optibench_reports.data.score_array.ScoreArray.at`.
        overall: Aggregates over all tasks; ``None`` where no task is complete.
        comparisons: Tests that go with ``overall``.
        signs: Sign tests over all tasks of ``overall``, where some have no reference values.
        seeds: Tests over the seeds of each task of ``overall``, where no test over tasks can be significant.
        families: The same aggregates inside each family of tasks.
        shared: The largest number of trials that every optimizer has on every task that it ran on.
        headline: Index of the count in the summary: among those up to ``shared`` (or among all, if there is none), the
            one with the most optimizers compared, then the most trials.
        seconds: Latency.
        own_initial: Optimizers with their own initial design instead of the shared one.
        draws: Bootstrap replicates.
        seed: Seed of the bootstrap.
        control: The optimizer everyone is tested against; ``None`` for all pairs.
        provenance: As given.
        references: Reference values of each task that has some.
        random: The median value of random configurations, of each task without a reference where it was measured.
        costs: The results against cost, if trials cost differently.
        metrics: The requested metrics, at the incumbent.
        several: Tasks with several objectives.
        fronted: Those of them whose frozen front has points.
        igd_plus: The IGD+ on these, and NaN on others, (O, T, S, A); ``None`` if there is none.
        feasibility: Feasible trials; ``None`` if no task has constraints.
    """

    grid: ScoreArray
    counts: tuple[int, ...]
    scores: Floats
    overall: tuple[Aggregate | None, ...]
    comparisons: tuple[Comparison | None, ...]
    signs: tuple[Signs | None, ...]
    seeds: tuple[Seeds | None, ...]
    families: Mapping[str, tuple[Aggregate | None, ...]]
    shared: int
    headline: int
    seconds: Seconds
    own_initial: tuple[str, ...]
    draws: int
    seed: int
    control: int | None
    provenance: Mapping[str, Any]
    references: Mapping[str, Mapping[str, Any]]
    random: Mapping[str, float]
    costs: tuple[Costs, ...]
    metrics: tuple[MetricResult, ...]
    several: tuple[str, ...]
    fronted: tuple[str, ...]
    igd_plus: Floats | None
    feasibility: Feasibility | None

    @property
    def first_model_trials(self) -> dict[str, int]:
        """Of each optimizer with a model or a second generation, the trial from which it suggests, counted from 1."""
        known = self.provenance.get("first_model_trials") or {}
        return {name: known[name] for name in self.grid.optimizers if name in known}

    def start_only(self, count: int) -> list[str]:
        """The optimizers whose first so many trials come before their model."""
        return [name for name, first in self.first_model_trials.items() if first > count]


def default_counts(longest: int, initial: int = 0) -> tuple[int, ...]:
    """The longest cell's trial count, and at most two round ones below it that go beyond the initial design."""
    return (*[count for count in SHOWN_COUNTS if initial < count < longest][-2:], longest)


def analyse(
    results: Results,
    *,
    at: Sequence[int] | None,
    draws: int,
    seed: int,
    control: str | None = None,
    metrics: Sequence[Metric] = (),
) -> Analysis:
    """Compute everything.

    Raises:
        ReportError: Unusable trial counts, an unknown control, an inconsistent table, or a metric without numbers or
            direction.
    """
    grid = read(results)
    initial = results.trials.loc[results.trials["phase"] == "initial", "trial"]
    shared = shared_trials(grid)
    counts = _counts(at, grid, shared, 0 if initial.empty else int(initial.max()) + 1)
    if draws < 100:
        raise ReportError(f"{draws} bootstrap draws give no interval: use at least 100, better 10000.")
    if control is not None and control not in grid.optimizers:
        raise ReportError(f"The control {control!r} is not among the optimizers: {', '.join(grid.optimizers)}.")
    against = None if control is None else grid.optimizers.index(control)
    scores = grid.at(counts)
    overall = aggregate(grid, scores, counts, grid.counted(), draws=draws, seed=seed)
    # A single family equals the whole: no second bootstrap of the same numbers.
    families = {
        name: overall
        if len(grid.counted_families) == 1
        else aggregate(grid, scores, counts, grid.counted(name), draws=draws, seed=seed)
        for name in grid.counted_families
    }
    size = [
        (count <= shared, 0 if found is None else len(found.selection.optimizers), count)
        for found, count in zip(overall, counts, strict=True)
    ]
    comparisons = tuple(
        None if found is None else compare(found, against, draws=min(draws, BAYES_DRAWS), seed=seed)
        for found in overall
    )
    signs = tuple(None if found is None else sign_tests(found, against) for found in overall)
    several = tuple(name for name in grid.tasks if results.tasks[name].get("objectives"))
    fronted = tuple(name for name in several if results.tasks[name].get("front"))
    return Analysis(
        grid=grid,
        counts=counts,
        scores=scores,
        overall=tuple(overall),
        comparisons=comparisons,
        signs=signs,
        seeds=tuple(
            None if found is None or tests is None else seed_tests(found, tests, signed, against)
            for found, tests, signed in zip(overall, comparisons, signs, strict=True)
        ),
        families={name: tuple(found) for name, found in families.items()},
        shared=shared,
        headline=size.index(max(size)),
        seconds=_seconds(results.trials, grid.optimizers),
        own_initial=_own_initial(results.planned),
        draws=draws,
        seed=seed,
        control=against,
        provenance=results.provenance,
        costs=costs(
            grid, _budgets(results.planned, grid.tasks), control=against, draws=min(draws, BAYES_DRAWS), seed=seed
        ),
        metrics=tuple(
            measure(results, grid, metric, counts, control=against, draws=draws, seed=seed)
            for metric in dict.fromkeys(metrics)
        ),
        references={name: task["reference"] for name, task in results.tasks.items() if task.get("reference")},
        random={
            name: float(task["random"]["f_ref"])
            for name, task in results.tasks.items()
            if task.get("random") and not task.get("reference")
        },
        several=several,
        fronted=fronted,
        igd_plus=grid.dense(results.trials[IGD_PLUS].to_numpy(float)[grid.order], counts)
        if fronted and IGD_PLUS in results.trials.columns
        else None,
        feasibility=feasibility(results, grid),
    )


def shared_trials(grid: ScoreArray) -> int:
    """The largest trial count that every optimizer reaches on every task that it ran on, by its plan.

    If cost limits the number of trials, the one that half of the cells of every optimizer reach.
    """
    if grid.costly:
        lengths = [part[part > 0] for part in grid.finished.reshape(len(grid.optimizers), -1)]
        return min(int(np.median(part)) for part in lengths if len(part))
    most = np.where(grid.finished > 0, grid.planned, 0).max(axis=2)
    return min(int(most[most > 0].min()), grid.longest)


def _budgets(planned: pd.DataFrame, tasks: Sequence[str]) -> dict[str, Floats]:
    """By unit, the budget of each task, (T,); NaN where it has none in that unit."""
    if "unit" not in planned.columns:
        return {}
    found = {}
    for unit, part in planned.groupby("unit"):
        least = part.groupby("task", observed=True)["budget"].min()
        found[str(unit)] = np.array([least.get(task, np.nan) for task in tasks], dtype=float)
    return found


def _counts(at: Sequence[int] | None, grid: ScoreArray, shared: int, initial: int) -> tuple[int, ...]:
    longest = grid.longest
    if at is None:
        return tuple(sorted({*default_counts(shared if grid.ends else longest, initial), shared}))
    try:
        counts = tuple(sorted({operator.index(count) for count in at}))
    except TypeError:
        raise ReportError(f"Trial counts are a list of whole numbers, such as [25, 50], not {at!r}.") from None
    if not counts:
        raise ReportError(
            "No trial count was given to report at: name at least one, or leave the choice to the report."
        )
    if counts[0] < 1 or counts[-1] > longest:
        wrong = counts[0] if counts[0] < 1 else counts[-1]
        raise ReportError(f"Cannot report after {wrong} trials: the cells have between 1 and {longest}.")
    return counts


def _seconds(trials: pd.DataFrame, optimizers: tuple[str, ...]) -> Seconds:
    code = pd.Categorical(trials["optimizer"].astype(str), categories=list(optimizers)).codes.astype(np.int64)
    ask = trials["ask_seconds"].to_numpy(float)
    searching = (trials["phase"] == "search").to_numpy() & np.isfinite(ask)
    order = np.argsort(code[searching], kind="stable")
    counts = np.bincount(code[searching], minlength=len(optimizers))
    parts = np.split(ask[searching][order], np.cumsum(counts)[:-1])

    def each(statistic: Any) -> Floats:
        return np.array([statistic(part) if len(part) else np.nan for part in parts])

    def total(column: str) -> Floats:
        seconds = trials[column].to_numpy(float)
        known = np.isfinite(seconds)
        sums = np.bincount(code[known], weights=seconds[known], minlength=len(optimizers))
        return np.where(np.bincount(code[known], minlength=len(optimizers)) > 0, sums, np.nan)

    return Seconds(
        suggestions=counts,
        mean=each(np.mean),
        median=each(np.median),
        p95=each(lambda part: np.quantile(part, 0.95)),
        total_ask=total("ask_seconds"),
        total_evaluate=total("evaluate_seconds"),
        total_cost=total("cost_seconds"),
    )


def _own_initial(planned: pd.DataFrame) -> tuple[str, ...]:
    if "initial" not in planned.columns:
        return ()
    return tuple(sorted(set(map(str, planned.loc[planned["initial"] == "own", "optimizer"]))))

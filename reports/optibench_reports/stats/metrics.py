"""A metric that evaluations returned beside the objective, at the incumbent that the objective chose.

It must never choose anything: the trial is the objective's incumbent, however much better the metric of another one is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optibench_reports.data.results import METRIC, ReportError, Results
from optibench_reports.data.score_array import Floats, ScoreArray
from optibench_reports.format.text import join_names
from optibench_reports.stats.comparison import Aggregate, Comparison, aggregate, compare

DIRECTIONS = ("minimize", "maximize")


@dataclass(frozen=True)
class Metric:
    """A metric to report; its direction is what the tasks declare where it is ``None``."""

    name: str
    direction: str | None = None


def parse(text: str) -> Metric:
    """Read ``test_accuracy`` or ``test_accuracy:maximize``."""
    name, _, direction = text.rpartition(":")
    return Metric(name, direction) if name and direction in DIRECTIONS else Metric(text)


@dataclass(frozen=True)
class MetricResult:
    """A metric's numbers.

    Attributes:
        name: The metric.
        direction: Whether it is to be minimized or maximized.
        sign: What makes lower ones better, 1 or -1.
        scores: In its own unit, (O, T, S, A); NaN where a cell is missing or its incumbent has none.
        overall, families: Aggregates of ``sign * scores`` over the tasks that have it, as those of the regret.
        comparisons: Tests that go with ``overall``; a tie is exact.
        without: Tasks of which no trial has it.
        lacking: Cells of the others that reach a trial count and have no number there, (A,).
    """

    name: str
    direction: str
    sign: float
    scores: Floats
    overall: tuple[Aggregate | None, ...]
    comparisons: tuple[Comparison | None, ...]
    families: Mapping[str, tuple[Aggregate | None, ...]]
    without: tuple[str, ...]
    lacking: tuple[int, ...]


def at_incumbents(results: Results, grid: ScoreArray, name: str) -> Floats:
    """The metric of the trial that is the incumbent after each row of the grid, (R,); NaN where that is none."""
    values = results.trials[METRIC + name].to_numpy(float)[grid.order]
    incumbent = results.trials["incumbent"].to_numpy(float)[grid.order]
    first = np.diff(grid.cell, prepend=-1) != 0
    before = np.where(first, np.nan, np.concatenate([[np.nan], incumbent[:-1]]))
    better = ~np.isnan(incumbent) & (np.isnan(before) | (incumbent != before))
    since = np.maximum.accumulate(np.where(better | first, np.arange(len(values)), 0))
    return np.where(np.isnan(incumbent), np.nan, values[since])


def measure(
    results: Results,
    grid: ScoreArray,
    metric: Metric,
    counts: Sequence[int],
    *,
    control: int | None,
    draws: int,
    seed: int,
) -> MetricResult:
    """Everything that is said of one metric.

    Raises:
        ReportError: No trial has it, or its direction is unknown or contradictory.
    """
    if METRIC + metric.name not in results.trials.columns:
        raise ReportError(f"The metric {metric.name!r} was not read with the trials: load the results with it.")
    shown = at_incumbents(results, grid, metric.name)
    task = grid.cell // grid.seeds.shape[1] % len(grid.tasks)
    known = np.isfinite(results.trials[METRIC + metric.name].to_numpy(float)[grid.order])
    has = np.bincount(task[known], minlength=len(grid.tasks)) > 0
    if not has.any():
        raise ReportError(
            f"No trial has a metric {metric.name!r}: leave it out, or name one that the evaluations give."
        )
    direction = _direction(results, [grid.tasks[t] for t in np.flatnonzero(has)], metric)
    sign = 1.0 if direction == "minimize" else -1.0
    scores = grid.dense(shown, counts)
    in_unit = replace(grid, has_regret=np.ones(len(grid.tasks), dtype=bool))
    counted = np.intersect1d(np.flatnonzero(has), grid.counted())
    counted = counted if len(counted) else np.flatnonzero(has)
    overall = aggregate(in_unit, sign * scores, counts, counted, draws=draws, seed=seed)
    names = np.array(grid.families)[counted]
    families = {
        name: tuple(aggregate(in_unit, sign * scores, counts, counted[names == name], draws=draws, seed=seed))
        for name in sorted(set(names))
    }
    reached = ~np.isnan(grid.at(counts)[:, has])
    return MetricResult(
        name=metric.name,
        direction=direction,
        sign=sign,
        scores=scores,
        overall=tuple(overall),
        comparisons=tuple(
            None if found is None else compare(found, control, draws=100, seed=seed, tie=0.0) for found in overall
        ),
        families=families,
        without=tuple(grid.tasks[t] for t in np.flatnonzero(~has)),
        lacking=tuple(int(n) for n in (reached & np.isnan(scores[:, has])).sum(axis=(0, 1, 2))),
    )


def _direction(results: Results, tasks: Sequence[str], metric: Metric) -> str:
    declared: dict[str | None, list[str]] = {}
    for task in tasks:
        found = (results.tasks[task].get("metrics") or {}).get(metric.name)
        declared.setdefault(found if found in DIRECTIONS else None, []).append(task)
    undeclared = declared.pop(None, [])
    if len(declared) > 1:
        raise ReportError(
            f"The metric {metric.name!r} is minimized on {join_names(declared['minimize'], 3)} and maximized on "
            f"{join_names(declared['maximize'], 3)}: report these tasks apart."
        )
    only = next(iter(declared), None)
    if metric.direction is None and (only is None or undeclared):
        raise ReportError(
            f"No direction of the metric {metric.name!r} is declared by {join_names(undeclared, 3)}: say "
            f"--metric {metric.name}:minimize or --metric {metric.name}:maximize."
        )
    if metric.direction is not None and only is not None and only != metric.direction:
        raise ReportError(
            f"The metric {metric.name!r} is to be {only}d, as {join_names(declared[only], 3)} declare: leave out "
            f"':{metric.direction}'."
        )
    direction = metric.direction or only
    assert direction is not None
    return direction

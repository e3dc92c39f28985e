"""Feasible trials: their share and the first one, and that reports without constraints say nothing of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optibench_reports
from optibench_reports.data.feasibility import Feasibility, feasibility
from optibench_reports.data.results import Results
from optibench_reports.data.score_array import read
from optibench_reports.figures.feasible_regret import feasible_figure, shown_tasks
from optibench_reports.figures.style import styles
from optibench_reports.stats.analysis import analyse
from optibench_reports.tables.feasibility import feasibility_tables
from optibench_reports.text.summary import CONSTRAINTS, HYPERVOLUME, POLICY, policy

Make = Callable[..., Results]
TASKS = ("synthetic/sphere-5d", "synthetic/levy-5d")


@pytest.fixture
def results(make: Make) -> Results:
    """Two optimizers; the first task has a constraint that random breaks on its first three trials, tpe on all."""
    found = make(("random", "tpe"), TASKS, 2, 6, failures=0.0, missing=[("random", TASKS[0], 1)])
    trials = found.trials.astype({"state": str})
    constrained = trials["task"] == TASKS[0]
    broken = constrained & ((trials["optimizer"] == "tpe") | (trials["trial"] < 3))
    trials.loc[broken, "state"] = "infeasible"
    trials.loc[constrained & (trials["optimizer"] == "random") & (trials["trial"] == 0), "state"] = "failed"
    trials.loc[trials["state"] != "ok", "value"] = np.nan
    tasks = {**found.tasks, TASKS[0]: {**found.tasks[TASKS[0]], "constraints": ["size"]}}
    return replace(found, trials=trials.sample(frac=1, random_state=0), tasks=tasks)


def test_shares_and_first_feasible_trials(results: Results) -> None:
    grid = read(results)
    found = feasibility(results, grid)
    assert found is not None
    assert [grid.tasks[t] for t in found.tasks] == [TASKS[0]]
    np.testing.assert_array_equal(found.first[:, 0], [[4.0, np.nan], [np.inf, np.inf]])
    np.testing.assert_array_equal(found.share[:, 0], [[0.6, np.nan], [0.0, 0.0]])  # a failed trial is not evaluated


def test_low_fidelities_are_neither_feasible_nor_infeasible(results: Results) -> None:
    """Random's first feasible trial and tpe's last two are evaluations in part."""
    trials, found = results.trials, results.trials["trial"]
    low = np.where(trials["optimizer"] == "random", found == 3, found >= 4)
    costly = replace(results, trials=trials.assign(cost_fidelity=np.where(low, 0.25, 1.0)))
    counts = feasibility(costly, read(costly))
    assert counts is not None
    np.testing.assert_array_equal(counts.first[:, 0], [[5.0, np.nan], [np.inf, np.inf]])
    np.testing.assert_array_equal(counts.share[:, 0], [[0.5, np.nan], [0.0, 0.0]])
    none = replace(results, trials=trials.assign(cost_fidelity=0.5))
    counts = feasibility(none, read(none))
    assert counts is not None
    assert np.isnan(counts.share).all()


def test_the_table_has_a_row_for_each_optimizer(results: Results) -> None:
    (table,) = feasibility_tables(analyse(results, at=None, draws=100, seed=0))
    data = table.data.set_index("optimizer")
    columns = ["seeds", "share_feasible", "median_first_feasible", "all_feasible", "never_feasible"]
    assert data.loc["random", columns].tolist() == [1, 0.6, 4.0, 4.0, 0]
    assert data.loc["tpe", "never_feasible"] == 2
    assert [[cell.text for cell in row][-4:] for row in table.rows if row[1].text == "tpe"] == [
        ["0%", "never", "never", "2"]
    ]


def test_the_slowest_seed_decides_from_when_all_are_feasible() -> None:
    first = np.array([[[2.0, np.nan, 5.0], [3.0, np.inf, 1.0]], [[np.nan] * 3, [1.0, 1.0, 1.0]]])
    found = Feasibility(np.array([0, 1]), np.zeros_like(first), first).all_feasible
    np.testing.assert_array_equal(found, [[5.0, np.inf], [np.nan, 1.0]])


def test_a_curve_has_markers_from_where_every_seed_has_a_feasible_trial(results: Results) -> None:
    analysis = analyse(results, at=None, draws=100, seed=0)
    figure = feasible_figure(analysis, ("random", "tpe"), styles(("random", "tpe")))
    (panel,) = figure.axes
    assert panel.get_title() == TASKS[0]
    marked = [line for line in panel.lines if line.get_marker() not in ("None", None)]
    (faint,) = (
        line for line in panel.lines if line not in marked and line.get_color() == styles(("random",))["random"].colour
    )
    assert [list(line.get_xdata()) for line in marked] == [[4, 5, 6]]
    cell = results.trials[(results.trials["task"] == TASKS[0]) & (results.trials["optimizer"] == "random")]
    expected = cell.sort_values("trial")["regret"].to_numpy()
    np.testing.assert_allclose(np.asarray(faint.get_ydata(), dtype=float), expected)
    np.testing.assert_allclose(np.asarray(marked[0].get_ydata(), dtype=float), expected[3:])


def test_the_report_says_what_it_measured_and_why(results: Results, make: Make, tmp_path: Path) -> None:
    plain = analyse(make(("random", "tpe"), TASKS, 2, 6), at=None, draws=100, seed=0)
    assert policy(plain) == POLICY
    assert feasibility_tables(plain) == []
    assert not len(shown_tasks(plain))
    constrained = analyse(results, at=None, draws=100, seed=0)
    assert [item for item in policy(constrained) if item not in POLICY] == [CONSTRAINTS]
    tasks = {**results.tasks, TASKS[1]: {**results.tasks[TASKS[1]], "objectives": {"a": "minimize", "b": "maximize"}}}
    both = replace(results, tasks=tasks)
    assert [item for item in policy(analyse(both, at=None, draws=100, seed=0)) if item not in POLICY] == [
        HYPERVOLUME,
        CONSTRAINTS,
    ]
    report = optibench_reports.write(both, tmp_path / "out", bootstrap_draws=100)
    text = report.path.read_text()
    assert "Feasible trials on tasks with constraints" in text
    assert "figures/feasible_regret.png" in text
    assert HYPERVOLUME.split(":")[0] in " ".join(text.split())
    assert pd.read_csv(tmp_path / "out" / "tables" / "feasibility.csv")["task"].unique().tolist() == [TASKS[0]]

"""Unusable input gives one sentence that says what, where and how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import optibench_reports
from optibench_reports.data.results import ReportError, Results

Make = Callable[..., Results]


@pytest.fixture(scope="module")
def small(make: Make) -> Results:
    return make(("random", "tpe"), ("a/x", "b/y"), seeds=2, trials=6)


def edit(results: Results, rows: Any, column: str, value: Any) -> Results:
    trials = results.trials.copy()
    trials[column] = trials[column].astype(object if isinstance(value, str) else trials[column].dtype)
    trials.loc[rows, column] = value
    return replace(results, trials=trials)


def test_no_trials(small: Results) -> None:
    with pytest.raises(ReportError, match="no finished trial"):
        replace(small, trials=small.trials.iloc[:0])


@pytest.mark.parametrize("column", ["regret", "optimizer", "ask_seconds"])
def test_a_missing_column_is_named(small: Results, column: str) -> None:
    with pytest.raises(ReportError, match=column):
        replace(small, trials=small.trials.drop(columns=column))


def test_a_plan_of_another_kind(small: Results) -> None:
    with pytest.raises(ReportError, match=r"planned cells lacks the column.* n_trials"):
        replace(small, planned=small.planned.drop(columns="n_trials"))


def test_an_unknown_state(small: Results) -> None:
    with pytest.raises(ReportError, match="'crashed'"):
        edit(small, 3, "state", "crashed")


def test_an_ok_trial_without_a_value(make: Make) -> None:
    results = make(("random",), ("a/x",), seeds=1, trials=4, failures=0.0)
    with pytest.raises(ReportError, match="random on a/x, seed 0, trial 2"):
        edit(results, 2, "value", np.nan)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_regret_that_is_no_number_where_there_is_a_reference(small: Results, value: float) -> None:
    with pytest.raises(ReportError, match="no finite regret, first random on a/x, seed 0, trial 5"):
        edit(small, 5, "regret", value)


def test_text_where_numbers_belong(small: Results) -> None:
    with pytest.raises(ReportError, match="'regret' of the trials holds"):
        replace(small, trials=small.trials.astype({"regret": str}))


def test_an_empty_name(small: Results) -> None:
    with pytest.raises(ReportError, match="'task' of the trials is empty in 1 row"):
        replace(small, trials=small.trials.assign(task=[None, *small.trials["task"].astype(str)[1:]]))


def test_a_task_that_tasks_json_does_not_know(small: Results) -> None:
    with pytest.raises(ReportError, match="'b/y' has trials but no entry"):
        replace(small, tasks={"a/x": small.tasks["a/x"]})


def test_a_task_without_direction(small: Results) -> None:
    tasks: Mapping[str, Mapping[str, Any]] = {**small.tasks, "a/x": {"reference": None}}
    with pytest.raises(ReportError, match="'a/x' has no direction"):
        replace(small, tasks=tasks)


def test_a_repeated_trial(small: Results, tmp_path: Path) -> None:
    twice = replace(small, trials=pd.concat([small.trials, small.trials.iloc[[8]]], ignore_index=True))
    with pytest.raises(ReportError, match="seed 1 has trial 2 more than once"):
        optibench_reports.write(twice, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_gap_in_a_cell(small: Results, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="random on a/x, seed 0 lacks trial 3"):
        optibench_reports.write(replace(small, trials=small.trials.drop(index=3)), tmp_path / "out")


@pytest.mark.parametrize("at", [[0], [-3, 5], [7], [5, 100]])
def test_trial_counts_that_no_cell_has(small: Results, tmp_path: Path, at: list[int]) -> None:
    with pytest.raises(ReportError, match="between 1 and 6"):
        optibench_reports.write(small, tmp_path / "out", at=at)


def test_no_trial_count(small: Results, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no trial count"):
        optibench_reports.write(small, tmp_path / "out", at=[])


def test_too_few_draws(small: Results, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="bootstrap draws"):
        optibench_reports.write(small, tmp_path / "out", bootstrap_draws=1)


def test_an_unknown_control(small: Results, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="'gp' is not among the optimizers: random, tpe"):
        optibench_reports.write(small, tmp_path / "out", control="gp")


def test_a_file_in_the_way(small: Results, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ReportError, match="it is a file"):
        optibench_reports.write(small, tmp_path / "out")
    with pytest.raises(ReportError, match="cannot write the report"):
        optibench_reports.write(small, tmp_path / "out" / "below")
    assert (tmp_path / "out").read_text() == "mine"

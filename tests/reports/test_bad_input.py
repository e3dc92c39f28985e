"""Unusable input gives one sentence: what is wrong, where, and how to fix it."""

from __future__ import annotations

from collections.abc import Callable
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


def one_name_empty(results: Results) -> Results:
    return replace(results, trials=results.trials.assign(task=[None, *results.trials["task"].astype(str)[1:]]))


UNUSABLE: dict[str, tuple[Callable[[Results], Results], str]] = {
    "no trials": (lambda r: replace(r, trials=r.trials.iloc[:0]), "no finished trial"),
    **{
        f"no {column}": (lambda r, column=column: replace(r, trials=r.trials.drop(columns=column)), column)
        for column in ("regret", "optimizer", "ask_seconds")
    },
    "no length": (
        lambda r: replace(r, planned=r.planned.drop(columns="n_trials")),
        r"planned cells lacks the column.* n_trials",
    ),
    "a state": (lambda r: edit(r, 3, "state", "crashed"), "'crashed'"),
    "an ok trial without a value": (
        lambda r: edit(edit(r, 2, "state", "ok"), 2, "value", np.nan),
        "random on a/x, seed 0, trial 2",
    ),
    **{
        f"a regret of {value}": (
            lambda r, value=value: edit(r, 5, "regret", value),
            "no finite regret, first random on a/x, seed 0, trial 5",
        )
        for value in (np.nan, np.inf)
    },
    "text": (lambda r: replace(r, trials=r.trials.astype({"regret": str})), "'regret' of the trials holds"),
    "an empty name": (one_name_empty, "'task' of the trials is empty in 1 row"),
    "another task": (lambda r: replace(r, tasks={"a/x": r.tasks["a/x"]}), "'b/y' has trials but no entry"),
    "no direction": (
        lambda r: replace(r, tasks={**r.tasks, "a/x": {"reference": None}}),
        "'a/x' has no direction",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_results_that_no_report_can_be_made_of_are_refused(small: Results, case: str) -> None:
    change, words = UNUSABLE[case]
    with pytest.raises(ReportError, match=words):
        change(small)


def test_a_repeated_trial(small: Results, tmp_path: Path) -> None:
    twice = replace(small, trials=pd.concat([small.trials, small.trials.iloc[[8]]], ignore_index=True))
    with pytest.raises(ReportError, match="seed 1 has trial 2 more than once"):
        optibench_reports.write(twice, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_gap_in_a_cell(small: Results, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="random on a/x, seed 0 lacks trial 3"):
        optibench_reports.write(replace(small, trials=small.trials.drop(index=3)), tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        *(({"at": at}, "between 1 and 6") for at in ([0], [-3, 5], [7], [5, 100])),
        ({"at": []}, "No trial count"),
        ({"bootstrap_draws": 1}, "bootstrap draws"),
        ({"control": "gp"}, "'gp' is not among the optimizers: random, tpe"),
    ],
)
def test_settings_that_no_report_can_have_are_refused(
    small: Results, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ReportError, match=words):
        optibench_reports.write(small, tmp_path / "out", **settings)


def test_a_file_in_the_way(small: Results, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ReportError, match="it is a file"):
        optibench_reports.write(small, tmp_path / "out")
    with pytest.raises(ReportError, match="Cannot write the report"):
        optibench_reports.write(small, tmp_path / "out" / "below")
    assert (tmp_path / "out").read_text() == "mine"

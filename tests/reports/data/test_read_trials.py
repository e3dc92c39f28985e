"""Trials of other frameworks: read, or refused with one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optibench_reports
from optibench_reports.data import read_trials
from optibench_reports.data.results import Results
from optibench_reports.stats.analysis import analyse
from optibench_reports.tables.convergence import convergence_table
from optibench_reports.text.summary import cautions

Make = Callable[..., Results]
REFERENCE = {"f_best": 1.0, "f_ref": 3.0, "f_worst": 9.0, "source": "made up", "version": 1}
TASKS: dict[str, dict[str, Any]] = {
    "a/min": {"direction": "minimize", "reference": REFERENCE},
    "a/max": {"direction": "maximize", "reference": {**REFERENCE, "f_best": 9.0, "f_ref": 5.0, "f_worst": 1.0}},
    "a/free": {"direction": "minimize", "reference": None},
}
GOOD = """optimizer,task,seed,trial,value
theirs,a/min,0,1,4.0
theirs,a/min,0,0,
theirs,a/min,0,2,6.0
theirs,a/max,0,0,3.0
theirs,a/max,0,1,8.0
theirs,a/free,0,0,2.5
"""


def stored(folder: Path, text: str) -> Path:
    path = folder / "trials.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_incumbents_and_regrets_are_computed_from_the_frozen_references(tmp_path: Path) -> None:
    results = read_trials.load(stored(tmp_path, GOOD), TASKS)
    rows = results.trials.set_index(["task", "trial"])
    assert rows.loc[("a/min", 0), "state"] == "failed"
    np.testing.assert_allclose(rows.loc["a/min"]["regret"], [4.0, 1.5, 1.5])  # f_worst, then (4 - 1) / (3 - 1)
    np.testing.assert_allclose(rows.loc["a/min"]["incumbent"], [np.nan, 4.0, 4.0])
    np.testing.assert_allclose(rows.loc["a/max"]["regret"], [1.5, 0.25])
    assert rows.loc["a/free"]["regret"].isna().all()
    assert set(results.planned["initial"]) == {"own"}
    assert sorted(results.planned["n_trials"]) == [1, 2, 3]


@pytest.mark.usefixtures("quick_figures")
def test_imported_trials_enter_the_same_statistics(make: Make, tmp_path: Path) -> None:
    own = make(("random", "tpe"), seeds=3, trials=12)
    path = tmp_path / "trials.csv"
    mine = own.trials[own.trials["optimizer"] == "tpe"]
    mine[["optimizer", "task", "seed", "trial", "value", "state"]].to_csv(path, index=False)
    both = optibench_reports.merge([own, read_trials.load(path, own.tasks, suffix=" (theirs)")])
    analysis = analyse(both, at=None, draws=100, seed=0)
    tests = analysis.comparisons[-1]
    assert tests is not None
    ties = {(pair.wins, pair.ties, pair.losses) for pair in tests.pairs if 0 not in (pair.a, pair.b)}
    assert ties == {(0, 12, 0)}  # the same runs under two names
    assert any("tpe (theirs)" in note and "their own initial design" in note for note in cautions(analysis))
    # The other optimizer's seconds are unknown: a dash, not 0.
    row = next(row for row in convergence_table(analysis).rows if row[0].text == "tpe (theirs)")
    assert row[3].text == "—"
    assert np.isnan(analysis.seconds.total_evaluate[analysis.grid.optimizers.index("tpe (theirs)")])
    assert "tpe (theirs)" in optibench_reports.write(both, tmp_path / "out", bootstrap_draws=100).summary


def test_the_value_of_a_failed_trial_does_not_count(tmp_path: Path) -> None:
    text = "optimizer,task,seed,trial,value,state\nx,a/min,0,0,1.0,timeout\nx,a/min,0,1,2.0,ok\n"
    results = read_trials.load(stored(tmp_path, text), TASKS)
    np.testing.assert_allclose(results.trials["regret"], [4.0, 0.5])


HEADER = "optimizer,task,seed,trial,value,state,ask_seconds\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: its first line must name the columns"),
        (HEADER, "has no trial"),
        ("optimizer,task,trial,value\nx,a/min,0,1\n", r"lacks the column\(s\) seed"),
        (HEADER + "x,a/min,0,0,1,ok,\n,a/min,0,1,1,ok,\n", "no optimizer in data row 2"),
        (HEADER + "x,a/min,0.5,0,1,ok,\n", "the seed '0.5' in data row 1"),
        (HEADER + "x,a/min,one,0,1,ok,\n", "the seed 'one' in data row 1"),
        (HEADER + "x,a/min,0,-1,1,ok,\n", "the trial '-1' in data row 1"),
        (HEADER + "x,a/min,0,0,good,ok,\n", "the value 'good' in data row 1"),
        (HEADER + "x,a/min,0,0,inf,ok,\n", "the value 'inf' in data row 1"),
        (HEADER + "x,a/min,0,0,1,ok,-3\n", "the ask_seconds '-3' in data row 1: it must be a finite number of seconds"),
        (HEADER + "x,a/min,0,0,1,done,\n", "the state 'done': known are ok, failed"),
        (HEADER + "x,a/min,0,0,,ok,\n", "an ok trial without a value, x on a/min, seed 0, trial 0"),
        (HEADER + "x,b/other,0,0,1,ok,\n", "not known here: 'b/other'"),
        (HEADER + "x,a/min,0,1,1,ok,\nx,a/min,0,2,1,ok,\n", "counts the trials of x on a/min, seed 0, from 1"),
        (HEADER + "x,a/min,0,0,1,ok,\nx,a/min,0,2,1,ok,\n", "lacks trial 1 of x on a/min, seed 0"),
        (HEADER + "x,a/min,0,0,1,ok,\nx,a/min,0,0,1,ok,\n", "trial 0 of x on a/min, seed 0, more than once"),
        (HEADER.replace("state", "value") + "x,a/min,0,0,1,2,\n", "has the column 'value' more than once: keep one"),
        (HEADER + "x,a/min,0,0,1,ok,2,3\n", "has rows with more fields than its first line"),
        (HEADER.replace(",", ";"), r"lacks the column\(s\) optimizer"),
        ('optimizer,task\n"x,a/min\n', "cannot be read as CSV"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = stored(tmp_path, text)
    with pytest.raises(optibench_reports.ReportError, match=words) as caught:
        read_trials.load(path, TASKS)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(optibench_reports.ReportError, match="There is no file"):
        read_trials.load(tmp_path / "none.csv", TASKS)
    with pytest.raises(optibench_reports.ReportError, match=r"neither \.csv nor \.parquet"):
        read_trials.load(tmp_path / "trials.xlsx", TASKS)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(optibench_reports.ReportError, match="cannot be read as PARQUET"):
        read_trials.load(tmp_path / "bad.parquet", TASKS)
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00optimizer")
    with pytest.raises(optibench_reports.ReportError, match="cannot be read as CSV"):
        read_trials.load(tmp_path / "bad.csv", TASKS)


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan", "NaN", "N/A", "007", "1.50", "True", "-inf"])
def test_a_name_is_text_as_it_stands(tmp_path: Path, name: str) -> None:
    text = f"optimizer,task,seed,trial,value,state\n{name},{name},0,0,1.0,ok\n{name},{name},0,1,NA,failed\n"
    found = read_trials.load(stored(tmp_path, text), {name: TASKS["a/min"]}).trials
    assert list(found["optimizer"]) == list(found["task"]) == [name, name]
    assert list(found["state"]) == ["ok", "failed"]
    assert read_trials.task_names(tmp_path / "trials.csv") == [name]

"""Learning curves: from a training's evaluation into the stored table and out of it into a report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import optibench_benchmarks
from optibench.cell.journal import Journal
from optibench.cell.run import _apply_fault
from optibench.cell.trials import MAX_CURVE_STEPS, Trial, curve_text
from optibench.store.run_folder import TRIALS, Store
from optibench.store.to_results import load_curves

GRID = ("-o", "random,tpe", "-b", "hpobench/ml/histgb/iris,synthetic/sphere-2d", "-s", 2, "-t", 3)
SIZE = ("--initial-size", 1, "--executor", "serial")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from optibench.cli.main import main

    folder = tmp_path_factory.mktemp("run") / "out"
    assert main(["run", *map(str, (*GRID, *SIZE)), "--out", str(folder), "--no-report"]) == 0
    return folder


def stored(folder: Path) -> pd.DataFrame:
    store = Store.open(folder)
    return store.trials(list(store.plan().cells())).to_pandas()


def test_a_trainings_curve_is_in_the_table_and_nothing_where_nothing_was_trained(run: Path) -> None:
    trials = stored(run)
    trained = trials["task"] == "hpobench/ml/histgb/iris"
    assert trials.loc[~trained, "curve"].isna().all()
    task = optibench_benchmarks.create("hpobench/ml/histgb/iris")
    for trial in trials[trained].itertuples():
        curve = json.loads(trial.curve)
        found = task.evaluate(json.loads(trial.config), seed=0)  # no seed changes it
        assert list(curve) == list(found.curve)
        for quantity, column in found.curve.items():
            assert curve[quantity] == pytest.approx(list(column), rel=1e-6)


def test_curves_come_back_in_long_form_also_from_a_published_folder(run: Path, tmp_path: Path) -> None:
    curves = load_curves([run])
    assert curves is not None
    assert set(curves.table()["task"]) == {"hpobench/ml/histgb/iris"}
    store = Store.open(run)
    store.publish(list(store.plan().cells()), tmp_path / "published", compact=True)
    again = load_curves([tmp_path / "published", run])
    assert again is not None
    pd.testing.assert_frame_equal(again.table(), curves.table())


def test_the_report_draws_them(run: Path, tmp_path: Path) -> None:
    from optibench.cli.main import main

    assert main(["report", str(run), "--out", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "figures" / "learning_curves.png").stat().st_size > 5000
    assert "Learning curves on 1 task" in (tmp_path / "report" / "report.md").read_text()
    table = pd.read_csv(tmp_path / "report" / "figures" / "learning_curves.csv")
    assert len(table) == len(load_curves([run]).table())  # type: ignore[union-attr]


def test_tables_of_an_earlier_version_have_none_and_are_read(run: Path, tmp_path: Path) -> None:
    store = Store.open(run)
    store.publish(list(store.plan().cells()), tmp_path / "old")
    table = pq.read_table(tmp_path / "old" / TRIALS)
    pq.write_table(table.drop_columns(["curve"]), tmp_path / "old" / TRIALS)
    assert load_curves([tmp_path / "old"]) is None
    assert load_curves([tmp_path / "old", run]) is not None
    old = Store.open(tmp_path / "old")
    assert old.trials([], ["value", "curve"]).column_names == ["value"]


def test_grids_without_trainings_have_none(optibench: Any, tmp_path: Path) -> None:
    optibench("run", "-o", "random", "-b", "synthetic/sphere-2d", "-s", 1, "-t", 2, "--out", "out", *SIZE)
    assert load_curves([tmp_path / "out"]) is None
    assert not list((tmp_path / "out" / "report" / "figures").glob("learning*"))


def test_a_journal_keeps_curves_and_older_ones_are_read(tmp_path: Path) -> None:
    values = (0, "search", "{}", None, 0.5, "ok", None, 0.0, 0.1, 0.1, 0.1, 1e9)
    trials = [Trial(*values, curve='{"epoch": [1.0]}'), Trial(1, *values[1:])]
    path = tmp_path / "cell.jsonl"
    older = json.dumps(json.loads(Trial(2, *values[1:]).to_json())[:-2])
    path.write_text("".join(f"{line}\n" for line in (*[trial.to_json() for trial in trials], older)))
    assert [trial.curve for trial in Journal(path).read().trials] == ['{"epoch": [1.0]}', None, None]


def test_a_stored_curve_is_short_and_strict_json() -> None:
    assert curve_text({}) is None
    assert curve_text({"epoch": [], "loss": []}) is None
    text = curve_text({"epoch": [1, 2], "loss": [1 / 3, math.inf]})
    assert text == '{"epoch": [1.0, 2.0], "loss": [0.3333333, null]}'
    long = json.loads(curve_text({"step": range(10_001), "loss": [0.5] * 10_001}) or "")
    assert len(long["step"]) == len(long["loss"]) == MAX_CURVE_STEPS
    assert (long["step"][0], long["step"][-1]) == (0, 10_000)
    with pytest.raises(ValueError, match=r"columns of \[1, 2\] steps"):
        curve_text({"epoch": [1, 2], "loss": [1]})


def test_an_evaluation_that_has_no_value_has_no_curve() -> None:
    from optibench.cell.journal import Fault

    trial = Trial(0, "search", "{}", None, 0.5, "ok", None, 0.0, 0.1, 0.1, 0.1, 1e9, curve='{"epoch": [1.0]}')
    _apply_fault(trial, Fault(0, "evaluate", "timeout", "too long", 9.0))
    assert (trial.state, trial.curve) == ("timeout", None)

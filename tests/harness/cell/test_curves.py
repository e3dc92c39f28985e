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
from optibench.cell.proposal import apply_fault
from optibench.cell.trials import MAX_CURVE_STEPS, Trial, curve_text
from optibench.cli.main import main
from optibench.store.run_folder import TRIALS, Store
from optibench.store.to_results import load_curves


def test_a_trainings_curve_is_in_the_table_and_nothing_where_nothing_was_trained(stored: pd.DataFrame) -> None:
    trained = stored["task"] == "hpobench/ml/histgb/iris"
    assert stored.loc[~trained, "curve"].isna().all()
    task = optibench_benchmarks.create("hpobench/ml/histgb/iris")
    for trial in stored[trained].itertuples():
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
    optibench("run", "-o", "random", "-b", "synthetic/sphere-2d", "-s", 1, "-t", 2, "--out", "out", "--initial-size", 1)
    assert load_curves([tmp_path / "out"]) is None
    assert not list((tmp_path / "out" / "report" / "figures").glob("learning*"))


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
    apply_fault(trial, Fault(0, "evaluate", "timeout", "too long", 9.0))
    assert (trial.state, trial.curve) == ("timeout", None)

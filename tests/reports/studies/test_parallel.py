"""Parallel coordinates: where lines pass, and what cannot be drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optibench.cli.main import main
from optibench_reports.data.results import ReportError, Results
from optibench_reports.figures.parallel_coordinates import MISSING_PLACE, axis_of, parallel_coordinates

pytestmark = pytest.mark.usefixtures("no_figures")
drawn = parallel_coordinates


def test_numbers_lie_linearly_or_by_their_logarithm() -> None:
    places, ticks = axis_of([0, 5, 10])
    np.testing.assert_allclose(places, [0, 0.5, 1])
    assert [text for _, text in ticks] == ["0", "5.00", "10.0"]
    places, ticks = axis_of([1e-4, 1e-2, 1.0])
    np.testing.assert_allclose(places, [0, 0.5, 1])
    assert ticks[1] == (0.5, "0.0100")


def test_categories_lie_in_their_order_and_what_is_inactive_below() -> None:
    places, ticks = axis_of(["b", "a", None, "c"])
    np.testing.assert_allclose(places, [0.5, 0, MISSING_PLACE, 1])
    assert [text for _, text in ticks] == ["a", "b", "c"]
    places, _ = axis_of([True, False, None])
    np.testing.assert_allclose(places, [1, 0, MISSING_PLACE])
    assert axis_of([3.0, None])[0].tolist() == [0.5, MISSING_PLACE]
    assert axis_of([None, None])[0].tolist() == [MISSING_PLACE] * 2


def run(values: list[float], configs: list[dict[str, object]], states: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"config": [json.dumps(config) for config in configs], "value": values, "state": states})


@pytest.mark.parametrize(("direction", "best"), [("minimize", 0.1), ("maximize", 0.9)])
def test_the_best_trial_lies_in_front(direction: str, best: float) -> None:
    configs = [{"x": 0.0, "kernel": "rbf"}, {"x": 1.0, "kernel": "linear"}, {"x": 0.5}, {"x": 0.2}]
    trials = run([0.1, 0.9, 0.4, float("nan")], configs, ["ok", "ok", "ok", "failed"])
    axis = parallel_coordinates(trials, direction=direction, value="error").axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["kernel", "x", "error"]
    lines = [line for line in axis.get_lines() if len(line.get_xdata()) == 3]
    assert len(lines) == 3
    assert lines[-1].get_ydata()[-1] == pytest.approx((best - 0.1) / 0.8)


def test_what_cannot_be_drawn_is_refused() -> None:
    trials = run([1.0], [{"x": 1}], ["ok"])
    with pytest.raises(ReportError, match=r"lacks the column\(s\) config"):
        parallel_coordinates(trials.drop(columns="config"), direction="minimize")
    with pytest.raises(ReportError, match="no successful trial"):
        parallel_coordinates(trials.assign(state="failed"), direction="minimize")
    with pytest.raises(ReportError, match="not JSON"):
        parallel_coordinates(trials.assign(config="{"), direction="minimize")


@pytest.fixture
def folder(make: Callable[..., Results], as_folder: Callable[[Results, Path], Path], tmp_path: Path) -> Path:
    """A grid whose trials have configurations, but for those of one optimizer."""
    results = make(("random", "tpe"), ("a/x", "b/y"), seeds=2, trials=6)
    trials = results.trials
    config = [json.dumps({"x": float(i), "kernel": "rbf" if i % 2 else "linear"}) for i in trials["trial"]]
    config = np.where(trials["optimizer"] == "tpe", config, None)
    return as_folder(replace(results, trials=trials.assign(config=config)), tmp_path / "grid")


def test_a_report_draws_a_run_on_request(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        "optibench_reports.figures.parallel_coordinates.parallel_coordinates",
        lambda run, **kw: seen.append(run) or drawn(run, **kw),
    )
    out = tmp_path / "out"
    assert main(["report", str(folder), "--out", str(out), "--run", "tpe", "b/y", "1"]) == 0
    assert sorted(path.name for path in (out / "figures").iterdir()) == ["run.pdf", "run.png"]
    words = "One run, tpe on b/y with seed 1: a line for each of its"
    assert all(words in (out / f"report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    assert seen[0]["trial"].tolist() == list(range(6))
    assert set(seen[0]["task"].astype(str)) == {"b/y"}


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (("tpe", "b/y", "7"), "No finished run of tpe on b/y with seed 7"),
        (("tpe", "b/y", "one"), "A seed is a whole number from 0 on, not 'one'"),
        (("random", "a/x", "0"), "The run has no configurations"),
    ],
)
def test_a_run_that_cannot_be_drawn_is_one_sentence(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    which: tuple[str, ...],
    words: str,
) -> None:
    assert main(["report", str(folder), "--out", str(tmp_path / "out"), "--run", *which]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "report.md").exists()

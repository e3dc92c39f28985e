"""`ob.run` and what it returns; `ob.load`, `ob.compare` and the listings."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optibench as ob
from optibench.api.task import N_RANDOM
from optibench.cell.trials import TIMINGS, schema
from optibench.cli.main import main

GRID: dict[str, Any] = {"optimizers": ["random", "tpe"], "tasks": "synthetic/*-2d", "seeds": 2, "trials": 14}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(folder: Path) -> ob.Run:
    return ob.run(**GRID, jobs=2, out=folder / "first")


def test_python_and_the_command_line_make_the_same_run(run: ob.Run, folder: Path) -> None:
    report = run.report()
    options = ["-o", "random,tpe", "-b", "synthetic/*-2d", "-s", "2", "-t", "14", "-j", "2"]
    assert main(["run", *options, "--out", str(folder / "second")]) == 0
    other = ob.load(folder / "second")
    assert other.cells.equals(run.cells)
    untimed = [name for name in run.trials if name not in (*TIMINGS, "run")]
    assert other.trials[untimed].equals(run.trials[untimed])
    files = {path.relative_to(run.folder) for path in (run.folder / "report").rglob("*")}
    assert files == {path.relative_to(other.folder) for path in (other.folder / "report").rglob("*")}
    for name in ("ranks.csv", f"pairs_at_{14}.csv", "regret_at_14.csv"):
        one, two = ((each.folder / "report" / "tables" / name).read_text() for each in (run, other))
        assert one == two
    assert main(["run", "--out", str(run.folder), "--no-report"]) == 0  # resumed there, and nothing to do
    assert report.path == run.folder / "report" / "report.md"


def test_trials_have_the_documented_columns(run: ob.Run) -> None:
    trials = run.trials
    assert list(trials.columns) == schema().names
    documented = re.findall(r"\w+", ob.Run.trials.__doc__ or "")
    short = {"ask_seconds": "ask_", "evaluate_seconds": "evaluate_"}
    assert [name for name in trials if short.get(name, name) not in documented] == []
    page = (Path(__file__).parents[3] / "docs" / "reference" / "columns.md").read_text()
    assert [name for name in trials if f"`{name}`" not in page] == []
    assert set(trials.loc[0, "config"]) == {"x0", "x1"}
    assert len(trials) == 14 * len(run.cells)
    assert set(run.cells["state"]) == {"finished"}
    assert run.failed.empty


def test_a_run_and_its_report_show_themselves_without_scripts(run: ob.Run, tmp_path: Path) -> None:
    report = run.report(tmp_path / "report", at=[12, 14], control="random")
    for shown in (run, report):
        text = shown._repr_html_()
        assert text.count('<img alt="anytime_regret"') == 1
        assert "<table" in text
        assert "<script" not in text
        assert "best mean rank" in text
    assert set(report.table["trials"]) == {12, 14}
    assert list(report.table["optimizer"][:2]) in (["random", "tpe"], ["tpe", "random"])
    assert report.summary.startswith("optimizer")
    assert repr(run) == f"<optibench run {run.folder}: {len(run.cells)} of {len(run.cells)} cells finished>"
    with pytest.raises(ob.ReportError, match="Cannot report after 99 trials"):
        run.report(tmp_path / "other", at=[99])
    assert set(run.report(tmp_path / "report", at=np.array([13, 14])).table["trials"]) == {13, 14}


@pytest.mark.parametrize("at", [14, "14", [12.5], [None], 12.0])
def test_trial_counts_that_are_no_whole_numbers_are_refused(run: ob.Run, at: Any, tmp_path: Path) -> None:
    with pytest.raises(ob.ReportError) as caught:
        run.report(tmp_path / "report", at=at)
    assert str(caught.value) == f"Trial counts are a list of whole numbers, such as [25, 50], not {at!r}."
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("metrics", ["accuracy", [3], 3])
def test_metrics_that_are_no_names_are_refused(run: ob.Run, metrics: Any, tmp_path: Path) -> None:
    with pytest.raises(ob.HarnessError, match=r"`metrics` is a list of names, such as \['test_accuracy'\], not"):
        run.report(tmp_path / "report", metrics=metrics)


def test_what_is_no_folder_is_refused(run: ob.Run) -> None:
    for call in (lambda: ob.load(3), lambda: ob.Run(None), lambda: ob.compare(run, 3)):  # type: ignore[arg-type]
        with pytest.raises(ob.HarnessError, match=r"^A run is a folder, not (3|None)\.$"):
            call()
    with pytest.raises(ob.HarnessError, match=r"^`out` is a folder, not 3\.$"):
        run.report(3)  # type: ignore[arg-type]


def test_two_runs_are_compared(run: ob.Run, folder: Path, tmp_path: Path) -> None:
    other = ob.run(**{**GRID, "optimizers": ["random"]}, out=folder / "third", executor="serial")
    both = ob.compare(run, other.folder, tmp_path / "both")
    assert both.agreement.startswith(f"{len(other.cells)} of {len(other.cells)} common cells are identical")
    assert set(both.table["optimizer"]) == {"random", "tpe"}
    assert both.agreement in both._repr_html_()


def test_a_published_grid_is_loaded_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    live = ob.load("live")
    assert live.folder == Path("results/live")
    assert live.finished
    assert "too large to show at once" in ob.load("test")._repr_html_()
    with pytest.raises(ob.HarnessError, match="nowhere does not exist"):
        ob.load("nowhere")
    with pytest.raises(ob.HarnessError, match="holds no results of optibench"):
        ob.load(tmp_path)


def test_listings_say_what_there_is() -> None:
    optimizers = ob.optimizers()
    assert {"random", "tpe", "optiformer"} <= set(optimizers["name"])
    assert list(ob.optimizers("gp-*")["name"]) == [name for name in optimizers["name"] if name.startswith("gp-")]
    tasks = ob.tasks("synthetic/*-2d")
    assert "synthetic/branin-2d" in set(tasks["name"])
    assert set(tasks["family"]) == {"synthetic"}
    assert (tasks["missing"] == "").all()
    for found in (ob.tasks(), ob.tasks("yahpo/*")):
        assert found.loc[found["family"] == "yahpo"].shape[0] > 0  # here, or with what is missing
    with pytest.raises(ob.BenchmarkError, match="Unknown benchmark 'sythetic/x'"):
        ob.tasks("sythetic/x")
    for listing in (ob.optimizers, ob.tasks):
        with pytest.raises(ob.HarnessError, match=r"^A pattern is a name or a glob such as 'tpe\*', not 3\.$"):
            listing(3)  # type: ignore[arg-type]


SLOW = """
import sys, time
import optibench as ob

def slow(config):
    time.sleep(0.05)
    return config["x"]

run = ob.run(optimizers=["random"], tasks=ob.task(slow, {"x": (0.0, 1.0)}), seeds=4, trials=12, jobs=2, out="out")
print(len(run.trials))
"""


def test_an_interrupt_stops_cleanly_and_the_same_call_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out" / "journal").glob("*.jsonl")):
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert re.search(r"KeyboardInterrupt: stopped with \d of 4 cells finished; run the same call again to resume", said)
    assert "begun" in set(ob.load(tmp_path / "out").cells["state"])
    monkeypatch.chdir(tmp_path)
    exec(compile(SLOW, "cell", "exec", dont_inherit=True), {"__name__": "__main__"})
    assert capsys.readouterr().out == "48\n"


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "python.md").read_text()
    _, own, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, Any] = {"ob": ob, "__name__": "__main__"}
    exec(compile(own, "python.md", "exec", dont_inherit=True), found)
    assert set(found["run"].trials["optimizer"]) == {"random", "Half", "Half:share=0.2"}
    assert found["run"].failed.empty


def bowl(config: dict[str, Any]) -> float:
    return -float((config["x"] - 0.25) ** 2)


def test_random_configurations_make_a_reference_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = ob.task(bowl, {"x": (0.0, 1.0)}, direction="maximize", reference="random", best=0.0)
    how: dict[str, Any] = {"seeds": 2, "trials": 12, "executor": "serial", "out": tmp_path / "out"}
    run = ob.run(optimizers=["random"], tasks=task, **how)
    assert capsys.readouterr().err.count("Measuring 100 random configurations of bowl") == 1
    measured = ob.load(run.folder / "references" / "bowl").trials
    assert len(measured) == N_RANDOM
    assert set(measured["config"].map(str)).isdisjoint(run.trials["config"].map(str))
    expected = -run.trials["incumbent"] / -measured["value"].median()
    assert np.allclose(run.trials["regret"], expected)
    again = ob.run(optimizers=["random"], tasks=task, **how)
    assert "Measuring" not in capsys.readouterr().err
    assert again.cells.equals(run.cells)
    without = ob.task(bowl, {"x": (0.0, 1.0)}, direction="maximize", reference="random")
    other = ob.run(optimizers=["random"], tasks=without, **{**how, "out": tmp_path / "other"})
    assert other.trials["regret"].isna().all()
    table = other.report().path.parent / "tables" / "values_at_12.md"
    assert f"{measured['value'].median():.4f}" in table.read_text()


def test_a_reference_that_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    def broken(config: dict[str, Any]) -> float:
        raise ValueError("of its own")

    how: dict[str, Any] = {"seeds": 1, "trials": 12, "executor": "serial"}
    task = ob.task(broken, {"x": (0.0, 1.0)}, reference="random")
    with pytest.raises(ob.HarnessError, match=r"100 of 100 random configurations of broken have no value \(first err"):
        ob.run(optimizers=["random"], tasks=task, out=tmp_path / "broken", **how)
    good = ob.task(bowl, {"x": (0.0, 1.0)}, reference="random", best=3.0)
    with pytest.raises(ob.BenchmarkError, match=r"best=3\.0 is not better than the median of 100 random"):
        ob.run(optimizers=["random"], tasks=good, out=tmp_path / "good", **how)
    with pytest.raises(ob.OptimizerError, match="Unknown optimizer 'randm'"):
        ob.run(optimizers=["randm"], tasks=good, out=tmp_path / "unknown", **how)
    assert not (tmp_path / "unknown").exists()
    with pytest.raises(ob.HarnessError, match="belong to reference="):
        ob.run(optimizers=["random"], tasks=good, out=tmp_path / "seeds", **{**how, "seeds": [2**31 - 1]})
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    with pytest.raises(ob.HarnessError, match=r"foreign is not a run folder of optibench: it holds thesis\.txt"):
        ob.run(optimizers=["random"], tasks=good, out=tmp_path / "foreign", **how)
    assert not (tmp_path / "foreign" / "references").exists()

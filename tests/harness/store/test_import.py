"""`optibench import`: trials of another framework enter the same statistics, or are refused whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import optibench_reports
from optibench.api.results import Run
from optibench.cli.main import main
from optibench.store.run_folder import Store
from optibench.store.to_results import load
from optibench_reports.data.results import Results

COLUMNS = ["optimizer", "task", "seed", "trial", "value", "state", "ask_seconds", "evaluate_seconds", "cost_seconds"]
ORDER = ["optimizer", "task", "seed", "trial"]
HEADER = "optimizer,task,seed,trial,value\n"
ROW = "theirs,synthetic/sphere-2d,0,0,1.5\n"
Export = Callable[..., Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real run of this bench."""
    folder = tmp_path_factory.mktemp("own") / "run"
    words = ["run", "--no-report", "-o", "random,sobol", "-b", "synthetic/sphere-2d,synthetic/ackley-5d"]
    assert main([*words, "-s", "3", "-t", "12", "--executor", "serial", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def export(run: Path, tmp_path: Path) -> Export:
    """Write the run's trials as another framework would, in no order."""

    def write(name: str = "trials.csv", columns: list[str] = COLUMNS, task: str | None = None) -> Path:
        trials = load(run).trials.sample(frac=1, random_state=0)[columns]
        trials = trials if task is None else trials[trials["task"] == task]
        path = tmp_path / name
        trials.to_csv(path, index=False) if path.suffix == ".csv" else trials.to_parquet(path)
        return path

    return write


@pytest.fixture(autouse=True)
def _plain_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "optibench_reports.figures.anytime.save", lambda figure, path: figure.savefig(path.with_suffix(".png"), dpi=20)
    )


def plain(results: Results) -> pd.DataFrame:
    text = dict.fromkeys(("optimizer", "task", "state"), str)
    return results.trials.astype(text).sort_values(ORDER, ignore_index=True)[[*COLUMNS, "incumbent", "regret"]]


@pytest.mark.parametrize("name", ["trials.csv", "trials.parquet"])
def test_a_run_comes_back_with_the_same_incumbents_and_regrets(
    run: Path, export: Export, tmp_path: Path, name: str
) -> None:
    assert main(["import", str(export(name)), "--out", str(tmp_path / "theirs")]) == 0
    own, theirs = load(run), load(tmp_path / "theirs")
    pd.testing.assert_frame_equal(plain(theirs), plain(own), rtol=1e-12)
    assert theirs.tasks == own.tasks
    # The same trials but for the initial design, which another framework is not known to share.
    assert optibench_reports.agreement(own, theirs).common == 12
    assert set(theirs.planned["initial"]) == {"own"}


def test_both_are_reported_together(
    run: Path, export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(export()), "--out", str(tmp_path / "theirs"), "--suffix", " (theirs)"]) == 0
    assert "2 optimizers, 2 tasks, 3 seeds" in capsys.readouterr().out
    out = tmp_path / "both"
    assert main(["report", str(run), str(tmp_path / "theirs"), "--at", "6,12", "--out", str(out)]) == 0
    table = pd.read_csv(out / "tables" / "regret_at_12.csv")
    regret = table.groupby("optimizer")["mean_regret"].agg(list)
    for name in ("random", "sobol"):
        assert regret[name] == regret[f"{name} (theirs)"]
        assert np.isfinite(regret[name]).all()
    assert "With their own initial design: " in (out / "report.md").read_text()
    assert "trials.csv" in (out / "report.md").read_text(), "where the foreign trials come from"


def test_compare_takes_an_import_as_one_of_the_two(
    run: Path, export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = export(columns=COLUMNS[:6])
    altered = pd.read_csv(path)
    altered.loc[altered["optimizer"] == "sobol", "value"] *= 1.5
    altered.to_csv(path, index=False)
    assert main(["import", str(path), "--out", str(tmp_path / "theirs")]) == 0
    both = ["compare", str(run), str(tmp_path / "theirs"), "--out", str(tmp_path / "both")]
    assert main(both) == 0
    shown = capsys.readouterr().out
    assert "sobol (run)" in shown
    assert "sobol (theirs)" in shown
    assert main([*both, "--control", "sobol (run)"]) == 0
    page = (tmp_path / "both" / "report.html").read_text()
    assert "optibench compare DIR1 DIR2 --at" in page
    assert "--control &#39;sobol (run)&#39;" in page
    assert main([*both, "--control", "sobol"]) == 2
    assert "The control 'sobol' is not among the optimizers" in capsys.readouterr().err


def test_several_files_become_one_folder_and_importing_again_changes_nothing(
    run: Path, export: Export, tmp_path: Path
) -> None:
    files = [export("a.csv", task="synthetic/sphere-2d"), export("b.parquet", task="synthetic/ackley-5d")]
    command = ["import", *map(str, files), "--out", str(tmp_path / "theirs")]
    assert main(command) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert set(before) == {"grid.yaml", "tasks.json", "provenance.json", "trials.parquet"}
    assert main(command) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()} == before
    pd.testing.assert_frame_equal(plain(load(tmp_path / "theirs")), plain(load(run)), rtol=1e-12)
    sources = json.loads(before["provenance.json"])["imported"]
    assert [source["imported_file"] for source in sources] == ["a.csv", "b.parquet"]


def test_runs_of_different_lengths_are_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(HEADER + ROW + ROW.replace("0,0,1.5", "1,0,1.5") + ROW.replace("0,0,1.5", "1,1,"))
    assert main(["import", str(path), "--out", str(tmp_path / "theirs")]) == 0
    results = load(tmp_path / "theirs")
    assert results.planned["n_trials"].tolist() == [1, 2]
    assert results.trials["state"].astype(str).tolist() == ["ok", "ok", "failed"]


def test_imported_trials_are_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trials.csv").write_text(HEADER + ROW)
    folder = str(tmp_path / "theirs")
    assert main(["import", str(tmp_path / "trials.csv"), "--out", folder]) == 0
    capsys.readouterr()
    for command in (["run", "--out", folder], ["status", folder], ["publish", folder, str(tmp_path / "new")]):
        assert main(command) == 2
        assert "holds imported trials" in capsys.readouterr().err
    grid = ["run", "-o", "random", "-b", "synthetic/sphere-2d", "-t", "15", "--out", folder]
    assert main(grid) == 2
    assert "holds a different grid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (HEADER + ROW.replace("sphere", "spere"), "did you mean synthetic/sphere-2d"),
        (HEADER + ROW.replace("synthetic/sphere-2d", "mine/net"), "Unknown benchmark 'mine/net'"),
        (HEADER + ROW.replace("sphere-2d", "branin"), "is called 'synthetic/branin-2d' here"),
        (HEADER + ROW.replace("synthetic/sphere-2d", "yahpo/lcbench/3945"), "optibench data fetch"),
    ],
)
def test_a_file_that_is_not_as_described_is_refused_and_leaves_nothing(
    text: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path / "none"))
    (tmp_path / "trials.csv").write_text(text)
    assert main(["import", str(tmp_path / "trials.csv"), "--out", str(tmp_path / "deep" / "theirs")]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert "trials.csv" in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_a_task_without_reference_values_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trials.csv").write_text(HEADER + ROW)
    monkeypatch.setattr(
        "optibench_benchmarks.create", lambda name: SimpleNamespace(name=name, reference=None, front=None)
    )
    assert main(["import", str(tmp_path / "trials.csv"), "--out", str(tmp_path / "theirs")]) == 2
    assert "'synthetic/sphere-2d', which has no reference values" in capsys.readouterr().err
    assert not (tmp_path / "theirs").exists()


def test_a_run_in_two_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(HEADER + ROW)
    assert main(["import", *(str(tmp_path / n) for n in ("a.csv", "b.csv")), "--out", str(tmp_path / "out")]) == 2
    assert "theirs on synthetic/sphere-2d, seed 0, is in both" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_stays_as_it_is(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trials.csv").write_text(HEADER + ROW)
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").write_text("mine")
    for folder, words in ((thesis, "not hold this"), (run, "not hold this"), (tmp_path / "trials.csv", "is a file")):
        before = sorted(folder.rglob("*"))
        assert main(["import", str(tmp_path / "trials.csv"), "--out", str(folder)]) == 2
        captured = capsys.readouterr().err
        assert words in captured
        assert captured.count("\n") == 1
        assert sorted(folder.rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis", "trials.csv"]
    (tmp_path / "empty").mkdir()
    assert main(["import", str(tmp_path / "trials.csv"), "--out", str(tmp_path / "empty")]) == 0
    assert (tmp_path / "empty" / "grid.yaml").is_file()


def test_out_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "trials.csv"]) == 2
    assert "--out" in capsys.readouterr().err


SEVERAL = ("pymoo/constrained/c2dtlz2-2o-6d", "pymoo/zdt/zdt1-2o-6d", "engineering/three-bar-truss")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on tasks with several objectives and with constraints."""
    pytest.importorskip("pymoo")
    folder = tmp_path_factory.mktemp("several") / "run"
    words = ["run", "--no-report", "-o", "random", "-b", f"{','.join(SEVERAL)},synthetic/sphere-2d", "-s", "2"]
    assert main([*words, "-t", "40", "--executor", "serial", "--out", str(folder)]) == 0
    return folder


def written(run: Path, path: Path) -> pd.DataFrame:
    """The run's trials as another framework would write them: a column for each objective and each constraint."""
    trials = Run(run).trials
    found = trials[["optimizer", "task", "seed", "trial", "value"]].astype({"optimizer": str, "task": str})
    for task, described in Store.open(run).plan().tasks.items():
        mine = (trials["task"] == task) & trials["values"].notna()
        for names, column, prefix in (
            (described.objectives, "values", "objective"),
            (described.constraints, "constraints", "constraint"),
        ):
            for index, name in enumerate(names):
                found.loc[mine, f"{prefix}:{name}"] = [each[index] for each in trials.loc[mine, column]]
        if described.objectives:
            found.loc[mine, "value"] = np.nan
        elif described.constraints:
            found.loc[mine, "value"] = [each[0] for each in trials.loc[mine, "values"]]
    found.to_csv(path, index=False)
    return found


@pytest.mark.parametrize("state", [False, True])
def test_several_objectives_and_constraints_come_back(several: Path, tmp_path: Path, state: bool) -> None:
    path = tmp_path / "trials.csv"
    found = written(several, path)
    if state:
        found.assign(state=Run(several).trials["state"]).to_csv(path, index=False)
    assert main(["import", str(tmp_path / "trials.csv"), "--out", str(tmp_path / "theirs")]) == 0
    own, theirs = (
        Run(folder).trials.sort_values(ORDER, ignore_index=True) for folder in (several, tmp_path / "theirs")
    )
    assert set(own["state"]) == {"ok", "infeasible"}
    for column in ("state", "value", "incumbent", "regret"):
        pd.testing.assert_series_equal(theirs[column].astype(own[column].dtype), own[column], rtol=1e-12)
    for column in ("values", "constraints"):
        for mine, their in zip(own[column], theirs[column], strict=True):
            assert (mine is None) == (their is None)
            assert mine is None or list(mine) == pytest.approx(list(their), rel=1e-12)
    assert main(["report", str(tmp_path / "theirs"), "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert "hypervolume" in text
    assert "Feasible trials on tasks with constraints" in text


def test_what_lacks_an_objective_is_refused_or_has_failed(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trials.csv"
    trials = written(several, path)
    trials.drop(columns="objective:f2").to_csv(path, index=False)
    assert main(["import", str(path), "--out", str(tmp_path / "out")]) == 2
    assert (
        "lacks the column(s) objective:f2, which task 'pymoo/constrained/c2dtlz2-2o-6d' needs"
        in capsys.readouterr().err
    )
    trials.loc[trials["task"] == SEVERAL[1], "objective:f1"] = np.nan
    trials.assign(state="ok").to_csv(path, index=False)
    assert main(["import", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "has an ok trial without all its numbers" in capsys.readouterr().err
    trials.to_csv(path, index=False)
    assert main(["import", str(path), "--out", str(tmp_path / "out")]) == 0
    found = Run(tmp_path / "out").trials
    mine = found[found["task"] == SEVERAL[1]]
    assert set(mine["state"]) == {"failed"}
    assert set(mine["regret"]) == {1.0}

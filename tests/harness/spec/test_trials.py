"""Numbers of trials as multiples of the number of a task's parameters: reading, planning, running, extending."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float

import optibench as ob
from optibench.errors import HarnessError
from optibench.plan.plan import Plan
from optibench.runs import forecast, progress
from optibench.runs.run import start, status
from optibench.spec.grid import Grid, load
from optibench.spec.trials import constants, larger, number
from optibench.store.merge import merge
from optibench.store.run_folder import Store

SMALL, LARGE = "synthetic/sphere-2d", "synthetic/hartmann6-6d"
BOTH = {"optimizers": ["random", "sobol"], "benchmarks": [SMALL, LARGE], "seeds": 2, "executor": "serial"}


def read(trials: object) -> int | str:
    return load(None, {**BOTH, "trials": trials})[0].trials


@pytest.mark.parametrize(
    ("written", "kept"),
    [("20D", "20D"), ("20d", "20D"), ("007D", "7D"), ("2.50D", "2.5D"), ("3.0D", "3D"), ("30", 30), (30, 30)],
)
def test_a_multiple_is_kept_in_one_form(written: object, kept: int | str) -> None:
    assert read(written) == kept


@pytest.mark.parametrize(
    "wrong", ["0D", "0.0D", "-3D", "D20", "D", "1.5X", "20 D", "1e2D", "²D", ".5D", "0", 1.5, True]
)
def test_anything_else_is_one_sentence(wrong: object) -> None:
    with pytest.raises(
        HarnessError, match="`trials` is a whole number of at least 1, or a multiple of the parameters like 20D, not"
    ):
        read(wrong)


def test_a_fraction_is_rounded_up_and_exact() -> None:
    assert [number("2.5D", d) for d in (1, 2, 3)] == [3, 5, 8]
    assert number("1.1D", 10) == 11, "binary fractions would give 12"
    assert number(40, 3) == 40
    assert larger("9D", "10D") == "10D"


def test_parameters_with_one_value_do_not_count(tmp_path: Path) -> None:
    space = ConfigurationSpace(space=[Float("x", (0.0, 1.0)), Constant("c", 3), Categorical("only", ["a"])])
    assert constants(space) == 2
    task = ob.task(lambda config: config["x"], space, name="mine/one")
    run = ob.run(
        optimizers="random", tasks=[task, SMALL], seeds=1, trials="15D", out=tmp_path / "out", executor="serial"
    )
    assert run.trials.groupby("task", observed=True).size().to_dict() == {"mine/one": 15, SMALL: 30}
    stored = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert (stored["mine/one"]["constants"], stored["mine/one"]["dimensions"]) == (2, 3)
    assert "constants" not in stored[SMALL]


def test_a_cell_is_that_of_a_grid_with_the_same_plain_number() -> None:
    scaled, plain = (Plan.of(load(None, {**BOTH, "trials": trials})[0]) for trials in ("20D", 40))
    keys = {(cell.optimizer, cell.task, cell.seed): cell.key for cell in plain.cells()}
    assert {cell.trials for cell in scaled.cells()} == {40, 120}
    for cell in scaled.cells():
        assert (cell.key == keys[cell.optimizer, cell.task, cell.seed]) == (cell.task == SMALL)


def test_a_task_that_the_initial_design_fills_is_refused() -> None:
    says = (
        rf"`trials: 5D` gives {SMALL} \(2 parameters\) 10 trials, of which the shared initial design of 10 leaves none"
    )
    grid, _ = load(None, {**BOTH, "trials": "5D"})
    with pytest.raises(HarnessError, match=says):
        Plan.of(grid)
    own, _ = load(None, {**BOTH, "trials": "5D", "initial": "own"})
    assert {cell.trials for cell in Plan.of(own).cells()} == {10, 30}
    space = ConfigurationSpace(space=[Constant("c", 3)])
    fixed = ob.task(lambda config: 0.0, space, name="mine/fixed")
    with pytest.raises(
        HarnessError, match=r"mine/fixed \(0 parameters\) no trial, because none of its parameters can v"
    ):
        ob.run(optimizers="random", tasks=fixed, trials="5D", initial="own", executor="serial")


def test_forecast_progress_and_status_count_each_tasks_trials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert forecast.dry_run(None, {**BOTH, "trials": "10D", "out": out}).trials == 4 * (20 + 60)
    shown: list[tuple[int, int]] = []
    count = progress.ProgressBar._count
    monkeypatch.setattr(progress.ProgressBar, "_count", lambda bar: shown.append(bar._done) or count(bar))
    start(None, **BOTH, trials="10D", out=out)
    assert "320/320 trials, 8/8 cells" in capsys.readouterr().err
    assert {total for _, total in shown} == {320}
    found = status(Store.open(out))
    assert (found["trials"], found["trials_in_all"]) == (320, 320)
    assert forecast.dry_run(None, {"trials": "12D", "extend": True, "out": out}).trials == 4 * (4 + 12)
    start(None, trials="12D", extend=True, out=out, executor="serial", seeds=3)
    err = capsys.readouterr().err
    assert "from 10D to 12D trials: 8 cells (random, sobol) continue" in err
    assert "576/576 trials, 12/12 cells" in err
    assert shown[-1] == (576, 576)
    assert yaml.safe_load((out / "grid.yaml").read_text())["grid"]["trials"] == "12D"
    once = Store.open(out).publish(list(Store.open(out).plan().cells()), tmp_path / "published", compact=True)
    assert ob.load(once.folder).trials.groupby("task", observed=True).size().to_dict() == {SMALL: 6 * 24, LARGE: 6 * 72}


def test_only_the_same_kind_of_number_extends_a_folder_or_merges(tmp_path: Path) -> None:
    for name, trials in (("scaled", "10D"), ("plain", 20)):
        start(None, **{**BOTH, "benchmarks": [SMALL], "seeds": 1}, trials=trials, out=tmp_path / name)
    for name, trials, says in (
        ("scaled", 30, "`trials` is 10D in the run folder: give a multiple of D"),
        ("scaled", "9.5D", "`trials` is 10D in the run folder: give as many, or more"),
        ("plain", "30D", "`trials` is 20 in the run folder: give a number as well"),
    ):
        with pytest.raises(HarnessError, match=says):
            start(None, trials=trials, extend=True, out=tmp_path / name)
    with pytest.raises(HarnessError, match="trials: 10D there, 20 here"):
        merge([tmp_path / "scaled", tmp_path / "plain"], tmp_path / "merged")


def test_a_damaged_number_is_said(tmp_path: Path) -> None:
    Plan.of(Grid(("random",), (SMALL,), (0,), "10D")).save(tmp_path)
    path = tmp_path / "grid.yaml"
    path.write_text(path.read_text().replace("10D", "10Q"))
    with pytest.raises(HarnessError, match=r"is damaged \(.*not '10Q'"):
        Plan.load(tmp_path)

"""Batch sizes: asked so many at a time, told before the next ask, another optimizer in the tables; one is as ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import optibench_optimizers
from optibench.cell.journal import Fault, History
from optibench.cell.run import run_cell
from optibench.cell.trials import Trial
from optibench.cli.main import main
from optibench.errors import HarnessError
from optibench.options import declared
from optibench.plan.plan import Plan
from optibench.spec import batches
from optibench.spec.grid import Also, Grid, load
from optibench_optimizers import Observation, Optimizer, Suggestion
from optibench_optimizers.adapters.random_search import RandomSearch


@pytest.mark.parametrize(
    ("written", "sizes"), [(4, (4,)), ("4", (4,)), ("1, 4", (1, 4)), ([1, 4, 4], (1, 4)), (["2"], (2,))]
)
def test_batch_sizes_are_read_however_they_are_written(written: Any, sizes: tuple[int, ...]) -> None:
    assert declared(Also)["batch_size"].value(written, "here") == sizes


@pytest.mark.parametrize("written", [0, -1, 1.5, True, "", "1,", "four", [], [[1]], {"1": 2}, None, 1001, "1-4", "²"])
def test_what_is_no_batch_size_is_one_sentence(written: Any) -> None:
    with pytest.raises(HarnessError, match="here: `batch_size` is a whole number from 1 to 1000") as caught:
        declared(Also)["batch_size"].value(written, "here")
    assert "\n" not in str(caught.value)


def test_a_label_says_the_batch_size_and_one_is_no_batch() -> None:
    assert batches.expand(["tpe", "random"], (1, 4)) == ("tpe", "tpe (batch 4)", "random", "random (batch 4)")
    assert batches.expand(["tpe (batch 2)"], (8,)) == ("tpe (batch 2)",)
    assert batches.split("tpe:group=true (batch 4)") == ("tpe:group=true", 4)
    assert batches.split("tpe (theirs)") == ("tpe (theirs)", 1)


def test_batches_of_one_are_the_cells_of_a_grid_without_batches() -> None:
    grid = ("random", "tpe"), ("synthetic/sphere-2d",), (0,), 18
    flags = {"optimizers": ["random", "tpe"], "benchmarks": ["synthetic/sphere-2d"], "seeds": "1", "trials": 18}
    with_batches, _ = load(None, {**flags, "batch_size": "1,4"})
    assert with_batches.optimizers == ("random", "random (batch 4)", "tpe", "tpe (batch 4)")
    without = {cell.optimizer: cell.key for cell in Plan.of(Grid(*grid)).cells()}
    cells = {cell.optimizer: cell.key for cell in Plan.of(with_batches).cells()}
    assert {name: cells[name] for name in without} == without
    assert len(set(cells.values())) == 4


class Recorder(RandomSearch):
    """Notes what it was asked and told."""

    log: list[Any]

    def ask(self, n: int = 1) -> list[Suggestion]:
        self.log.append(n)
        return super().ask(n)

    def tell(self, observations: Any) -> None:
        self.log += ["told"] * len(observations)
        super().tell(observations)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    log: list[Any] = []
    monkeypatch.setattr(Recorder, "log", log, raising=False)

    def create(spec: str, space: Any, *, seed: int, n_trials: int, **more: Any) -> Optimizer:
        assert spec == "random"
        return Recorder(space, seed=seed, n_trials=n_trials)

    monkeypatch.setattr(optibench_optimizers, "create", create)
    return log


def cell(spec: str, trials: int = 13, initial_size: int = 3) -> Any:
    grid = Grid((spec,), ("synthetic/sphere-2d",), (0,), trials, initial_size=initial_size)
    return next(Plan.of(grid).cells())


def test_a_batch_is_asked_at_once_and_told_before_the_next(recorder: list[Any]) -> None:
    trials = run_cell(cell("random (batch 4)"))
    assert recorder == ["told"] * 3 + [4] + ["told"] * 4 + [4] + ["told"] * 4 + [2]
    assert [trial.trial for trial in trials] == list(range(13))
    assert {trial.state for trial in trials} == {"ok"}
    assert len({trial.ask_seconds for trial in trials[3:7]}) == 1, "the ask's time is shared out"


def test_a_batch_of_random_search_is_random_search() -> None:
    one, four = (run_cell(cell(spec)) for spec in ("random", "random (batch 4)"))
    assert [trial.config for trial in one] == [trial.config for trial in four]


@pytest.mark.parametrize(
    "spec",
    [
        *("tpe (batch 4)", "cmaes (batch 3)", "gp-skopt (batch 4)", "optiformer-seq (batch 4)"),
        pytest.param("smac-rf (batch 4)", marks=pytest.mark.heavy),
        pytest.param("smac-gp (batch 4)", marks=pytest.mark.heavy),
    ],
)
def test_a_cell_resumes_inside_a_batch(spec: str) -> None:
    whole = run_cell(cell(spec, 12, 4))
    for kept in (3, 4, 6, 8, 11):
        past = [Trial.from_json(trial.to_json()) for trial in whole[:kept]]
        again = run_cell(cell(spec, 12, 4), past=History(past))
        assert [(t.config, t.value, t.state) for t in again] == [(t.config, t.value, t.state) for t in whole]


def test_an_ask_that_ended_its_worker_costs_one_trial_and_not_the_batch(recorder: list[Any]) -> None:
    past = History(faults=[Fault(0, "ask", "failed", "ask: the worker died", 1.0)])
    trials = run_cell(cell("random (batch 4)", 5, 1), past=History())
    assert [trial.state for trial in trials] == ["ok"] * 5
    trials = run_cell(cell("random (batch 4)", 5, 0), past=past)
    assert [trial.state for trial in trials] == ["failed"] + ["ok"] * 4


def test_an_optimizer_that_proposes_too_few_fails_its_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RandomSearch, "ask", lambda self, n=1: [])
    trials = run_cell(cell("random (batch 4)", 6, 2))
    assert [trial.state for trial in trials] == ["ok"] * 2 + ["failed"] * 4
    assert trials[2].error == "ask: ValueError: it was asked for 4 and proposed 0"


def test_a_tell_that_fails_is_in_the_row_of_the_trial_before_which_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, observations: list[Observation]) -> None:
        raise RuntimeError("not listening")

    monkeypatch.setattr(RandomSearch, "tell", refuse)
    written: list[str] = []
    trials = run_cell(cell("random (batch 2)", 6, 2), on_trial=lambda trial: written.append(trial.to_json()))
    assert [trial.error is not None for trial in trials] == [False, False, True, False, True, False]
    assert written == [trial.to_json() for trial in trials], "the journal has what the table has"


def test_a_grid_of_batches_runs_resumes_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = ("-o", "random,tpe", "-b", "synthetic/sphere-2d,synthetic/levy-2d", "-s", "2", "-t", "12")
    assert main(["run", *grid, "--batch-size", "1,4", "--executor", "serial", "--out", "out"]) == 0
    assert "tpe (batch 4)" in capsys.readouterr().out
    next((tmp_path / "out" / "cells").rglob("*.arrow")).unlink()
    assert main(["run", "--executor", "serial", "--out", "out", "--no-report"]) == 0
    assert main(["run", "--batch-size", "4", "--out", "out"]) == 2
    assert "--batch-size would change the grid" in capsys.readouterr().err
    assert main(["status", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] == 16


def test_batches_and_a_simulated_clock_exclude_each_other() -> None:
    grid = Grid(("random (batch 2)",), ("synthetic/sphere-2d",), (0,), 8, simulated_workers=2)
    with pytest.raises(HarnessError, match="`batch_size` and `simulated_workers` exclude each other"):
        Plan.of(grid)

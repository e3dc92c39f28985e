"""Cells of tasks with several objectives or with constraints: trials, journal, table, replay, planning."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace, Float

import optibench as ob
import optibench_benchmarks
import optibench_optimizers
import optibench_reports
from optibench.cell.journal import History
from optibench.cell.run import run_cell
from optibench.cell.trials import Trial, to_table
from optibench.errors import HarnessError
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.plan.tasks import Task
from optibench.runs.reports import report
from optibench.spec.grid import Grid
from optibench.store.merge import merge
from optibench_benchmarks import Benchmark, Evaluation, Family, Front, Reference
from optibench_benchmarks.hypervolume import normalised, volume
from optibench_optimizers import Capabilities, Observation
from optibench_optimizers.adapters.random_search import RandomSearch


class Two(Benchmark):
    """A gain to maximize against a cost, feasible where ``x + y <= 1.2``."""

    name = "two/gain"
    objectives = {"gain": "maximize", "cost": "minimize"}  # noqa: RUF012
    constraints = ("sum",)
    front = Front((1.0, 0.0), (0.0, 2.0), 0.75, ((1.0, 1.0), (0.0, 0.0)), "analytic")

    def __init__(self, odd: Callable[[Any], Evaluation | None] = lambda config: None) -> None:
        self.space = ConfigurationSpace([Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0))])
        self.odd = odd

    def evaluate(self, config: Any, *, seed: int, fidelity: Any = None) -> Evaluation:
        x, y = config["x"], config["y"]
        found = self.odd(config)
        return Evaluation(values=(x, x + y), constraints=(x + y - 1.2,)) if found is None else found


class Capped(Two):
    """One objective and the constraint."""

    name = "two/capped"
    objectives = {}  # noqa: RUF012
    direction = "maximize"
    front = None
    reference = Reference(1.0, 0.4, 0.0, "analytic")

    def evaluate(self, config: Any, *, seed: int, fidelity: Any = None) -> Evaluation:
        return Evaluation(config["x"], constraints=(config["x"] + config["y"] - 1.2,))


class Records(RandomSearch):
    """Random search that remembers what it was told, and with which counts it was built."""

    told: list[Observation] = []  # noqa: RUF012
    built: list[dict[str, int]] = []  # noqa: RUF012

    def __init__(self, space: Any, *, seed: int, n_trials: int, **counts: int) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials)
        self.built.append(counts)

    def tell(self, observations: Sequence[Observation]) -> None:
        self.told.extend(observations)


class Provider:
    def names(self) -> list[str]:
        return [Two.name, Capped.name]

    def create(self, name: str) -> Benchmark:
        return Two() if name == Two.name else Capped()

    def missing(self) -> str | None:
        return None


PROVIDER = Provider()


@pytest.fixture
def registered() -> Iterator[None]:
    with optibench_benchmarks.registry.temporarily([Family("two", "two objectives", f"{__name__}:PROVIDER")]):
        yield


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Trial]]:
    def run(problem: Benchmark, **how: Any) -> list[Trial]:
        monkeypatch.setattr(Records, "told", [])
        monkeypatch.setattr(Records, "built", [])

        def create(spec: str, space: Any, *, fidelity: Any, **more: int) -> Records:
            return Records(space, **more)

        monkeypatch.setattr("optibench.cell.run.benchmark", lambda name: problem)
        monkeypatch.setattr("optibench.cell.run.optibench_optimizers.create", create)
        return run_cell(Cell("key", "random", problem.name, 0, 30, 5), **how)

    return run


def test_trials_have_objectives_constraints_and_a_state(cell: Callable[..., list[Trial]]) -> None:
    trials = cell(Two())
    assert {trial.state for trial in trials} == {"ok", "infeasible"}
    assert not any(trial.failed for trial in trials)
    for trial in trials:
        config = json.loads(trial.config or "")
        gain, cost = config["x"], config["x"] + config["y"]
        assert trial.values == (gain, cost)
        assert trial.constraints == (cost - 1.2,)
        assert (trial.state == "infeasible") == (cost > 1.2)
        if trial.state == "ok":
            assert trial.value == pytest.approx(gain * (2.0 - cost) / 2.0)
        else:
            assert math.isnan(trial.value)


def test_the_optimizer_minimizes_every_objective_and_sees_infeasible_trials(
    cell: Callable[..., list[Trial]],
) -> None:
    trials = cell(Two())
    assert Records.built == [{"n_objectives": 2, "n_constraints": 1}]
    assert len(Records.told) == len(trials)
    for trial, told in zip(trials, Records.told, strict=True):
        assert trial.values is not None
        assert told.values == (-trial.values[0], trial.values[1])
        assert (told.constraints, told.state) == (trial.constraints, trial.state)
        assert math.isnan(told.value)
    trials = cell(Capped())
    for trial, told in zip(trials, Records.told, strict=True):
        assert told.values == (-json.loads(trial.config or "")["x"],)
        assert (told.state, math.isnan(told.value)) == (trial.state, trial.state == "infeasible")


def test_the_regret_is_the_share_of_the_hypervolume_that_is_missing(cell: Callable[..., list[Trial]]) -> None:
    problem = Two()
    trials = cell(problem)
    table = to_table(Cell("key", "random", problem.name, 0, 30, 5), trials, Task.of(problem)).to_pandas()
    points: list[Any] = []
    for trial, row in zip(trials, table.to_dict("records"), strict=True):
        points += [trial.values] if trial.state == "ok" else []
        expected = volume(normalised(points, problem.front.ideal, problem.front.reference_point)) if points else 0.0
        assert row["incumbent"] == pytest.approx(expected, abs=1e-12)
        assert row["regret"] == pytest.approx(1.0 - expected / 0.75, abs=1e-12)
        assert tuple(row["values"]) == trial.values
    assert table.regret.is_monotonic_decreasing
    assert 0.0 < table.regret.iloc[-1] < table.regret.iloc[0]


def test_only_feasible_values_are_incumbents(cell: Callable[..., list[Trial]]) -> None:
    problem = Capped()
    trials = cell(problem)
    table = to_table(Cell("key", "random", problem.name, 0, 30, 5), trials, Task.of(problem)).to_pandas()
    feasible = [trial.value for trial in trials if trial.state == "ok"]
    assert table.incumbent.iloc[-1] == max(feasible)
    assert table.regret.iloc[-1] == pytest.approx((max(feasible) - 1.0) / -0.6)
    found = {"values": (0.9,), "constraints": (1.0,)}
    hopeless = [Trial(0, "search", "{}", None, math.nan, "infeasible", None, *[0.0] * 5, **found)]
    never = to_table(Cell("key", "random", problem.name, 0, 1, 0), hopeless, Task.of(problem)).to_pandas()
    assert np.isnan(never.incumbent.iloc[0])
    assert never.regret.iloc[0] == pytest.approx(1.0 / 0.6), "no feasible trial is the worst reference"


def test_a_journal_and_a_replay_keep_them(cell: Callable[..., list[Trial]]) -> None:
    trials = cell(Two())
    assert [Trial.from_json(trial.to_json()) for trial in trials if trial.state == "ok"] == [
        trial for trial in trials if trial.state == "ok"
    ]
    told = list(Records.told)
    past = History([Trial.from_json(trial.to_json()) for trial in trials[:17]])
    again = cell(Two(), past=past)
    assert [(trial.values, trial.state) for trial in again] == [(trial.values, trial.state) for trial in trials]
    assert repr(Records.told) == repr(told)


@pytest.mark.parametrize(
    ("odd", "error"),
    [
        (Evaluation(values=(math.nan, 1.0), constraints=(0.0,)), "the objective 'gain' returned nan"),
        (Evaluation(values=(1.0, math.inf), constraints=(0.0,)), "the objective 'cost' returned inf"),
        (Evaluation(values=(1.0, 1.0), constraints=(math.nan,)), "the constraint 'sum' returned nan"),
        (Evaluation(values=(1.0,), constraints=(0.0,)), "it returned 1 objectives, and declares 2: gain, cost"),
        (Evaluation(values=(1.0, 1.0)), "it returned 0 constraints, and declares 1: sum"),
        (Evaluation(1.0, constraints=(0.0,)), "it returned 0 objectives"),
        (Evaluation(values=None, constraints=(0.0,)), "returned None for the objectives gain, cost, not a number for"),
        (Evaluation(values=(1.0, 1.0), constraints=(None,)), "returned (None,) for the constraints sum, not a number"),
        (Evaluation(values=(1.0, "a"), constraints=(0.0,)), "returned (1.0, 'a') for the objectives gain, cost, not"),
    ],
)
def test_a_wrong_evaluation_is_a_failed_trial(cell: Callable[..., list[Trial]], odd: Evaluation, error: str) -> None:
    trials = cell(Two(lambda config: odd if config["x"] > 0.5 else None))
    failed = [trial for trial in trials if trial.failed]
    assert 0 < len(failed) < len(trials)
    assert all(error in (trial.error or "") and trial.values is None and trial.state == "failed" for trial in failed)
    table = to_table(Cell("key", "random", "two/gain", 0, 30, 5), trials, Task.of(Two())).to_pandas()
    assert np.isfinite(table.regret).all()


def test_an_evaluation_beyond_its_limit_leaves_no_objectives(cell: Callable[..., list[Trial]]) -> None:
    def slow(config: Any) -> None:
        time.sleep(0.15 if config["x"] > 0.85 else 0.0)

    trials = cell(Two(slow), evaluation_limit=0.1)
    assert {trial.state for trial in trials} >= {"ok", "timeout"}
    assert all((trial.values is None) == (trial.state == "timeout") for trial in trials)
    assert all(not told.values for told in Records.told if told.state == "timeout")


def test_a_grid_of_both_kinds_and_a_plain_task_has_one_table(registered: None, tmp_path: Path) -> None:
    run = ob.run(
        optimizers=["random", "nsga2:population_size=10"],
        benchmarks=[Two.name, Capped.name, "synthetic/sphere-2d"],
        seeds=1,
        trials=12,
        out=tmp_path / "out",
        jobs=1,
        executor="serial",
    )
    trials = run.trials
    assert len(run.failed) == 0
    assert trials.groupby("task")["values"].apply(lambda each: each.notna().all()).to_dict() == {
        "synthetic/sphere-2d": False,
        Capped.name: True,
        Two.name: True,
    }
    assert np.isfinite(trials.regret).all()
    report = run.report()
    assert "hypervolume" in (report.path).read_text()
    latency = pd.read_csv(report.path.parent / "tables" / "latency.csv").set_index("optimizer")
    assert latency["first_model_trial"].fillna(0).to_dict() == {"random": 0, "nsga2:population_size=10": 11}


def test_the_report_has_the_igd_plus_of_the_feasible_trials(registered: None, tmp_path: Path) -> None:
    how: dict[str, Any] = {"trials": 12, "initial_size": 4, "jobs": 1, "executor": "serial", "out": tmp_path / "out"}
    run = ob.run(optimizers=["random", "sobol"], benchmarks=[Two.name, "synthetic/sphere-2d"], seeds=3, **how)
    trials = run.trials[(run.trials["task"] == Two.name) & (run.trials["state"] == "ok")]
    tables = run.report(at=[1, 6, 12]).path.parent / "tables"
    front, (ideal, last) = np.array(Two.front.points), (Two.front.ideal, Two.front.reference_point)
    for count in (1, 6, 12):
        table = pd.read_csv(tables / f"igd_plus_at_{count}.csv").set_index("optimizer")
        assert set(table["task"]) == {Two.name}
        for optimizer in ("random", "sobol"):
            found = [
                moocore.igd_plus(normalised(part["values"].tolist(), ideal, last), ref=normalised(front, ideal, last))
                for _, part in trials[(trials["optimizer"] == optimizer) & (trials["trial"] < count)].groupby("seed")
            ]
            assert table.loc[optimizer, "seeds"] == len(found)
            mean = table.loc[optimizer, "mean_igd_plus"]
            assert mean == pytest.approx(np.mean(found), abs=1e-9) if found else np.isnan(mean)
    first = trials[trials["trial"] == 0]["seed"].nunique()
    assert 0 < first < 3, "some of the seeds have nothing feasible at first"
    assert f"({first}/3)" in (tables / "igd_plus_at_1.md").read_text()
    assert "igd_plus" not in run.trials.columns
    alone = report([tmp_path / "out"], tmp_path / "alone", tasks=["synthetic/*"]).path.parent
    assert not list(alone.glob("tables/igd_plus*"))


def test_folders_with_other_constraints_of_a_cell_are_not_one_report(
    registered: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of trials with the same states and values."""
    how: dict[str, Any] = {"trials": 4, "initial_size": 2, "jobs": 1, "executor": "serial"}
    folders = [tmp_path / name for name in ("one", "same", "other")]
    for folder, number in zip(folders, (-1.0, -1.0, -2.0), strict=True):
        monkeypatch.setattr(Capped, "evaluate", lambda *_, n=number, **__: Evaluation(0.5, constraints=(n,)))
        ob.run(optimizers=["random"], benchmarks=[Capped.name], seeds=2, out=folder, **how)
    assert report(folders[:2], tmp_path / "report").path.exists()
    with pytest.raises(optibench_reports.ReportError, match="2 cells in two grids with different trials"):
        report([folders[0], folders[2]], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_cell_without_a_feasible_trial_has_no_igd_plus(
    registered: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Two, "evaluate", lambda *_, **__: Evaluation(values=(0.5, 0.5), constraints=(1.0,)))
    how: dict[str, Any] = {"trials": 4, "initial_size": 2, "jobs": 1, "executor": "serial", "out": tmp_path / "out"}
    table = ob.run(optimizers=["random"], benchmarks=[Two.name], seeds=2, **how).report().path.parent / "tables"
    assert "| two/gain | — (0/2) |" in (table / "igd_plus_at_4.md").read_text()


def test_a_front_without_points_is_reported_without_an_igd_plus(
    registered: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Two, "front", dataclasses.replace(Two.front, points=()))
    how: dict[str, Any] = {"trials": 6, "initial_size": 2, "jobs": 1, "executor": "serial", "out": tmp_path / "out"}
    page = ob.run(optimizers=["random", "sobol"], benchmarks=[Two.name], seeds=2, **how).report().path
    assert (page.parent / "figures" / "attained_fronts.png").exists()
    assert not list(page.parent.glob("tables/igd_plus*"))


@pytest.mark.parametrize(
    ("optimizer", "task", "says"),
    [
        ("cmaes", Two.name, "does not take several objectives and constraints, which two/gain has"),
        ("smac-rf", Capped.name, "does not take constraints, which two/capped has"),
        ("gp-skopt", "pymoo/zdt/zdt1-2o-6d", "does not take several objectives, which pymoo/zdt/zdt1-2o-6d has"),
    ],
)
def test_an_optimizer_that_cannot_is_refused_with_those_that_can(
    registered: None, optimizer: str, task: str, says: str
) -> None:
    with pytest.raises(HarnessError, match=says) as refused:
        Plan.of(Grid(("random", optimizer), ("synthetic/sphere-2d", task), (0,), 5))
    assert "random, sobol, tpe" in str(refused.value)
    assert "hyperband" not in str(refused.value), "it needs a fidelity, which these tasks lack"
    space = optibench_benchmarks.create(task).space
    with pytest.raises(optibench_optimizers.OptimizerError, match="does not take"):
        optibench_optimizers.create(optimizer, space, seed=0, n_trials=5, n_objectives=2, n_constraints=1)


def test_what_has_no_measure_is_refused(registered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(("random",), (Two.name,), (0,), 5)
    monkeypatch.setattr(Two, "front", None)
    with pytest.raises(HarnessError, match="no frozen front"):
        Plan.of(grid)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"objectives": {"gain": "maximize"}}, "must be empty or several"),
        ({"objectives": {"gain": "up", "cost": "minimize"}}, "must say minimize or maximize of 'gain'"),
        ({"objectives": {"gain": "minimize", "cost": "minimize"}}, "'gain' is to be minimized"),
        ({"constraints": ["sum"]}, "`constraints` must be a tuple"),
        ({"constraints": ("sum", "sum")}, "different names"),
        ({"front": Front((1.0,), (0.0,), 0.5, ((1.0,),), "x")}, "has 1 objectives"),
        ({"reference": Reference(0.0, 1.0, 2.0, "x")}, "`front` is for several objectives"),
    ],
)
def test_a_wrong_declaration_is_one_sentence(wrong: dict[str, Any], says: str) -> None:
    task = Two()
    for name, value in wrong.items():
        setattr(task, name, value)
    assert says in (optibench_benchmarks.declarations.flaw(task) or "")


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (((0.0, 0.0), (1.0, 0.0), 0.5, ()), "worse than the ideal"),
        (((0.0, 0.0), (1.0, 1.0), 0.0, ()), "above 0 and at most 1"),
        (((0.0, 0.0), (1.0,), 0.5, ()), "one finite number for each objective"),
        (((0.0, math.nan), (1.0, 1.0), 0.5, ()), "one finite number for each objective"),
        (((-1e308, 0.0), (1e308, 1.0), 0.5, ()), r"of at most 1e\+300"),
    ],
)
def test_a_wrong_front_is_refused(numbers: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Front(*numbers, "x")


def test_an_optimizer_gets_the_counts_that_its_constructor_names() -> None:
    found = {}

    class Counts(RandomSearch):
        capabilities = Capabilities(objectives=True, constraints=True)

        def __init__(self, space: Any, *, seed: int, n_trials: int, n_objectives: int = 1) -> None:
            found["n_objectives"] = n_objectives
            super().__init__(space, seed=seed, n_trials=n_trials)

    entry = optibench_optimizers.Entry("counts", "s", f"{__name__}:Counts", Counts.capabilities)
    with optibench_optimizers.registry.temporarily([entry]), pytest.MonkeyPatch.context() as patch:
        patch.setattr(optibench_optimizers.Entry, "load", lambda self: Counts)
        optibench_optimizers.create("counts", Two().space, seed=0, n_trials=5, n_objectives=3, n_constraints=2)
    assert found == {"n_objectives": 3}


def test_a_run_is_extended_and_merged_with_its_objectives(registered: None, tmp_path: Path) -> None:
    def run(folder: str, seeds: list[int], trials: int, **more: Any) -> ob.Run:
        return ob.run(
            optimizers=["random", "nsga2:population_size=5"],
            benchmarks=[Two.name, "synthetic/sphere-2d"],
            seeds=seeds,
            trials=trials,
            initial_size=3,
            executor="serial",
            out=tmp_path / folder,
            **more,
        )

    kept = ["optimizer", "task", "seed", "trial", "state", "value", "incumbent", "regret", "values", "constraints"]
    order = ["optimizer", "task", "seed", "trial"]
    whole = run("whole", [0, 1], 14).trials[kept].sort_values(order, ignore_index=True)
    run("grown", [0], 6)
    grown = run("grown", [0], 14, extend=True).trials[kept].sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(grown, whole[whole.seed == 0].reset_index(drop=True))
    run("other", [1], 14)
    merge([tmp_path / "grown", tmp_path / "other"], tmp_path / "merged")
    merged = ob.load(tmp_path / "merged").trials[kept].sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(merged, whole)

"""Budgets other than a count of trials, and evaluations in parallel on a simulated clock."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
import yaml

import optibench_benchmarks
import optibench_optimizers
from optibench.cell.journal import Fault, History
from optibench.cell.run import run_cell
from optibench.cell.trials import Trial, incumbents
from optibench.errors import HarnessError
from optibench.options import declared
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.spec.budget import Budget
from optibench.spec.fidelity import FidelityChoice, cost_fraction, varied_fidelity
from optibench.spec.grid import Grid, load
from optibench.store.run_folder import Store
from optibench_benchmarks import Benchmark, Evaluation
from optibench_optimizers import Observation, Suggestion
from optibench_optimizers.adapters.random_search import RandomSearch

TABLE = "hpobench/nn/car"
ROOT = Path(__file__).parents[3]


class Levels(Benchmark):
    """One parameter; lower fidelities look better, cost less and take as many seconds as they have epochs."""

    name, has_cost = "levels", True

    def __init__(self) -> None:
        from ConfigSpace import ConfigurationSpace, Float, Integer

        self.space = ConfigurationSpace({"x": (0.0, 1.0)})
        self.fidelity_space = ConfigurationSpace()
        self.fidelity_space.add(Integer("epochs", (1, 10), default=10), Float("part", (0.1, 1.0), default=1.0))
        self.main_fidelity = "epochs"

    def evaluate(self, config: Any, *, seed: int, fidelity: Any = None) -> Evaluation:
        epochs = (fidelity or {}).get("epochs", 10)
        return Evaluation(config["x"] + epochs, float(epochs) * (1.0 + config["x"]))


class Chooses(RandomSearch):
    """Random search whose every other trial is at the fidelity that it is told to try; records what it is told."""

    fidelity: Any = None
    log: list[Any] = []  # noqa: RUF012  (of all instances: the runner closes them)

    def ask(self, n: int = 1) -> list[Suggestion]:
        self.log.append("ask")
        self.asked = getattr(self, "asked", 0) + 1
        return [Suggestion(s.config, self.fidelity if self.asked % 2 else None) for s in super().ask(n)]

    def tell(self, observations: Any) -> None:
        self.log += [(o.config["x"], o.fidelity) for o in observations]


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> type[Chooses]:
    """Both of them, as what every name means."""

    class Fresh(Chooses):
        log: list[Any] = []  # noqa: RUF012

    monkeypatch.setattr("optibench.cell.run.benchmark", lambda name: Levels())

    def create(spec: str, space: Any, *, seed: int, n_trials: int, fidelity: Any, **more: Any) -> Chooses:
        return Fresh(space, seed=0, n_trials=n_trials)

    monkeypatch.setattr("optibench.cell.run.optibench_optimizers.create", create)
    return Fresh


def cell(**changes: Any) -> Cell:
    return msgspec.structs.replace(Cell("key", "random", "levels", 0, 6, 0), **changes)


def test_a_fidelity_budget_counts_full_evaluations(levels: type[Chooses]) -> None:
    levels.fidelity = {"epochs": 2}
    trials = run_cell(cell(budget=Budget("fidelity", 3.0)))
    assert [trial.cost_fidelity for trial in trials] == [0.2, 1.0, 0.2, 1.0, 0.2, 1.0]
    assert sum(trial.cost_fidelity for trial in trials[:-1]) < 3.0 <= sum(trial.cost_fidelity for trial in trials)
    assert [trial.fidelity for trial in trials[:2]] == ['{"epochs": 2}', None]
    assert trials[0].simulated_start is None


def test_two_fidelities_multiply() -> None:
    assert cost_fraction(Levels(), {"epochs": 5, "part": 0.5}) == 0.25
    assert cost_fraction(Levels(), None) == cost_fraction(Levels(), {"epochs": 10}) == 1.0


def test_a_low_fidelity_is_no_incumbent(levels: type[Chooses]) -> None:
    levels.fidelity = {"epochs": 2}
    trials = run_cell(cell(budget=Budget("fidelity", 3.0)))
    values, shares = [trial.value for trial in trials], [trial.cost_fidelity for trial in trials]
    best = incumbents(values, ["ok"] * 6, shares, "minimize")
    assert math.isnan(best[0])
    assert best[1:] == [values[1], values[1], min(values[1::2][:2]), min(values[1::2][:2]), min(values[1::2])]
    assert min(values) < 10.0 <= min(best[1:])


@pytest.mark.parametrize("fidelity", [{"epochs": 11}, {"epochs": 2.5}, {"steps": 3}])
def test_an_illegal_fidelity_is_a_failed_trial(levels: type[Chooses], fidelity: Any) -> None:
    levels.fidelity = fidelity
    first, second = run_cell(cell(trials=2))
    assert (first.state, second.state) == ("failed", "ok")
    assert "illegal fidelity" in (first.error or "")
    assert first.cost_fidelity == 1.0


def test_seconds_are_those_that_the_task_says(levels: type[Chooses]) -> None:
    trials = run_cell(cell(budget=Budget("seconds", 60.0)))
    ends = [trial.simulated_end for trial in trials]
    assert ends == pytest.approx([sum(t.cost_seconds for t in trials[: i + 1]) for i in range(len(trials))])
    assert trials[-1].simulated_start < 60.0 <= ends[-1]


def test_what_costs_nothing_does_not_run_for_ever(levels: type[Chooses], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Levels, "evaluate", lambda *_, **__: Evaluation(1.0))
    monkeypatch.setattr("optibench.cell.account.MAX_TRIALS", 50)
    assert len(run_cell(cell(budget=Budget("seconds", 60.0)))) == 50


def test_simulated_workers_are_told_in_the_order_of_the_ends(levels: type[Chooses]) -> None:
    trials = run_cell(cell(trials=12, workers=3))
    assert [trial.simulated_start for trial in trials[:4]] == [0.0, 0.0, 0.0, min(t.simulated_end for t in trials[:3])]
    for now in {trial.simulated_start for trial in trials}:  # never more than three at a time, and never an idle worker
        assert sum(t.simulated_start <= now < t.simulated_end for t in trials if t.trial < 12) in (1, 2, 3)
    assert levels.log[:3] == ["ask"] * 3
    told = [entry[0] for entry in levels.log if entry != "ask"]
    by_end = sorted(trials, key=lambda trial: trial.simulated_end)
    assert told == [json.loads(trial.config)["x"] for trial in by_end][: len(told)]
    position = 0
    for trial in trials:  # at each ask, what has ended by then is told, and nothing else
        position = levels.log.index("ask", position) + 1
        ended = sum(other.simulated_end <= trial.simulated_start for other in trials)
        assert len([entry for entry in levels.log[:position] if entry != "ask"]) == ended


def test_one_simulated_worker_does_what_no_clock_does(levels: type[Chooses]) -> None:
    one, none = run_cell(cell(workers=1)), run_cell(cell())
    assert [t.config for t in one] == [t.config for t in none]
    assert [t.simulated_end for t in none] == [None] * 6


@pytest.mark.parametrize("done", [1, 3, 7])
def test_a_simulated_cell_resumes_from_any_trial(levels: type[Chooses], done: int) -> None:
    spec = cell(budget=Budget("seconds", 90.0), workers=3)
    levels.fidelity = {"epochs": 3}
    whole = run_cell(spec)
    log = list(levels.log)
    levels.log.clear()
    journal = [Trial.from_json(trial.to_json()) for trial in whole[:done]]
    again = run_cell(spec, past=History(journal))
    assert levels.log == log
    for one, other in zip(again, whole, strict=True):
        same = dict.fromkeys(("ask_seconds", "evaluate_seconds", "tell_seconds", "started_at"), 0.0)
        assert dataclasses.replace(one, **same) == dataclasses.replace(other, **same)


def test_a_tell_that_was_cut_off_is_left_out_on_a_simulated_clock(levels: type[Chooses]) -> None:
    spec = cell(trials=6, workers=2)
    whole = run_cell(spec)
    levels.log.clear()
    past = History(whole[:3], [Fault(3, "tell", "timeout", "tell: stopped", 5.0)])
    again = run_cell(spec, past=past)
    assert again[3].error == "tell: stopped"
    assert len(again) == 6
    told = [entry[0] for entry in levels.log if entry != "ask"]
    due = [t for t in whole[:3] if whole[2].simulated_start < t.simulated_end <= whole[3].simulated_start]
    assert due
    assert not {json.loads(trial.config)["x"] for trial in due} & set(told)


@pytest.mark.parametrize(("budget", "rows"), [(None, 6), (Budget("fidelity", 9.0), 9), (Budget("seconds", 60.0), 4)])
def test_a_cell_that_is_given_up_says_so_in_its_last_rows(levels: type[Chooses], budget: Any, rows: int) -> None:
    whole = run_cell(cell(budget=budget))
    end = Fault(3, "cell", "timeout", "cell: stopped", 0.0)
    trials = run_cell(cell(budget=budget), past=History(whole[:3], [end]))
    assert [trial.state for trial in trials] == ["ok"] * 3 + ["timeout"] * (rows - 3)
    killed = run_cell(cell(budget=budget), past=History(trials[:4], [end]))
    assert len(killed) == rows


# In a grid ------------------------------------------------------------------------------------------------------------

GRID = Grid(("random",), (TABLE,), (0, 1), 5, initial="own")


def keys(grid: Grid) -> set[str]:
    return {planned.key for planned in Plan.of(grid).cells()}


def test_what_is_not_used_changes_no_key() -> None:
    for folder in sorted(path.parent for path in (ROOT / "results").glob("*/grid.yaml")):
        planned = Store.open(folder).plan()
        used = {name for name in ("budget", "simulated_workers", "fidelity") if getattr(planned.grid, name)}
        assert used == ({"budget"} if folder.name == "fidelity" else set())
        stored = set(Store.open(folder).trials([], ["cell"]).column("cell").unique().to_pylist())
        assert {cell.key for cell in planned.cells()} == stored, folder
    assert Plan.of(GRID).tasks[TABLE].fidelity is None
    assert Plan.of(GRID) == Plan.of(msgspec.structs.replace(GRID, budget=None))


def test_what_is_used_changes_every_key() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"budget": Budget("fidelity", 5.0)},
        {"budget": Budget("seconds", 5.0)},
        {"simulated_workers": 1},
        {"simulated_workers": 2},
    ]
    found = [keys(msgspec.structs.replace(GRID, **change)) for change in changes]
    assert len(set.union(*found)) == 2 * len(changes)


def test_a_grid_with_a_cost_runs_resumes_and_reports(optibench: Any, table: Any, tmp_path: Path) -> None:
    arguments = ("-o", "random,sobol", "-b", TABLE, "-s", 3, "--initial", "own", "--budget", "seconds=900")
    arguments += ("--simulated-workers", 4)
    optibench("run", *arguments, "--no-report", "--executor", "serial", "--out", "one")
    optibench("run", *arguments, "--no-report", "-j", 2, "--out", "two")
    pd.testing.assert_frame_equal(table(tmp_path / "one"), table(tmp_path / "two"))
    trials = table(tmp_path / "one")
    assert trials.groupby(["optimizer", "seed"]).simulated_start.max().lt(900).all()
    assert "trials in the started cells" in optibench("status", "one").stdout
    assert yaml.safe_load((tmp_path / "one" / "grid.yaml").read_text())["grid"]["simulated_workers"] == 4
    optibench("run", "--out", "one", "--no-report")  # there is nothing left to do
    assert "holds a different grid" in optibench("run", *arguments[:-2], "--out", "one", check=2).stderr


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["fidelity", "fidelity=", "fidelity=-1", "fidelity=nan", "hours=3", "trials=2.5", "trials=0", 5, None, True, [],
     {}, {"fidelity": 1, "seconds": 2}, {"fidelity": True}, {"seconds": "inf"}, {"fidelity": 20000}],
)  # fmt: skip
def test_a_malformed_budget_is_one_sentence(value: Any) -> None:
    with pytest.raises(HarnessError, match=r"^here: (`budget` is one of|a budget of more than)"):
        declared(Grid)["budget"].value(value, "here")


def test_a_budget_is_read_from_a_file_or_a_flag(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "optimizers: [random]\nbenchmarks: [demo]\nbudget: {fidelity: 7.5}\nfidelity: {epochs: 3}\ninitial_size: 4\n"
    )
    grid, _ = load(str(file), {})
    assert (grid.trials, grid.budget, grid.fidelity) == (8, Budget("fidelity", 7.5), FidelityChoice("epochs", 3.0))
    assert load(str(file), {"trials": "9"})[0].budget is None
    assert load(str(file), {"budget": "seconds=60"})[0].budget == Budget("seconds", 60.0)
    assert load(str(file), {"budget": "trials=12"})[0].trials == 12
    file.write_text(file.read_text() + "trials: 5\n")
    with pytest.raises(HarnessError, match=r"grid.yaml:3: the budget is given twice"):
        load(str(file), {})
    with pytest.raises(HarnessError, match=r"^The command line: the budget is given twice"):
        load(str(file), {"trials": 3, "budget": "fidelity=3"})


@pytest.mark.parametrize("value", ["", 3, {"epochs": 0}, {"epochs": "x"}, "epochs=-2", {"a": 1, "b": 2}, {3: 1}, ["a"]])
def test_a_malformed_fidelity_is_one_sentence(value: Any) -> None:
    with pytest.raises(HarnessError, match=r"^here: `fidelity` is the name of a fidelity"):
        declared(Grid)["fidelity"].value(value, "here")


def test_the_fidelity_that_varies_is_the_main_one_or_the_chosen_one() -> None:
    found = varied_fidelity(Levels(), None)
    assert (found.name, found.low, found.high, found.whole) == ("epochs", 1.0, 10.0, True)
    assert varied_fidelity(Levels(), FidelityChoice("part", 0.25)).at(0.1) == {"part": 0.25}
    assert varied_fidelity(Levels(), FidelityChoice("epochs", 3.0)).low == 3.0


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (FidelityChoice("steps"), "levels has no fidelity 'steps'; it has epochs, part"),
        (
            FidelityChoice("epochs", 11.0),
            "Fidelity epochs of levels is a whole number between 1 and 10, which 11 is not",
        ),
        (FidelityChoice("epochs", 2.5), "a whole number between 1 and 10, which 2.5 is not"),
        (FidelityChoice("part", 0.05), "Fidelity part of levels is a number between 0.1 and 1.0, which 0.05 is not"),
    ],
)
def test_a_fidelity_that_the_task_does_not_have_is_one_sentence(choice: FidelityChoice, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        varied_fidelity(Levels(), choice)


def test_several_fidelities_without_a_main_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Levels()
    task.main_fidelity = None
    with pytest.raises(HarnessError, match="levels has several fidelities and no main one: name one with `fidelity:`"):
        varied_fidelity(task, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget", "seconds=60"), "known cost in seconds.*synthetic/sphere-2d has none"),
        (("--simulated-workers", "2"), "known cost in seconds.*synthetic/sphere-2d has none"),
        (("--simulated-workers", "0"), "`simulated_workers` is a whole number of at least 1"),
        (("--fidelity", "epochs"), "is for optimizers that choose fidelities, and this grid has none"),
        (("--budget", "fidelity=3", "-t", "3"), "the budget is given twice"),
    ],
)
def test_a_grid_that_cannot_be_is_one_sentence(optibench: Any, arguments: tuple[str, ...], message: str) -> None:
    done = optibench("run", "-o", "random", "-b", "synthetic/sphere-2d", *arguments, check=2)
    assert len(done.stderr.strip().splitlines()) == 1
    assert pd.Series([done.stderr]).str.contains(message).all()


def test_every_table_says_what_an_evaluation_costs() -> None:
    for name in ("hpobench/nn/car", "hpolib/protein_structure", "nasbench201/cifar10"):
        task = optibench_benchmarks.create(name)
        assert task.has_cost
        assert task.evaluate(dict(task.space.get_default_configuration()), seed=0).cost_seconds > 0


def test_an_observation_carries_its_fidelity(levels: type[Chooses]) -> None:
    levels.fidelity = {"epochs": 4}
    run_cell(cell(trials=2))
    assert [entry[1] for entry in levels.log if entry != "ask"] == [{"epochs": 4}, None]
    assert optibench_optimizers.entries()["random"].capabilities.multi_fidelity is False
    assert Observation({}, 1.0).fidelity is None

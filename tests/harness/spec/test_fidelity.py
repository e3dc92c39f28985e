"""Multi-fidelity optimizers on tasks that have fidelities: epochs and training sizes, of surrogates and for real."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import optibench_benchmarks
import optibench_optimizers
from optibench import external
from optibench.cell.journal import History
from optibench.cell.run import run_cell
from optibench.cell.trials import TIMINGS, Trial
from optibench.cli.listing import listing
from optibench.errors import HarnessError
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.plan.tasks import Fidelity as PlannedFidelity
from optibench.spec.budget import Budget
from optibench.spec.fidelity import FidelityChoice, cost_fraction, varied_fidelity
from optibench.spec.grid import Grid
from optibench_optimizers import Fidelity, Observation

LCBENCH, XGBOOST = "yahpo/lcbench/3945", "yahpo/rbv2_xgboost/12"
NAMES = ("asha", "asha:sampler=random", "hyperband")
needs_data = pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost")


def climb(optimizer: str, name: str, amount: float, **changes: Any) -> list[Trial]:
    return run_cell(Cell("key", optimizer, name, 0, 8, 0, Budget("fidelity", amount), **changes))


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_epochs_and_training_sizes_are_climbed(name: str) -> None:
    for where, parameter, rungs in (
        (LCBENCH, "epoch", [2, 6, 17, 52]),
        (XGBOOST, "trainsize", [1 / 27, 1 / 9, 1 / 3, 1.0]),
    ):
        trials = climb(name, where, 6.0)
        assert {trial.state for trial in trials} == {"ok"}
        levels = [json.loads(trial.fidelity or "")[parameter] for trial in trials]
        assert sorted(set(levels)) == pytest.approx(rungs)
        assert [trial.cost_fidelity for trial in trials] == pytest.approx([level / rungs[-1] for level in levels])
        assert 6.0 - 1e-9 <= sum(trial.cost_fidelity for trial in trials) < 7.0
        assert len(trials) > 12, "at that cost there is no point in fidelities"
        first = next(trial for trial in trials if trial.cost_fidelity == 1.0)
        before = [trial for trial in trials[: first.trial] if trial.config == first.config]
        assert len(before) == 3, "what is evaluated in full has been on every rung"


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_a_cell_resumes_in_the_middle_of_a_bracket(name: str) -> None:
    whole = climb(name, LCBENCH, 3.0, workers=3)
    untimed = dict.fromkeys(TIMINGS, 0.0)
    for done in (1, 13, len(whole) - 2):
        journal = [Trial.from_json(trial.to_json()) for trial in whole[:done]]
        cell = Cell("key", name, LCBENCH, 0, 8, 0, Budget("fidelity", 3.0), workers=3)
        again = run_cell(cell, past=History(journal))
        assert [dataclasses.replace(t, **untimed) for t in again] == [dataclasses.replace(t, **untimed) for t in whole]


@needs_data
def test_a_shared_initial_design_is_evaluated_in_full_once() -> None:
    for name in NAMES:
        trials = run_cell(Cell("key", name, LCBENCH, 0, 12, 4, Budget("fidelity", 6.0)))
        assert [trial.fidelity for trial in trials[:4]] == [None] * 4
        assert [trial.phase for trial in trials[3:5]] == ["initial", "search"]
        design = {trial.config for trial in trials[:4]}
        assert not design & {trial.config for trial in trials[4:]}, f"{name} evaluated the design again"


@needs_data
def test_a_higher_lowest_fidelity_is_kept_to() -> None:
    trials = climb("hyperband", LCBENCH, 4.0, fidelity=FidelityChoice("epoch", 5.0))
    assert {json.loads(trial.fidelity or "")["epoch"] for trial in trials} <= {6, 17, 52}
    with_repetitions = climb("asha", XGBOOST, 2.0, fidelity=FidelityChoice("repl"))
    assert {tuple(json.loads(trial.fidelity or "")) for trial in with_repetitions} == {("repl",)}


@pytest.mark.heavy
def test_real_trainings_have_their_epochs_varied() -> None:
    trials = climb("asha", "digits/mlp", 0.3)
    assert {trial.state for trial in trials} == {"ok"}
    assert [json.loads(trial.fidelity or "")["epochs"] for trial in trials][:2] == [1, 3]
    problem = optibench_benchmarks.create("digits/mlp")
    fidelity = json.loads(trials[1].fidelity or "")
    assert len(problem.evaluate(json.loads(trials[1].config or ""), seed=0, fidelity=fidelity).curve["epoch"]) == 3


@pytest.mark.parametrize(
    ("name", "main"),
    [("digits/mlp", "epochs"), ("hpobench/ml/svm/wine", "subsample"), ("hpobench/ml/lr/wine", "iter")],
)
def test_every_training_has_a_main_fidelity(name: str, main: str) -> None:
    problem = optibench_benchmarks.create(name)
    assert varied_fidelity(problem, None).name == main
    assert (
        varied_fidelity(optibench_benchmarks.create("digits/mlp+monotone=log"), None).name == "epochs"
        if name == "digits/mlp"
        else True
    )
    assert not problem.has_cost, "a training's time is this machine's"


@pytest.mark.parametrize("prefix", ["mainrun", "attention", "moe-router", "digits", "hpobench"])
def test_no_family_of_trainings_leaves_the_choice_open(prefix: str) -> None:
    for name in [
        name for name in optibench_benchmarks.families()[prefix].names() if not name.startswith("hpobench/nn")
    ][:2]:
        assert varied_fidelity(optibench_benchmarks.create(name), None).name in (
            "epochs",
            "iter",
            "n_estimators",
            "subsample",
        )


@needs_data
def test_what_is_spent_is_a_part_of_a_full_evaluation() -> None:
    problem = optibench_benchmarks.create(XGBOOST)
    assert cost_fraction(problem, {"trainsize": 0.5}) == 0.5
    assert cost_fraction(problem, {"trainsize": 0.5, "repl": 5}) == 0.25


# Bad input, lists, externals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["asha", "hyperband", "smac-hb"])
def test_a_task_without_fidelities_is_refused(name: str) -> None:
    message = (
        rf"^{name} varies a fidelity: synthetic/sphere-2d has no fidelity .* leave the task or the optimizer out\.$"
    )
    with pytest.raises(HarnessError, match=message):
        Plan.of(Grid(("random", name), ("synthetic/sphere-2d",), (0,), 5))


def test_a_fidelity_that_a_task_does_not_have_is_refused(optibench: Any) -> None:
    arguments = ("run", "-o", "asha", "-b", "digits/mlp", "--fidelity")
    for given, message in (
        ("epoch", "asha varies a fidelity: digits/mlp has no fidelity 'epoch'; it has data_fraction, epochs"),
        ("epochs=31", "Fidelity epochs of digits/mlp is a whole number between 1 and 30, which 31 is not."),
    ):
        assert message in optibench(*arguments, given, check=2).stderr


def test_what_varies_is_written_down_and_is_part_of_the_key() -> None:
    def plan(**changes: Any) -> Plan:
        return Plan.of(msgspec.structs.replace(Grid(("asha",), ("digits/mlp",), (0,), 5), **changes))

    assert plan().tasks["digits/mlp"].fidelity == PlannedFidelity("epochs", 1.0, 30.0, True)
    assert plan(fidelity=FidelityChoice("epochs", 3.0)).grid.fidelity == ("epochs", 3.0)
    assert Plan.of(Grid(("tpe",), ("digits/mlp",), (0,), 5)).tasks["digits/mlp"].fidelity is None


def test_the_list_says_which_choose_fidelities(optibench: Any) -> None:
    found = listing(("optimizers",))["optimizers"]
    assert {name for name, entry in found.items() if entry["multi_fidelity"]} == {"asha", "hyperband", "smac-hb"}
    assert optibench("list", "optimizers").stdout.count("multi-fidelity: needs tasks with a fidelity") == 3


@pytest.mark.parametrize("spec", ["hyperband:eta=1", "asha:eta=1", "asha:sampler=grid", "hyperband:fidelity=3"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises((optibench_optimizers.OptimizerError, HarnessError), match=r"'(eta|sampler|fidelity)'"):
        Plan.of(Grid((spec,), ("digits/mlp",), (0,), 5))


def test_a_fidelity_from_zero_is_refused() -> None:
    with pytest.raises(optibench_optimizers.OptimizerError, match="must lie between two positive numbers"):
        Fidelity("epochs", 0.0, 9.0)


WORKER = """
import sys
sys.path.insert(0, {sdk!r})
import optibench_worker

class Halving:
    def __init__(self, space, seed, n_trials, fidelity):
        self.fidelity = fidelity

    def ask(self, n):
        level = None if self.fidelity is None else {{self.fidelity["name"]: int(self.fidelity["low"])}}
        return [({{"x": 0.5}}, level)] * n

    def tell(self, observations):
        print(observations)

optibench_worker.serve(optimizer=Halving)
"""


@pytest.mark.usefixtures("fresh_registries")
def test_an_external_optimizer_is_told_what_it_may_vary(tmp_path: Path) -> None:
    sdk = Path(external.__file__).parent / "sdk"
    (tmp_path / "worker.py").write_text(WORKER.format(sdk=str(sdk)))
    one = {"command": [sys.executable, "worker.py"], "multi_fidelity": True}
    external.register(external.parse({"optimizers": {"halving": one}}, "test", tmp_path))
    space = optibench_benchmarks.create("synthetic/sphere-2d").space
    for fidelity, expected in ((None, None), (Fidelity("epochs", 2, 9, whole=True), {"epochs": 2})):
        optimizer = optibench_optimizers.create("halving", space, seed=0, n_trials=5, fidelity=fidelity)
        (suggestion,) = optimizer.ask()
        optimizer.tell([Observation(suggestion.config, 1.0, "ok", suggestion.fidelity)])
        optimizer.close()
        assert suggestion.fidelity == expected

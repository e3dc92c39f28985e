"""Tasks with several objectives: cost budgets, simulated workers and fidelities, against brute force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace, Float, Integer

import optibench as ob
import optibench_benchmarks
from optibench.errors import HarnessError
from optibench.store.to_results import load
from optibench_benchmarks import Benchmark, Evaluation, Family, Front
from optibench_benchmarks.hypervolume import normalised, volume
from optibench_reports import merge, write
from optibench_reports.data.score_array import read
from optibench_reports.stats.cost import at_cost


class Trained(Benchmark):
    """A gain to maximize against a size; with fewer epochs the gain looks better; seconds grow with both."""

    name, has_cost = "trained/gain", True
    objectives = {"gain": "maximize", "size": "minimize"}  # noqa: RUF012
    front = Front((1.0, 0.0), (0.0, 1.0), 2 / 3, ((1.0, 1.0), (0.5, 0.25), (0.0, 0.0)), "size = gain^2")

    def __init__(self) -> None:
        self.space = ConfigurationSpace([Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0))])
        self.fidelity_space = ConfigurationSpace([Integer("epochs", (1, 9), default=9)])

    def evaluate(self, config: Any, *, seed: int, fidelity: Any = None) -> Evaluation:
        epochs, x, y = (fidelity or {}).get("epochs", 9), config["x"], config["y"]
        gain = x * (1.0 - 0.3 * y) + 2.0 * (9 - epochs)
        return Evaluation(values=(gain, x * x), cost_seconds=epochs * (1.0 + 5.0 * y))


class Uncounted(Trained):
    """Without known seconds."""

    name, has_cost = "trained/uncounted", False


class Provider:
    def names(self) -> list[str]:
        return [Trained.name, Uncounted.name]

    def create(self, name: str) -> Benchmark:
        return Trained() if name == Trained.name else Uncounted()

    def missing(self) -> str | None:
        return None


PROVIDER = Provider()


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with optibench_benchmarks.registry.temporarily([Family("trained", "two objectives", f"{__name__}:PROVIDER")]):
        yield


def ran(out: Path, optimizers: list[str], **how: Any) -> pd.DataFrame:
    run = ob.run(optimizers=optimizers, tasks=Trained.name, seeds=2, out=out, executor="serial", **how)
    assert not len(run.failed)
    trials: pd.DataFrame = run.trials
    epochs = [each["epochs"] if isinstance(each, dict) else 9 for each in trials["fidelity"]]
    return trials.assign(epochs=epochs, config=trials["config"].map(str))


def missing_share(trials: pd.DataFrame) -> float:
    """The regret of some trials, of which full evaluations count."""
    full = trials[trials["cost_fidelity"] >= 1.0]
    points = [tuple(values) for values in full["values"]]
    found = volume(normalised(points, Trained.front.ideal, Trained.front.reference_point)) if points else 0.0
    return max(1.0 - found * 1.5, 0.0)


def check(out: Path, trials: pd.DataFrame, unit: str, ends: pd.Series, levels: list[float]) -> None:
    """Compare scores at costs with the trials that have ended by then."""
    results = load(out)
    grid = read(results)
    scores = at_cost(grid, unit, np.array([levels]))
    for (optimizer, seed), cell in trials.groupby(["optimizer", "seed"], observed=True):
        mine = scores[grid.optimizers.index(optimizer), 0, list(grid.seeds[0]).index(seed)]
        expected = [missing_share(cell[ends[cell.index] <= level + 1e-9]) for level in levels]
        assert mine.tolist() == pytest.approx(expected, abs=1e-12)
        assert len({*expected}) > 2


@pytest.mark.parametrize("workers", [0, 3])
def test_on_a_simulated_clock_the_front_is_that_of_the_trials_that_have_ended(tmp_path: Path, workers: int) -> None:
    how: dict[str, Any] = {"simulated_workers": workers} if workers else {}
    optimizers = ["random", "nsga2:population_size=5"]
    trials = ran(tmp_path / "out", optimizers, budget={"seconds": 300}, **how)
    assert (trials.groupby(["optimizer", "seed"], observed=True)["simulated_start"].max() < 300).all()
    in_order = trials.groupby(["optimizer", "seed"], observed=True)["simulated_end"].is_monotonic_increasing
    assert in_order.all() != bool(workers), "with several workers, later trials end earlier"
    check(tmp_path / "out", trials, "seconds", trials["simulated_end"], [1.0, 40.0, 75.0, 150.0, 300.0])
    results = load(tmp_path / "out")
    ahead = results.trials["ended_regret"] - results.trials["regret"] if workers else pd.Series([0.0])
    assert ahead.abs().max() > 0.01 or not workers
    report = write(merge([results]), tmp_path / "report", bootstrap_draws=200)
    assert "At the cost of 300 simulated seconds" in " ".join(report.summary.split())


@pytest.mark.parametrize("optimizer", ["hyperband", "smac-hb"])
def test_only_full_evaluations_are_on_the_front_and_all_are_paid_for(tmp_path: Path, optimizer: str) -> None:
    trials = ran(tmp_path / "out", ["random", optimizer], budget={"fidelity": 14}, initial="own")
    low = trials[trials["cost_fidelity"] < 1.0]
    assert set(low["optimizer"].astype(str)) == {optimizer}
    assert {*low["epochs"]} == {1, 3}
    spent = trials.groupby(["optimizer", "seed"], observed=True)["cost_fidelity"].cumsum()
    for _, cell in trials.groupby(["optimizer", "seed"], observed=True):
        assert cell["cost_fidelity"].sum() >= 14.0 > cell["cost_fidelity"].sum() - cell["cost_fidelity"].iloc[-1]
        assert cell["regret"].iloc[-1] == pytest.approx(missing_share(cell), abs=1e-12)
    check(tmp_path / "out", trials, "fidelity", spent, [1.0, 3.5, 7.0, 14.0])


def test_the_front_is_promoted_and_not_the_best_of_one_objective(tmp_path: Path) -> None:
    trials = ran(tmp_path / "out", ["hyperband"], budget={"fidelity": 14}, initial="own")
    cell = trials[trials["seed"] == 0]
    first = cell[cell["epochs"] == 1].head(9)
    promoted = first["config"].isin(cell.loc[cell["epochs"] == 3, "config"].head(3)).to_numpy()
    assert promoted.sum() == 3
    points = np.array([(-gain, size) for gain, size in first["values"]])
    for one in points[promoted]:
        assert not (points[~promoted] <= one).all(axis=1).any(), "none of the others dominates a promoted one"


def test_a_task_without_seconds_is_refused_and_so_is_a_fidelity_that_it_lacks() -> None:
    for how, says in (
        ({"budget": {"seconds": 10}}, "needs tasks whose evaluations have a known cost in seconds"),
        ({"simulated_workers": 2}, "needs tasks whose evaluations have a known cost in seconds"),
        ({"optimizers": "hyperband", "fidelity": "steps"}, "no fidelity 'steps'; it has epochs"),
        ({"optimizers": "asha"}, "does not take several objectives, which trained/uncounted has"),
    ):
        with pytest.raises(HarnessError, match=says):
            ob.run(**{"optimizers": "random", "tasks": Uncounted.name, "seeds": 1, "executor": "serial", **how})


@pytest.mark.data("yahpo/lcbench")
def test_a_pair_of_lcbench_can_be_evaluated_after_fewer_epochs() -> None:
    task = optibench_benchmarks.create("yahpo/lcbench/167200+objective=time")
    config = dict(task.space.get_default_configuration())
    few, full = (task.evaluate(config, seed=0, fidelity={"epoch": epoch}) for epoch in (5, 52))
    base = optibench_benchmarks.create("yahpo/lcbench/167200").evaluate(config, seed=0, fidelity={"epoch": 5})
    assert few.values == (base.value, base.info["time"])
    assert few.values[1] < full.values[1]
    assert full.values == task.evaluate(config, seed=0).values

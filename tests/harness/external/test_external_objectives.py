"""External processes with several objectives and constraints: version 2 of the protocol."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import optibench as ob
import optibench_benchmarks
import optibench_optimizers
from optibench import external
from optibench.errors import HarnessError
from optibench_benchmarks import BenchmarkError
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_optimizers import Observation, OptimizerError

WORKER = """
import json, pathlib, random, sys
import optibench_worker as worker

class Guess:
    def __init__(self, space, seed, n_trials, n_objectives, n_constraints):
        self.random, self.counts = random.Random(seed), [n_objectives, n_constraints]
    def ask(self, n):
        return [{"x": self.random.random(), "y": self.random.random()} for _ in range(n)]
    def tell(self, observations):
        with pathlib.Path("told.jsonl").open("a") as file:
            file.writelines(json.dumps([self.counts, one]) + "\\n" for one in observations)

class Two:
    def describe(self, task):
        found = {"space": worker.space(worker.number("x", 0, 1), worker.number("y", 0, 1)), "constraints": ["sum"]}
        if task == "one":
            return {**found, "direction": "maximize"}
        front = {"ideal": [1, 0], "reference_point": [0, 2], "hypervolume": 0.75, "points": [[1, 1], [0, 0]]}
        front["source"] = "analytic"
        return {**found, "objectives": {"gain": "maximize", "cost": "minimize"}, "front": front}
    def evaluate(self, task, config, seed, fidelity):
        x, y = config["x"], config["y"]
        if task == "broken":
            return {"values": 3}
        if task == "short":
            return {"values": [x], "constraints": [0]}
        if task == "one":
            return {"value": x, "constraints": [x + y - 1.2]}
        return {"values": [x, float("nan") if x > 0.9 else x + y], "constraints": [x + y - 1.2]}

if "one" in sys.argv:
    worker.PROTOCOL = 1
if "strict" in sys.argv:  # a worker of its own that refuses what it does not know
    def refuse(self, protocol, kind, old=worker._Handlers.on_initialize):
        if protocol != 1:
            raise worker.Refused("version 1 only")
        return old(self, protocol, kind)
    worker._Handlers.on_initialize = refuse
worker.serve(optimizer=Guess, benchmark=Two())
"""


@pytest.fixture
def register(tmp_path: Path, fresh_registries: None) -> Callable[..., None]:
    (tmp_path / "worker.py").write_text(WORKER)

    def do(*arguments: str, **more: Any) -> None:
        one: dict[str, Any] = {"command": [sys.executable, "worker.py", *arguments]}
        able = {"objectives": True, "constraints": True} | more
        values = {
            "optimizers": {"guess": {**one, **able}},
            "benchmarks": {"two": {**one, "tasks": ["gain", "one", "broken", "short"]}},
        }
        external.register(external.parse(values, "test", tmp_path))

    return do


class TestTwo(BenchmarkConformance):
    name = "two/one"

    @pytest.fixture(autouse=True)
    def _registered(self, register: Callable[..., None]) -> None:
        register()


def test_a_worker_describes_and_evaluates_several_objectives(register: Callable[..., None]) -> None:
    register()
    task = optibench_benchmarks.create("two/gain")
    assert (task.objectives, task.constraints) == ({"gain": "maximize", "cost": "minimize"}, ("sum",))
    assert task.front is not None
    assert (task.front.ideal, task.front.points) == ((1.0, 0.0), ((1.0, 1.0), (0.0, 0.0)))
    found = task.evaluate({"x": 0.25, "y": 0.5}, seed=0)
    assert (found.values, found.constraints) == ((0.25, 0.75), (0.75 - 1.2,))
    assert math.isnan(task.evaluate({"x": 0.95, "y": 0.5}, seed=0).values[1])
    with pytest.raises(BenchmarkError, match=r'it must be .* or "values" and "constraints"'):
        optibench_benchmarks.create("two/broken").evaluate({"x": 0.5, "y": 0.5}, seed=0)
    short = optibench_benchmarks.create("two/short")
    found = short.evaluate({"x": 0.5, "y": 0.5}, seed=0)
    with pytest.raises(ValueError, match="1 objectives, and declares 2"):
        short.numbers(found)


def test_a_grid_of_workers_tells_them_everything(register: Callable[..., None], tmp_path: Path) -> None:
    register()
    run = ob.run(
        optimizers=["guess", "nsga2:population_size=5"],
        benchmarks=["two/gain", "two/one"],
        seeds=1,
        trials=15,
        initial_size=3,
        executor="serial",
        out=tmp_path / "out",
    )
    trials = run.trials
    assert {"ok", "infeasible"} <= set(trials.state) <= {"ok", "infeasible", "failed"}
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert {tuple(counts) for counts, _ in told} == {(2, 1), (1, 1)}
    mine = trials[(trials.optimizer == "guess") & (trials.task == "two/gain")]
    of_gain = [one for counts, one in told if counts == [2, 1]]
    for (_, row), one in zip(mine.iterrows(), of_gain, strict=True):
        assert one["state"] == row.state
        if row.state == "failed":
            assert one["values"] == []
            continue
        assert one["values"] == [-row["values"][0], row["values"][1]]
        assert one["constraints"] == list(row["constraints"])
        assert one["value"] is None


@pytest.mark.parametrize("argument", ["one", "strict"])
def test_a_worker_of_version_1_works_with_one_objective_and_may_refuse_the_newer_version(
    register: Callable[..., None], argument: str
) -> None:
    register(argument, objectives=False, constraints=False)
    task = optibench_benchmarks.create("two/one")
    assert task.evaluate({"x": 0.25, "y": 0.5}, seed=0).value == 0.25
    with pytest.raises(OptimizerError, match="does not take several objectives"):
        optibench_optimizers.create("guess", task.space, seed=0, n_trials=5, n_objectives=2)


def test_a_worker_of_version_1_that_declares_objectives_is_one_sentence(register: Callable[..., None]) -> None:
    register("one")
    space = optibench_benchmarks.create("synthetic/sphere-2d").space
    with pytest.raises(OptimizerError, match="which version 1 of the protocol does not have"):
        optibench_optimizers.create("guess", space, seed=0, n_trials=5)


def test_a_single_objective_task_tells_nothing_more(register: Callable[..., None], tmp_path: Path) -> None:
    register()
    space = optibench_benchmarks.create("two/one").space
    optimizer = optibench_optimizers.create("guess", space, seed=0, n_trials=5)
    optimizer.tell([Observation({"x": 0.5, "y": 0.5}, 1.0)])
    optimizer.close()
    assert "values" not in (tmp_path / "told.jsonl").read_text()


def test_planning_refuses_a_worker_that_does_not_declare_them(register: Callable[..., None]) -> None:
    from optibench.plan.plan import Plan
    from optibench.spec.grid import Grid

    register(objectives=False)
    with pytest.raises(HarnessError, match="'guess' does not take several objectives, which two/gain has"):
        Plan.of(Grid(("guess",), ("two/gain",), (0,), 5))

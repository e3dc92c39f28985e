"""Functions with several objectives or constraints as tasks, and optimizers of one's own on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optibench as ob

SPACE = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
FRONT = ob.Front((1.0, 0.0), (0.0, 2.0), 0.75, ((1.0, 1.0), (0.0, 0.0)), "by hand")
OBJECTIVES: Any = {"gain": "maximize", "cost": "minimize"}


def two(config: dict[str, Any]) -> ob.Evaluation:
    x, y = config["x"], config["y"]
    return ob.Evaluation(values=(x, x + y), constraints=(x + y - 1.2,))


def capped(config: dict[str, Any]) -> ob.Evaluation:
    return ob.Evaluation(config["x"], constraints=(config["x"] + config["y"] - 1.2,))


class Greedy(ob.Optimizer):
    """Steps from the feasible trial with the highest gain."""

    capabilities = ob.Capabilities(objectives=True, constraints=True)

    def __init__(self, space: Any, *, seed: int, n_trials: int, n_objectives: int = 1) -> None:
        self.rng, self.n_objectives = np.random.default_rng(seed), n_objectives
        self.best: ob.Observation | None = None

    def ask(self, n: int = 1) -> list[ob.Suggestion]:
        start = {"x": 0.5, "y": 0.5} if self.best is None else self.best.config
        return [ob.Suggestion({k: float(np.clip(v + self.rng.normal(0, 0.1), 0, 1)) for k, v in start.items()})]

    def tell(self, observations: Any) -> None:
        for one in observations:
            assert len(one.values) == self.n_objectives
            if one.state == "ok" and (self.best is None or one.values[0] < self.best.values[0]):
                self.best = one


def test_functions_with_objectives_and_constraints_run_in_processes(tmp_path: Path) -> None:
    tasks = [
        ob.task(two, SPACE, objectives=OBJECTIVES, constraints=["sum"], front=FRONT),
        ob.task(capped, SPACE, direction="maximize", constraints=["sum"]),
        ob.task(capped, SPACE, direction="maximize", constraints=["sum"], reference="random", best=1.0, name="known"),
    ]
    run = ob.run(
        optimizers=[Greedy, "random"], tasks=tasks, seeds=1, trials=20, initial_size=4, jobs=2, out=tmp_path / "o"
    )
    trials = run.trials
    assert len(run.failed) == 0
    assert set(trials.state) == {"ok", "infeasible"}
    last = trials[trials.trial == 19].set_index(["task", "optimizer"])
    assert np.isfinite(last.loc[["two", "known"], "regret"]).all()
    assert last.loc["capped", "regret"].isna().all()
    assert (last.loc["capped", "incumbent"] <= 1.0).all()
    assert last.loc[("capped", "Greedy"), "incumbent"] > 0.6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"objectives": {"gain": "maximize"}}, "`objectives` must be empty or several"),
        ({"objectives": OBJECTIVES, "front": FRONT, "reference": "random"}, "have a `front`, not a `reference`"),
        ({"objectives": dict.fromkeys(OBJECTIVES, "minimize"), "front": FRONT}, "'gain' is to be minimized"),
        ({"constraints": [1]}, "tuple of names"),
        ({"front": FRONT}, "`front` is for several objectives"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ob.BenchmarkError) as refused:
        ob.task(two, SPACE, **arguments)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_several_objectives_without_a_front_are_refused_before_the_run(tmp_path: Path) -> None:
    task = ob.task(two, SPACE, objectives=OBJECTIVES, constraints=["sum"])
    with pytest.raises(ob.HarnessError, match="two has several objectives and no frozen front"):
        ob.run(optimizers=["random"], tasks=[task], seeds=1, trials=5, initial_size=2, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("most", "feasible"), [(0.3, True), (-1.0, False)])
def test_a_random_reference_counts_feasible_configurations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], most: float, feasible: bool
) -> None:
    def tight(config: dict[str, Any]) -> ob.Evaluation:
        return ob.Evaluation(config["x"], constraints=(config["x"] + config["y"] - most,))

    task = ob.task(tight, SPACE, direction="maximize", constraints=["sum"], reference="random", best=1.0)
    how: dict[str, Any] = {"seeds": 1, "trials": 5, "initial_size": 2, "executor": "serial", "out": tmp_path / "out"}
    if not feasible:
        with pytest.raises(ob.HarnessError, match="None of 100 random configurations of tight is feasible"):
            ob.run(optimizers=["random"], tasks=[task], **how)
        return
    run = ob.run(optimizers=["random"], tasks=[task], **how)
    found = run._plan.tasks["tight"]
    assert found.random is not None
    assert (found.random.n, found.random.failed) == (100, 0)
    assert 0.0 < found.random.f_worst < found.random.f_ref < 0.3

"""A user's file as a type checker sees it; `wrong` on a line says that there is an error."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

import optibench as ob


class Mine(ob.Optimizer):
    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int, share: float = 0.5) -> None:
        self.rng = np.random.default_rng(seed)

    def ask(self, n: int = 1) -> list[ob.Suggestion]:
        return [ob.Suggestion({"x": 1.0})] * n

    def tell(self, observations: Sequence[ob.Observation]) -> None:
        return None


class Task(ob.Benchmark):
    space = ConfigurationSpace({"x": (-5.0, 5.0)})

    def evaluate(
        self, config: Mapping[str, Any], *, seed: int, fidelity: Mapping[str, Any] | None = None
    ) -> ob.Evaluation:
        return ob.Evaluation(float(config["x"]))


def loss(config: dict[str, Any]) -> float:
    return float(config["x"])


mine = ob.task(loss, {"x": (-5.0, 5.0)}, direction="maximize", reference="random", best=5.0)
run = ob.run(
    optimizers=["tpe", Mine, partial(Mine, share=0.1), ob.optimizer(Mine, name="wide", share=1.0)],
    tasks=["hpobench/*", mine, Task, Task()],
    seeds=5,
    trials=50,
    jobs=2,
    out="runs/first",
    evaluation_limit="5m",
)
n: int = len(run.trials)
report: ob.Report = run.report(at=[10])
print(report.summary, report.table, run.cells, run.failed, ob.load("runs/first"), ob.compare(run, "b").agreement)
print(ob.optimizers(), ob.tasks("yahpo/*"))
state: str = run.finished  # wrong
ob.task(3, {})  # wrong
ob.run(tasks=[3])  # wrong

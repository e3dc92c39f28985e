"""Add a benchmark of your own and run optimizers on it: `python examples/add_a_benchmark.py`.

In a package, replace the call of ``register`` by an entry point, so that the command line and worker processes find it:

    [project.entry-points."optibench.benchmarks"]
    forest = "your_package:FAMILY"
"""

from __future__ import annotations

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

import optibench_benchmarks
from optibench.cell.run import run_cell
from optibench.plan.cells import Cell
from optibench_benchmarks import Benchmark, Config, Evaluation, Family


class Forest(Benchmark):
    """Cross-validated accuracy of a small random forest on scikit-learn's wine data."""

    direction = "maximize"
    sampling = "noisy"

    def __init__(self, name: str) -> None:
        self.name = name
        self.space = ConfigurationSpace(
            [
                Integer("n_estimators", (1, 30), log=True),
                Integer("max_depth", (1, 10)),
                Float("max_features", (0.1, 1.0)),
                Categorical("criterion", ["gini", "entropy"]),
            ]
        )

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        x, y = load_wine(return_X_y=True)
        model = RandomForestClassifier(**config, random_state=seed)
        return Evaluation(float(np.mean(cross_val_score(model, x, y, cv=3))))


class Provider:
    """What the registry asks of a family."""

    def names(self) -> list[str]:
        return ["forest/wine"]

    def create(self, name: str) -> Benchmark:
        if name not in self.names():
            raise optibench_benchmarks.UnknownBenchmarkError(f"Unknown benchmark {name!r}: there is only forest/wine.")
        return Forest(name)

    def missing(self) -> None:
        return None


PROVIDER = Provider()
FAMILY = Family("forest", "random forests on small data", f"{__name__}:PROVIDER")

if __name__ == "__main__":
    optibench_benchmarks.register(FAMILY)
    for name in ("random", "tpe"):
        best = max(
            trial.value for trial in run_cell(Cell("example", name, "forest/wine", 0, trials=20, initial_size=5))
        )
        print(f"{name:<8} best accuracy in 20 trials: {best:.4f}")

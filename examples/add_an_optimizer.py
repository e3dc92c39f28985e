"""Add an optimizer of your own and compare it: `python examples/add_an_optimizer.py`.

In a package, replace the call of ``register`` by an entry point, so that the command line and worker processes find it:

    [project.entry-points."optibench.optimizers"]
    local-search = "your_package:ENTRY"
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace
from ConfigSpace.util import get_one_exchange_neighbourhood

import optibench_optimizers
from optibench.cell.run import run_cell
from optibench.plan.cells import Cell
from optibench_optimizers import Capabilities, Entry, Observation, Optimizer, Suggestion


class LocalSearch(Optimizer):
    """Change one parameter of the best configuration so far."""

    capabilities = Capabilities(conditional="native", failed="left out")

    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int, stdev: float = 0.2) -> None:
        self.space, self.stdev = space, stdev
        self.rng = np.random.default_rng(seed)
        self.best: Observation | None = None

    def ask(self, n: int = 1) -> list[Suggestion]:
        if self.best is None:
            return [Suggestion(dict(self.space.get_default_configuration()))] * n
        best = Configuration(self.space, values=dict(self.best.config))
        neighbours = list(get_one_exchange_neighbourhood(best, seed=int(self.rng.integers(2**31)), stdev=self.stdev))
        picked = self.rng.choice(len(neighbours), size=n)
        return [Suggestion(dict(neighbours[index])) for index in picked]

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            better = self.best is None or observation.value < self.best.value
            if observation.state == "ok" and better:
                self.best = observation


ENTRY = Entry(
    name="local-search",
    summary="one-exchange neighbours of the incumbent",
    target="__main__:LocalSearch",
    capabilities=LocalSearch.capabilities,
)

if __name__ == "__main__":
    optibench_optimizers.register(ENTRY)
    for name in ("random", "local-search", "local-search:stdev=0.05"):
        cells = [Cell("example", name, "hpobench/nn/car", seed, trials=50, initial_size=10) for seed in range(5)]
        best = [max(trial.value for trial in run_cell(cell)) for cell in cells]
        print(f"{name:<26} mean accuracy after 50 trials: {np.mean(best):.4f}")

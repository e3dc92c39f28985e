"""Write an optimizer of your own and compare it: `python examples/add_an_optimizer.py`.

In a package, an entry point makes the command line know it as well (docs/how-to/plugins.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace
from ConfigSpace.util import get_one_exchange_neighbourhood

import optibench as ob


class LocalSearch(ob.Optimizer):
    """Change one parameter of the best configuration so far."""

    name = "local-search"
    capabilities = ob.Capabilities(conditional="native", failed="left out")

    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int, stdev: float = 0.2) -> None:
        self.space, self.stdev = space, stdev
        self.rng = np.random.default_rng(seed)
        self.best: ob.Observation | None = None

    def ask(self, n: int = 1) -> list[ob.Suggestion]:
        if self.best is None:
            return [ob.Suggestion(dict(self.space.get_default_configuration()))] * n
        best = Configuration(self.space, values=dict(self.best.config))
        neighbours = list(get_one_exchange_neighbourhood(best, seed=int(self.rng.integers(2**31)), stdev=self.stdev))
        picked = self.rng.choice(len(neighbours), size=n)
        return [ob.Suggestion(dict(neighbours[index])) for index in picked]

    def tell(self, observations: Sequence[ob.Observation]) -> None:
        for observation in observations:
            better = self.best is None or observation.value < self.best.value
            if observation.state == "ok" and better:
                self.best = observation


run = ob.run(
    optimizers=["random", LocalSearch, ob.optimizer(LocalSearch, stdev=0.05)],
    tasks=["hpobench/nn/car", "synthetic/ackley-2d"],
    seeds=5,
    trials=50,
    out="runs/local-search",
)
print(run.report().summary)

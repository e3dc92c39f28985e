"""Tasks with a known optimum: how many bits of a hidden pattern a configuration has."""

from __future__ import annotations

import re

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace

from optibench_benchmarks import Benchmark, Config, Evaluation, Reference, UnknownBenchmarkError


class Bits(Benchmark):
    """The share of bits that agree with a pattern, which the task's number of bits determines."""

    direction = "maximize"
    sampling = "deterministic"

    def __init__(self, name: str, n: int) -> None:
        self.name = name
        self.space = ConfigurationSpace()
        self.space.add([Categorical(f"b{index}", [0, 1]) for index in range(n)])
        # Exact: all agree at best; half of random configurations are above one half, as many below.
        self.reference = Reference(f_best=1.0, f_ref=0.5, f_worst=0.0, source="exact")
        self._pattern = np.random.default_rng(n).integers(2, size=n).tolist()

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        agree = sum(config[f"b{index}"] == bit for index, bit in enumerate(self._pattern))
        return Evaluation(agree / len(self._pattern))


class Provider:
    """What the registry asks of the family ``bits``."""

    def names(self) -> list[str]:
        return ["bits/8", "bits/20"]

    def create(self, name: str) -> Benchmark:
        match = re.fullmatch(r"bits/([1-9][0-9]?)", name)
        if match is None:
            raise UnknownBenchmarkError(f"Unknown benchmark {name!r}: write bits/N with N from 1 to 99.")
        return Bits(name, int(match[1]))

    def missing(self) -> str | None:
        return None


provider = Provider()

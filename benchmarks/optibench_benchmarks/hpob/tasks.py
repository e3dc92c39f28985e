"""HPO-B's recorded pools: ``hpob/<space>/<task>``, the space's and the OpenML task's number.

92 pools of 15 search spaces, which are five learners (rpart, svm, glmnet, xgboost, ranger), on 47 OpenML tasks, from
the package ``bocode``. A value is a recorded validation accuracy, maximized; :mod:`optibench_benchmarks.hpob.rows`
says which row a configuration denotes. The best, the median and the worst row are exact. HPO-B's surrogates are left
out: they predict values above every recorded one.

Headlines leave out pools with fewer than 1,000 distinct rows and pools of which more than 2 % of the rows have a
regret below .05 (``left_out``); 47 pools remain.

Source: Pineda-Arango et al., "HPO-B: A Large-Scale Reproducible Benchmark for Black-Box HPO based on OpenML", NeurIPS
Datasets and Benchmarks 2021.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from optibench_benchmarks import data
from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Evaluation, Reference
from optibench_benchmarks.hpob.pools import Array, pools, read
from optibench_benchmarks.hpob.rows import Rows
from optibench_benchmarks.hpob.spaces import SPACES
from optibench_benchmarks.named_tasks import NamedTasks

DATA = "hpob"


@functools.lru_cache(maxsize=4)
def _load(name: str, version: str) -> tuple[Rows, Array]:
    """A pool and its values, up to 20 MB."""
    table, values = read(data.locate(DATA) / "hpob_data.npz", name)
    return Rows(name, SPACES[name.split("/")[1]], table), values


class HpobBenchmark(Benchmark):
    """One pool.

    Attributes:
        rows: Its rows and their search space.
        values: The accuracy of each row.
    """

    def __init__(self, name: str) -> None:
        pool = pools()[name]
        self.name, self.left_out = name, pool.left_out
        self.direction, self.sampling = "maximize", "deterministic"
        self.data_version = data.version(DATA)
        self.rows, self.values = _load(name, self.data_version)
        self.space = self.rows.space()
        self.reference = self.measure_reference()

    def __reduce__(self) -> tuple[Callable[[str], Benchmark], tuple[str]]:
        """Other processes build the task from its name and read the rows themselves."""
        return HpobBenchmark, (self.name,)

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        if fidelity:
            raise BenchmarkError(f"{self.name} has no fidelity, so {', '.join(fidelity)} cannot be set.")
        row = self.rows.row(config)
        return Evaluation(float(self.values[row]), info={"row": row})

    def measure_reference(self) -> Reference:
        """The exact best, median and worst of the distinct rows."""
        best, middle, worst = (float(value) for value in np.quantile(self.values, (1.0, 0.5, 0.0)))
        return Reference(best, middle, worst, f"complete pool of {len(self.values)} rows")


provider = NamedTasks(tuple(pools()), HpobBenchmark, lacks=lambda name: data.lacking(DATA))

"""The search for fronts, and for the best feasible values, of real tunings with several objectives or constraints.

All tasks over one tuning share the evaluations, which return every quantity:

1. random configurations: their medians go into the reference points, and the feasible ones give ``f_ref`` and
   ``f_worst``;
2. the best configuration known for the value alone;
3. for each task in turn, one to three changes of a parameter of one of its elites: its front, or its eight best
   feasible configurations; those that come closest to the bounds while fewer are feasible.

What is found is *best known*, not proven. No optimizer of the bench takes part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from ConfigSpace import Configuration

from optibench_benchmarks.base import Benchmark, BenchmarkError, Evaluation, Reference
from optibench_benchmarks.configurations import near, plain
from optibench_benchmarks.hypervolume import Floats, nondominated
from optibench_benchmarks.quantities import Extended
from optibench_benchmarks.references.fronts import Frozen, of_search
from optibench_benchmarks.references.table import NEAR_BEST, Entry, find

RANDOM, LOCAL, ELITES = 1001, 1200, 8
"""Random configurations, changed ones for all tasks over a tuning, and elites where the front is shorter."""


class _Archive:
    """All evaluations that did not fail, as one task sees them."""

    def __init__(self, task: Extended) -> None:
        self.task = task
        directions = task.objectives.values() if task.objectives else [task.direction]
        self.signs = np.array([1.0 if direction == "minimize" else -1.0 for direction in directions])
        self.values: list[tuple[float, ...]] = []
        self.over: list[float] = []

    def add(self, evaluation: Evaluation, configuration: Configuration) -> None:
        values, constraints = self.task.numbers(self.task.extended(evaluation, dict(configuration)))
        self.values.append(values)
        self.over.append(sum(max(number, 0.0) for number in constraints))

    def elites(self) -> npt.NDArray[np.int64]:
        """The rows to change."""
        values, over = np.array(self.values) * self.signs, np.array(self.over)
        if (over == 0.0).sum() < ELITES:
            return np.argsort(over, kind="stable")[:ELITES]
        return elites(values, np.flatnonzero(over == 0.0))


def elites(values: Floats, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The front among some rows of values, (n, M), to be minimized; up to :data:`ELITES`, the fronts of the rest."""
    found = rows[:0]
    while len(found) < ELITES and len(rows):
        first = nondominated(values[rows])
        found, rows = np.concatenate([found, rows[first]]), rows[~first]
    return found


def search(tasks: Sequence[Extended], *, seed: int = 0) -> list[Frozen | Entry]:
    """The fronts and references of tasks over one tuning.

    Args:
        tasks: They add objectives or constraints to the same task.
        seed: Determines the result, together with the tasks and the processor's rounding.

    Raises:
        BenchmarkError: Nothing feasible is found.
    """
    root, rng = tasks[0].root, np.random.default_rng(seed)
    root.space.seed(seed)
    configurations: list[Configuration] = []
    archives = [_Archive(task) for task in tasks]

    def attempt(configuration: Configuration) -> None:
        try:
            evaluation = root.evaluate(plain(dict(configuration)), seed=seed)
        except root.failures:
            return
        configurations.append(configuration)
        for archive in archives:
            archive.add(evaluation, configuration)

    for configuration in root.space.sample_configuration(RANDOM):
        attempt(configuration)
    random = len(configurations)
    known = find(root.name, data_version=root.data_version)
    if known is not None and known.best is not None:
        attempt(Configuration(root.space, values=dict(known.best)))
    for step in range(LOCAL):
        attempt(near(configurations[rng.choice(archives[step % len(tasks)].elites())], rng))
    source = f"best known: {RANDOM} random and {LOCAL} local configurations"
    source += f", shared by {len(tasks)} tasks" * (len(tasks) > 1)
    return [_result(archive, configurations, random, source, seed) for archive in archives]


def _result(
    archive: _Archive, configurations: Sequence[Configuration], random: int, source: str, seed: int
) -> Frozen | Entry:
    task, values, feasible = archive.task, np.array(archive.values), np.array(archive.over) == 0.0
    if task.objectives:
        return of_search(task, values, feasible, random, lambda row: plain(dict(configurations[row])), source)
    return _reference(task, values[:, 0] * archive.signs[0], feasible, random, configurations, source, seed)


def _reference(
    task: Benchmark,
    values: Floats,
    feasible: npt.NDArray[np.bool_],
    random: int,
    configurations: Sequence[Configuration],
    source: str,
    seed: int,
) -> Entry:
    """The reference of values, (n,), to be minimized."""
    drawn = values[:random][feasible[:random]]
    if not len(drawn):
        raise BenchmarkError(f"No random configuration of {task.name} fulfils its constraints; loosen the bounds.")
    best = int(np.flatnonzero(feasible)[values[feasible].argmin()])
    sign = 1.0 if task.direction == "minimize" else -1.0
    f_best, f_ref, f_worst = (sign * float(each) for each in (values[best], np.median(drawn), drawn.max()))
    try:
        reference = Reference(f_best, f_ref, f_worst, f"{source}; {len(drawn)} random ones feasible")
    except ValueError as error:
        raise BenchmarkError(f"No reference can be made for {task.name}: {error}.") from None
    near_best = sum(reference.regret(sign * float(value)) < NEAR_BEST for value in drawn) / RANDOM
    return Entry(task.name, reference, task.data_version, plain(dict(configurations[best])), seed, near_best)

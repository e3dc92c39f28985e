"""The search for fronts, and for the best feasible values, of real tunings with several objectives or constraints.

All tasks over one tuning share the evaluations, which return every quantity. A noisy training has the numbers of its
``reference_plan`` in the steps 1 and 3, there twice, and a step 4:

1. random configurations: their medians go into the reference points, and the feasible ones give ``f_ref`` and
   ``f_worst``;
2. the best configuration known for the value alone;
3. for each task in turn, one to three changes of a parameter of one of its elites: its front, or its eight best
   feasible configurations; those that come closest to the bounds while fewer are feasible;
4. only of a noisy training, whose best outcomes are partly luck: :data:`FINALISTS` of the elites, evenly spread, are
   trained again with :data:`REPEATS` other seeds. The front is that of their means, so a lucky trial can be beyond it.

What is found is *best known*, not proven. No optimizer of the bench takes part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from ConfigSpace import Configuration

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Evaluation, Reference
from optibench_benchmarks.configurations import near, plain
from optibench_benchmarks.hypervolume import Floats, nondominated
from optibench_benchmarks.quantities import Extended
from optibench_benchmarks.references.fronts import Frozen, of_search, spread
from optibench_benchmarks.references.search_training import FINAL_SEED
from optibench_benchmarks.references.table import NEAR_BEST, Entry, find
from optibench_benchmarks.training.base import TrainingBenchmark

RANDOM, LOCAL, ELITES = 1001, 1200, 8
"""Random configurations, changed ones for all tasks over a tuning, and elites where the front is shorter."""
FINALISTS, REPEATS = 40, 3
"""Configurations for the front of a noisy training, and with how many seeds each."""


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

    def finalists(self) -> npt.NDArray[np.int64]:
        """The rows to train again: elites, evenly spread along the first objective."""
        values = np.array(self.values) * self.signs
        found = elites(values, np.flatnonzero(np.array(self.over) == 0.0), FINALISTS)
        return found[np.argsort(values[found, 0], kind="stable")][spread(len(found), FINALISTS)]


def elites(values: Floats, rows: npt.NDArray[np.int64], least: int = ELITES) -> npt.NDArray[np.int64]:
    """The front among some rows of values, (n, M), to be minimized; up to ``least``, the fronts of the rest."""
    found = rows[:0]
    while len(found) < least and len(rows):
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
    n_random, n_local, n_trained = RANDOM, LOCAL, 0
    if noisy := isinstance(root, TrainingBenchmark) and root.sampling == "noisy":
        n_random, n_local = root.reference_plan.random, 2 * root.reference_plan.local

    def attempt(configuration: Configuration) -> None:
        nonlocal n_trained
        n_trained += 1
        try:
            evaluation = root.evaluate(plain(dict(configuration)), seed=n_trained)
        except root.failures:
            return
        configurations.append(configuration)
        for archive in archives:
            archive.add(evaluation, configuration)

    for configuration in root.space.sample_configuration(n_random):
        attempt(configuration)
    random = len(configurations)
    known = find(root.name, data_version=root.data_version)
    if known is not None and known.best is not None:
        attempt(Configuration(root.space, values=dict(known.best)))
    for step in range(n_local):
        attempt(near(configurations[rng.choice(archives[step % len(tasks)].elites())], rng))
    source = f"best known: {n_random} random and {n_local} local configurations"
    source += f", shared by {len(tasks)} tasks" * (len(tasks) > 1)
    if noisy:
        return [_of_means(archive, configurations, random, source, n_trained) for archive in archives]
    return [_result(archive, configurations, random, source, seed) for archive in archives]


def _of_means(
    archive: _Archive, configurations: Sequence[Configuration], random: int, source: str, trained: int
) -> Frozen:
    """The front of a task over a noisy training."""
    task, values, rows = archive.task, np.array(archive.values), archive.finalists()
    configs = [plain(dict(configurations[row])) for row in rows]
    means = np.array([mean_outcomes(task, config) for config in configs])
    feasible, known = np.array(archive.over) == 0.0, np.isfinite(means).all(axis=1)
    source += f", means of {len(rows)} over {REPEATS} seeds, {trained + len(rows) * REPEATS} trainings"
    values, feasible = np.concatenate([values, means]), np.concatenate([feasible, known])
    first = len(archive.values)
    return of_search(task, values, feasible, random, lambda row: configs[row - first], source, first=first)


def mean_outcomes(task: Benchmark, config: Config) -> tuple[float, ...]:
    """The mean objectives of a configuration over :data:`REPEATS` seeds of its own; NaN if a training fails."""
    try:
        found = [task.numbers(task.evaluate(config, seed=FINAL_SEED + i))[0] for i in range(REPEATS)]
    except task.failures:
        return (np.nan,) * len(task.objectives)
    return tuple(np.mean(found, axis=0).tolist())


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

"""The search for the fronts of tasks that evaluate thousands of configurations a second.

It works on points of the unit cube. A population, the front so far and then the fronts of the rest, has children by
differential variation, crossover and Gaussian steps (:func:`optibench_benchmarks.references.search_yahpo.offspring`);
where the front is longer than the population, the points in the least crowded places survive (K. Deb et al., "A Fast
and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 6, 2002). What is
found is *best known*. No optimizer of the bench takes part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config
from optibench_benchmarks.hypervolume import nondominated
from optibench_benchmarks.quantities import FurtherObjective
from optibench_benchmarks.references.fronts import Frozen, of_search
from optibench_benchmarks.references.search_yahpo import Codec, Points, offspring
from optibench_benchmarks.yahpo.tasks import YahpoBenchmark

RANDOM = 1001
"""Random configurations, whose medians go into the reference point; odd, so that the median is one of the values."""
EVALUATIONS = 200_000
_POPULATION = 200
_ARCHIVE, _LAYERS = 1000, 10
"""Points of a front that are kept on the way; fronts of the rest that fill up a short one."""
Outcomes = Callable[[Points], Points]
"""The objectives, (n, M), of points of the unit cube, (n, D)."""


def search(task: Benchmark, *, seed: int = 0, evaluations: int = EVALUATIONS) -> Frozen:
    """The front of a task of YAHPO with a further objective, or of ``bbob-biobj``.

    Args:
        task: The task.
        seed: Determines the result, together with the task and ``evaluations``.
        evaluations: Approximate number of configurations to evaluate.

    Raises:
        BenchmarkError: The task is of another kind.
    """
    outcomes, config, categorical = _view(task)
    signs = np.array([1.0 if direction == "minimize" else -1.0 for direction in task.objectives.values()])
    rng = np.random.default_rng(seed)
    random = rng.random((RANDOM, len(categorical)))
    points = random
    random_values = values = outcomes(random)
    for _ in range(evaluations // 500):
        points, values = _survivors(points, values, signs, _ARCHIVE)
        best = _survivors(points, values, signs, _POPULATION)[0]
        # in a random order, so that every part of the front has children
        children = offspring(rng.permutation(best), rng, categorical)
        points, values = np.concatenate([points, children]), np.concatenate([values, outcomes(children)])
    points = np.concatenate([random, points])
    values = np.concatenate([random_values, values])
    source = f"best known: evolutionary search, {evaluations:,} evaluations; {RANDOM} random configurations"
    feasible = np.ones(len(values), dtype=np.bool_)
    return of_search(task, values, feasible, RANDOM, lambda row: config(points[row]), source)


def _view(task: Benchmark) -> tuple[Outcomes, Callable[[Points], Config], NDArray[np.bool_]]:
    """A task in the unit cube: its outcomes, a point's configuration, and which coordinates are categories."""
    if isinstance(task, FurtherObjective) and isinstance(task.root, YahpoBenchmark):
        base, codec = task.root, Codec(task.root)
        metrics = list(base.surrogate.scenario.metrics)
        columns = [metrics.index(base.metric if name == "value" else name) for name in task.objectives]

        def of_surrogate(points: Points) -> Points:
            return base.surrogate.predict(*codec.encode(points))[:, columns].astype(np.float64)

        categorical = np.isin(np.arange(len(codec.parameters)), list(codec.categories))
        return of_surrogate, codec.config, categorical
    from optibench_benchmarks.bbob.functions import HIGH, LOW
    from optibench_benchmarks.bbob.further import BiobjectiveBbob

    if isinstance(task, BiobjectiveBbob):
        names = task.parameters

        def of_functions(points: Points) -> Points:
            return np.asarray(task.outcomes(LOW + points * (HIGH - LOW)))

        def config(point: Points) -> Config:
            return dict(zip(names, (LOW + point * (HIGH - LOW)).tolist(), strict=True))

        return of_functions, config, np.zeros(len(names), dtype=np.bool_)
    raise BenchmarkError(f"No search is there for the front of {task.name}.")


def _survivors(points: Points, values: Points, signs: Points, most: int) -> tuple[Points, Points]:
    """The front, and of longer ones the points in the least crowded places; then some fronts of the rest."""
    left, kept = np.arange(len(points)), np.empty(0, dtype=np.int64)
    for _ in range(_LAYERS):
        if not len(left) or len(kept) >= most:
            break
        front = nondominated(values[left] * signs)
        found, left = left[front], left[~front]
        room = most - len(kept)
        if len(found) > room:
            found = found[np.argsort(-_distances(values[found]), kind="stable")[:room]]
        kept = np.concatenate([kept, found])
    return points[kept], values[kept]


def _distances(values: Points) -> Points:
    """NSGA-II's crowding distances of a front, (n, M): (n,)."""
    total = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]] or 1.0
        total[order[[0, -1]]] = np.inf
        total[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return total

"""Frozen fronts of tasks with several objectives, one line a task in ``fronts.json``; see :class:`Front`.

The reference point is, in each objective, the worse of two values: the median of random configurations, and the worst
value on the front plus a tenth of the front's range. So the ends of the front count, many random configurations do too,
and no optimizer has a say.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Front
from optibench_benchmarks.hypervolume import Bools, Floats, alone, nondominated, normalised, volume

FILE = Path(__file__).parent / "fronts.json"
MAX_POINTS, MAX_CONFIGS = 60, 20
"""Points of a front that are kept where it has more, and how many of them with their configurations."""
MIN_POINTS, NEAR_IDEAL, MAX_NEAR_IDEAL, MAX_ALONE = 10, 0.05, 0.001, 0.97
"""Headlines leave out tasks whose front has fewer points; those of whose random configurations this share or more is
within ``NEAR_IDEAL`` of the ideal; and those on which one configuration dominates almost all that the front does."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Frozen:
    """A task's frozen front and what is needed to check it.

    Attributes:
        name: The task's name.
        front: The front.
        data_version: The task's data version when it was made; it does not hold for other data.
        near_ideal: The share of random configurations, or of all of a table, that are feasible and within
            :data:`NEAR_IDEAL` of the ideal in every objective, in units of the box; ``None`` if it was not counted.
        configs: Configurations of some of the front's points, with the points' indices, where a search found them.
    """

    name: str
    front: Front
    data_version: str
    near_ideal: float | None = None
    configs: tuple[tuple[int, Config], ...] = ()

    @property
    def left_out(self) -> str:
        """Why headlines leave the task out: a rule that looks at no optimizer; empty if they do not."""
        if len(self.front.points) < MIN_POINTS:
            return f"its front has {len(self.front.points)} points, fewer than {MIN_POINTS}"
        if (self.near_ideal or 0.0) >= MAX_NEAR_IDEAL:
            return (
                f"{self.near_ideal:.1%} of random configurations are within {NEAR_IDEAL} of the ideal, "
                f"{MAX_NEAR_IDEAL:.1%} or more"
            )
        single = max(alone(self.front, point) for point in self.front.points) / self.front.hypervolume
        if single > MAX_ALONE:
            return f"one configuration dominates {single:.1%} of what its front does, more than {MAX_ALONE:.0%}"
        return ""


def find(name: str, data_version: str) -> Frozen | None:
    """What is frozen of a task; ``None`` if there is nothing for that version of its data."""
    found = _read().get(name)
    return found if found is not None and found.data_version == data_version else None


def lookup(name: str, data_version: str) -> Front | None:
    """The frozen front of a task; ``None`` if there is none for that version of its data."""
    found = find(name, data_version)
    return None if found is None else found.front


@functools.cache
def _read() -> dict[str, Frozen]:
    if not FILE.exists():
        return {}
    found = {}
    for name, fields in json.loads(FILE.read_text(encoding="utf-8")).items():
        ideal, last = tuple(fields["ideal"]), tuple(fields["reference_point"])
        points = tuple(map(tuple, fields["points"]))
        front = Front(ideal, last, fields["hypervolume"], points, fields["source"], fields["version"])
        configs = tuple((index, config) for index, config in fields.get("configs", ()))
        found[name] = Frozen(name, front, fields["data_version"], fields.get("near_ideal"), configs)
    return found


def names() -> list[str]:
    """The tasks that have a frozen front."""
    return list(_read())


def measured(points: Floats, median: Floats, rest: float | None, source: str, signs: Floats | None = None) -> Front:
    """The front of known points.

    Args:
        points: The front, (n, M), in the objectives' own directions.
        median: Each objective's median over random configurations, (M,).
        rest: The volume between the ideal, which is then the origin, and a front that is no finite set of points;
            ``None`` if the points' own volume is that of the front.
        source: How the points were obtained.
        signs: -1 where an objective is maximized, (M,); all are minimized by default.
    """
    sign = np.ones(points.shape[1]) if signs is None else signs
    lower = points * sign
    best, worst = lower.min(axis=0), lower.max(axis=0)
    last = np.maximum(worst + 0.1 * (worst - best), median * sign)
    if (last <= best).any():
        raise BenchmarkError("An objective is constant on the front and at random; a front needs two that differ.")
    found = volume(normalised(lower, best, last)) if rest is None else 1.0 - rest / float(np.prod(last - best))
    some = points[spread(len(points), MAX_POINTS)].tolist()
    shown = tuple(tuple(float(f"{number:.7g}") for number in point) for point in some)
    return Front(tuple((best * sign).tolist()), tuple((last * sign).tolist()), found, shown, source)


def exact(values: Floats, feasible: Bools, signs: Floats, source: str) -> Front:
    """The front of a complete table of objective values, (n, M), of which some are feasible, (n,)."""
    return measured(values[_rows(values, feasible, signs)], np.median(values, axis=0), None, source, signs)


def share_near_ideal(values: Floats, feasible: Bools, front: Front) -> float:
    """:attr:`Frozen.near_ideal` of objective values, (n, M), of which some are feasible, (n,)."""
    inside = (normalised(values, front.ideal, front.reference_point) <= NEAR_IDEAL).all(axis=1)
    return float((inside & feasible).mean())


def of_search(
    task: Benchmark,
    values: Floats,
    feasible: Bools,
    random: int,
    config: Callable[[int], Config],
    source: str,
    *,
    first: int = 0,
) -> Frozen:
    """The front of all that a search has evaluated.

    Args:
        task: The task.
        values: Its objectives, (n, M).
        feasible: What counts, (n,).
        random: How many of the first rows are random configurations: their medians go into the reference point.
        config: The configuration of a row.
        source: How they were obtained.
        first: The first row that may be on the front.
    """
    signs = np.array([1.0 if direction == "minimize" else -1.0 for direction in task.objectives.values()])
    rows = _rows(values, feasible & (np.arange(len(values)) >= first), signs)
    if not len(rows):
        raise BenchmarkError(f"The search for the front of {task.name} found nothing feasible; loosen the bounds.")
    front = measured(values[rows], np.median(values[:random], axis=0), None, source, signs)
    near = share_near_ideal(values[:random], feasible[:random], front)
    kept = rows[spread(len(rows), MAX_POINTS)]
    some = spread(len(kept), MAX_CONFIGS).tolist()
    return Frozen(task.name, front, task.data_version, near, tuple((i, config(int(kept[i]))) for i in some))


def _rows(values: Floats, feasible: Bools, signs: Floats) -> Ints:
    """The rows of the front in order of the objectives."""
    rows = np.flatnonzero(feasible)
    rows = rows[nondominated(values[rows] * signs)]
    return np.asarray(rows[np.lexsort(values[rows].T[::-1])])


def spread(points: int, most: int) -> Ints:
    """At most so many of the points of a front, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(int))


def write(made: Iterable[Frozen]) -> None:
    """Freeze fronts; a changed one is a new version.

    Raises:
        BenchmarkError: The file cannot be written.
    """
    kept = dict(_read())
    for found in made:
        before = kept.get(found.name)
        version = 1 if before is None else before.front.version
        if before is not None and before.front.hypervolume != found.front.hypervolume:
            version += 1
        kept[found.name] = replace(found, front=replace(found.front, version=version))
    lines = [f"{json.dumps(name)}: {json.dumps(_fields(each))}" for name, each in sorted(kept.items())]
    try:
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"The fronts cannot be written to {FILE}: {error.strerror}.") from None
    _read.cache_clear()


def _fields(frozen: Frozen) -> dict[str, object]:
    fields = {**asdict(frozen.front), "data_version": frozen.data_version}
    if frozen.near_ideal is not None:
        fields["near_ideal"] = frozen.near_ideal
    return fields | ({"configs": frozen.configs} if frozen.configs else {})


def check(tasks: Iterable[Benchmark]) -> list[str]:
    """Measure exact fronts again, and evaluate again the configurations of those that a search found.

    Returns one sentence for each that differs from the frozen one.
    """
    problems = []
    for task in tasks:
        frozen = find(task.name, task.data_version)
        if frozen is None:
            problems.append(f"{task.name} has no frozen front.")
        elif frozen.configs:
            problems += again(task, frozen)
        else:
            exactly: Front = task.measure_front()  # type: ignore[attr-defined]
            if abs(exactly.hypervolume - frozen.front.hypervolume) > 1e-9:
                expected = frozen.front.hypervolume
                problems.append(f"{task.name}: the hypervolume is {exactly.hypervolume!r}, not {expected!r}.")
    return problems


def again(
    task: Benchmark, frozen: Frozen, means: Callable[[Benchmark, Config], Sequence[float]] | None = None
) -> list[str]:
    """Evaluate the configurations behind a front again.

    Args:
        task: The task.
        frozen: What is frozen of it.
        means: Makes the objectives of a configuration of a noisy task, which may be off by a tenth of the box.

    Returns:
        A sentence if some have other values.
    """
    front, configs = frozen.front, [config for _, config in frozen.configs]
    if means is None:
        found = [task.numbers(task.evaluate(config, seed=0)) for config in configs]
    else:
        found = [(tuple(means(task, config)), ()) for config in configs]
    # Processors and libraries round differently; the points have seven digits.
    values = normalised([values for values, _ in found], front.ideal, front.reference_point)
    points = normalised([front.points[i] for i, _ in frozen.configs], front.ideal, front.reference_point)
    same = np.abs(values - points).max(axis=1) <= (1e-4 if means is None else 0.1)
    off = ~same | np.array([any(number > 0.0 for number in constraints) for _, constraints in found])
    if not off.any():
        return []
    return [f"{task.name}: {off.sum()} of the {len(off)} configurations of its front have other values."]

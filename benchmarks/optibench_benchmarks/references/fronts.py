"""Frozen fronts of tasks with several objectives, one line a task in ``fronts.json``; see :class:`Front`.

The reference point is, in each objective, the worse of two values: the median of random configurations, and the worst
value on the front plus a tenth of the front's range. So the ends of the front count, many random configurations do too,
and no optimizer has a say.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from optibench_benchmarks.base import Benchmark, BenchmarkError, Front
from optibench_benchmarks.hypervolume import Bools, Floats, nondominated, normalised, volume

FILE = Path(__file__).parent / "fronts.json"
MAX_POINTS = 60
"""Points of a front that are kept where it has more."""


def lookup(name: str, data_version: str) -> Front | None:
    """The frozen front of a task; ``None`` if there is none for that version of its data."""
    found = _read().get(name)
    return found[1] if found is not None and found[0] == data_version else None


@functools.cache
def _read() -> dict[str, tuple[str, Front]]:
    if not FILE.exists():
        return {}
    found = {}
    for name, fields in json.loads(FILE.read_text(encoding="utf-8")).items():
        ideal, last = tuple(fields["ideal"]), tuple(fields["reference_point"])
        points = tuple(map(tuple, fields["points"]))
        front = Front(ideal, last, fields["hypervolume"], points, fields["source"], fields["version"])
        found[name] = (fields["data_version"], front)
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
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).round().astype(int))
    shown = tuple(tuple(float(f"{number:.7g}") for number in point) for point in points[kept].tolist())
    return Front(tuple((best * sign).tolist()), tuple((last * sign).tolist()), found, shown, source)


def exact(values: Floats, feasible: Bools, signs: Floats, source: str) -> Front:
    """The front of a complete table of objective values, (n, M), of which some are feasible, (n,)."""
    points = values[feasible]
    points = points[nondominated(points * signs)]
    points = points[np.lexsort(points.T[::-1])]
    return measured(points, np.median(values, axis=0), None, source, signs)


def write(tasks: Iterable[Benchmark]) -> None:
    """Measure and freeze the fronts of tasks (``measure_front() -> Front``); a changed one is a new version.

    Raises:
        BenchmarkError: The file cannot be written.
    """
    kept = dict(_read())
    for task in tasks:
        found: Front = task.measure_front()  # type: ignore[attr-defined]
        before = kept.get(task.name)
        if before is not None and before[1].hypervolume != found.hypervolume:
            found = replace(found, version=before[1].version + 1)
        if before is None or before != (task.data_version, found):
            kept[task.name] = (task.data_version, found)
    lines = [
        f"{json.dumps(name)}: {json.dumps({**asdict(front), 'data_version': data_version})}"
        for name, (data_version, front) in sorted(kept.items())
    ]
    try:
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"The fronts cannot be written to {FILE}: {error.strerror}.") from None
    _read.cache_clear()


def check(tasks: Iterable[Benchmark]) -> list[str]:
    """Measure the fronts of some tasks again; one sentence for each that differs from the frozen one."""
    problems = []
    for task in tasks:
        frozen = lookup(task.name, task.data_version)
        again: Front = task.measure_front()  # type: ignore[attr-defined]
        if frozen is None:
            problems.append(f"{task.name} has no frozen front.")
        elif abs(again.hypervolume - frozen.hypervolume) > 1e-9:
            problems.append(f"{task.name}: the hypervolume is {again.hypervolume!r}, not {frozen.hypervolume!r}.")
    return problems

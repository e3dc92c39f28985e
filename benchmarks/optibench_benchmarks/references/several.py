"""Makes the frozen values of tasks with several objectives, and of real tunings with constraints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from optibench_benchmarks.base import Benchmark
from optibench_benchmarks.quantities import Bounded, Extended, FurtherObjective
from optibench_benchmarks.references import fronts
from optibench_benchmarks.references.fronts import Frozen
from optibench_benchmarks.references.table import Entry, lookup
from optibench_benchmarks.training.base import TrainingBenchmark


def is_trained(task: Benchmark) -> bool:
    """Whether a task adds quantities of a training as objectives, or those of a deterministic one as constraints."""
    if not isinstance(task, Extended) or not isinstance(task.root, TrainingBenchmark):
        return False
    return task.sampling != "noisy" or bool(task.objectives)


def applies(task: Benchmark) -> bool:
    """Whether :func:`make` has something to make for a task."""
    return is_trained(task) or (bool(task.objectives) and (hasattr(task, "measure_front") or _is_quick(task)))


def is_built_in(task: Benchmark) -> bool:
    """Whether a task is a bound on a complete table, which knows its own reference."""
    return isinstance(task, Bounded) and task.column("value") is not None


def _is_quick(task: Benchmark) -> bool:
    root = task.root if isinstance(task, Extended) else task
    return root.name.startswith(("yahpo/", "bbob-biobj/"))


def pending(tasks: Iterable[Benchmark]) -> list[Benchmark]:
    """The tasks without frozen values for the present data."""
    return [task for task in tasks if not _is_frozen(task)]


def _is_frozen(task: Benchmark) -> bool:
    if task.objectives:
        return fronts.find(task.name, task.data_version) is not None
    return lookup(task.name, data_version=task.data_version) is not None


def check(tasks: Iterable[Benchmark]) -> list[str]:
    """Check frozen fronts, as :func:`optibench_benchmarks.references.fronts.check`; noisy trainings by their means."""
    from optibench_benchmarks.references.search_live import mean_outcomes

    problems = []
    for task in tasks:
        frozen = fronts.find(task.name, task.data_version)
        if frozen is not None and is_trained(task) and task.sampling == "noisy":
            problems += fronts.again(task, frozen, mean_outcomes)
        else:
            problems += fronts.check([task])
    return problems


def make(tasks: Sequence[Benchmark]) -> Iterator[Frozen | Entry]:
    """The fronts and references of tasks; those over one training share a search.

    Raises:
        BenchmarkError: Nothing feasible is found, or an objective is constant.
    """
    from optibench_benchmarks.references import search_fronts, search_live

    groups: dict[str, list[Extended]] = {}
    for task in tasks:
        if isinstance(task, Extended) and is_trained(task):
            groups.setdefault(task.root.name, []).append(task)
        else:
            yield search_fronts.search(task) if _is_quick(task) else _exact(task)
    for group in groups.values():
        yield from search_live.search(group)


def _exact(task: Benchmark) -> Frozen:
    front = task.measure_front()  # type: ignore[attr-defined]
    near = None
    if isinstance(task, FurtherObjective) and (values := task.table()) is not None:
        near = fronts.share_near_ideal(values, task.feasible(), front)
    return Frozen(task.name, front, task.data_version, near)

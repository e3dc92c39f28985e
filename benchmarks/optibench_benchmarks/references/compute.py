"""Computes references and checks the committed ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError, Reference
from optibench_benchmarks.configurations import plain
from optibench_benchmarks.quantities import Extended
from optibench_benchmarks.references.table import Entry, entries, lookup

if TYPE_CHECKING:
    from optibench_benchmarks.base import Benchmark
    from optibench_benchmarks.yahpo.tasks import YahpoBenchmark

EVALUATIONS = 250_000
"""Approximate number of evaluations in the search for a surrogate's best value."""
SAMPLES = 20_001
"""Random configurations behind ``f_ref`` and ``f_worst``; odd, so that the median is one of the values."""
COMPUTED = ("bbob", "hpob")
"""Families whose tasks compute their references when they are built; no file has them."""


@runtime_checkable
class Measured(Protocol):
    """A task that measures more than its reference."""

    def measure(self) -> Entry:
        """The reference, the best configuration and the share of random ones near it."""
        ...


def pending(names: Iterable[str]) -> list[str]:
    """The tasks without a reference for the present data."""
    from optibench_benchmarks.registry import create

    return [name for name in names if lookup(name, data_version=create(name).data_version) is None]


def compute(
    names: Iterable[str],
    *,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
) -> Iterator[Entry]:
    """Compute references, task by task; the same arguments and data give the same values.

    Args:
        names: The tasks.
        evaluations: How many configurations the search for a surrogate's best value evaluates, about. A task that
            trains has its own plan.
        seed: Of that search and of its random configurations.

    Yields:
        One entry for each task, with version 1; :func:`write` numbers it.

    Raises:
        BenchmarkError: A task is unknown, its data is missing, or no reference can be computed.
    """
    from optibench_benchmarks.registry import create
    from optibench_benchmarks.training.base import TrainingBenchmark
    from optibench_benchmarks.yahpo.tasks import YahpoBenchmark

    if evaluations < 1000:
        raise BenchmarkError(f"A reference search needs at least 1000 evaluations, not {evaluations}.")
    for name in names:
        benchmark = create(name)
        if isinstance(benchmark, YahpoBenchmark):
            yield _searched(benchmark, evaluations, seed)
        elif isinstance(benchmark, TrainingBenchmark):
            from optibench_benchmarks.references.search_training import search

            yield search(benchmark, seed=seed)
        elif isinstance(benchmark, Measured):
            yield benchmark.measure()
        else:
            yield Entry(benchmark.name, benchmark.measure_reference(), benchmark.data_version)


def _searched(benchmark: YahpoBenchmark, evaluations: int, seed: int) -> Entry:
    from optibench_benchmarks.references.search_yahpo import search

    f_best, best = search(benchmark, evaluations=evaluations, seed=seed)
    configs, values = _random(benchmark, seed)
    maximize = benchmark.direction == "maximize"
    top, worst = (values.max(), values.min()) if maximize else (values.min(), values.max())
    if (top > f_best) == maximize and top != f_best:
        f_best, best = float(top), configs[int(np.flatnonzero(values == top)[0])]
    source = f"evolutionary search, {evaluations} evaluations; {SAMPLES} random configurations"
    try:
        reference = Reference(f_best, float(np.median(values)), float(worst), source)
    except ValueError as error:
        raise BenchmarkError(f"No reference can be made for {benchmark.name}: {error}.") from None
    return Entry(benchmark.name, reference, benchmark.data_version, best, seed)


def _random(benchmark: YahpoBenchmark, seed: int) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """Random configurations and their values at the highest fidelity."""
    configs = _random_configs(benchmark, seed)
    return configs, np.array([each.value for each in benchmark.evaluate_batch(configs, seed=0)])


_sampled: dict[tuple[str, str, int], list[dict[str, Any]]] = {}


def _random_configs(benchmark: YahpoBenchmark, seed: int) -> list[dict[str, Any]]:
    # All tasks of a scenario share the space and the sample, because drawing takes longer than evaluating.
    key = (benchmark.surrogate.scenario.name, benchmark.data_version, seed)
    if key not in _sampled:
        benchmark.space.seed(seed)
        _sampled.clear()
        _sampled[key] = [plain(config) for config in benchmark.space.sample_configuration(SAMPLES)]
    return _sampled[key]


def check(names: Iterable[str] | None = None) -> list[str]:
    """Compare committed references with the benchmarks, without repeating any search.

    Tables and synthetic functions are computed again. For a surrogate, the stored best configuration is evaluated and
    the random configurations are drawn again; for a training, the stored best configuration is trained again.

    Args:
        names: The tasks; all that have a reference if ``None``.

    Returns:
        One sentence for each value that is not reproduced.

    Raises:
        BenchmarkError: A task is unknown, has no reference, or its data is missing.
    """
    from optibench_benchmarks.registry import create

    known, problems = entries(), []
    for name in known if names is None else names:
        if name not in known:
            raise BenchmarkError(f"{name} has no reference; make one with `optibench references {name}`.")
        benchmark, entry = create(name), known[name]
        if benchmark.data_version != entry.data_version:
            problems.append(f"{name}: made with data {entry.data_version}, here is {benchmark.data_version}.")
            continue
        problems += _compare(entry, _again(benchmark, entry))
    return problems


def _again(benchmark: Benchmark, entry: Entry) -> Reference:
    from optibench_benchmarks.training.base import TrainingBenchmark
    from optibench_benchmarks.yahpo.tasks import YahpoBenchmark

    if isinstance(benchmark, TrainingBenchmark) and entry.best is not None:
        from optibench_benchmarks.references.search_training import again

        f_best = again(benchmark, entry.best, entry.reference)
        return replace(entry.reference, f_best=f_best)
    if isinstance(benchmark, Extended) and entry.best is not None:
        (f_best, *_), constraints = benchmark.numbers(benchmark.evaluate(entry.best, seed=0))
        f_best = f_best if all(number <= 0.0 for number in constraints) else math.nan
        return replace(entry.reference, f_best=f_best)
    if not isinstance(benchmark, YahpoBenchmark) or entry.best is None or entry.seed is None:
        return benchmark.measure_reference()
    _, values = _random(benchmark, entry.seed)
    worst = values.min() if benchmark.direction == "maximize" else values.max()
    f_best = benchmark.evaluate(entry.best, seed=0).value
    return replace(entry.reference, f_best=f_best, f_ref=float(np.median(values)), f_worst=float(worst))


def _compare(entry: Entry, again: Reference) -> list[str]:
    # Processors round differently: a network's values by a few millionths of their range.
    tolerance = 1e-5 * abs(entry.reference.f_worst - entry.reference.f_best)
    return [
        f"{entry.name}: {field} is {getattr(again, field)!r}, not {getattr(entry.reference, field)!r} as stored."
        for field in ("f_best", "f_ref", "f_worst")
        if not math.isclose(getattr(again, field), getattr(entry.reference, field), rel_tol=0, abs_tol=tolerance)
    ]

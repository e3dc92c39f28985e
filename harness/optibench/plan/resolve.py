"""A grid as plain data: names expanded, settings checked, versions pinned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from optibench.errors import HarnessError, reason
from optibench.plan import costs
from optibench.spec import batches
from optibench.spec.grid import Grid

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark
    from optibench_optimizers import Entry

SCHEMA = 2
"""Raised when the way a cell is run or stored changes its result."""


def resolve(grid: Grid) -> dict[str, Any]:
    """The grid as plain data with every name expanded and every version pinned.

    Returns:
        ``grid`` (the fields of :class:`Grid`; optimizers as canonical labels, benchmarks as tasks), ``packages``
        (the schema, and versions of what every cell depends on), ``optimizers`` (label -> name, settings, package
        versions) and ``tasks``
        (task -> direction, sampling, dimensions, reference, data version).

    Raises:
        BenchmarkError, OptimizerError: A name or setting is unknown, or data is missing.
    """
    import optibench_benchmarks
    import optibench_optimizers

    skipped: dict[str, str] = {}
    names = optibench_benchmarks.expand(grid.benchmarks, skipped if grid.skipped == () else None)
    found = [optibench_benchmarks.create(name) for name in names]
    widest = max(found, key=lambda benchmark: len(benchmark.space))
    resolved_optimizers: dict[str, Any] = {}
    for name in grid.optimizers:
        spec, size = batches.split(name)
        entry, settings = optibench_optimizers.parse(spec)
        limit = entry.capabilities.max_dimensions
        if limit is not None and len(widest.space) > limit:
            raise HarnessError(
                f"Optimizer {entry.name!r} handles at most {limit} parameters and {widest.name} has "
                f"{len(widest.space)}: leave one of the two out."
            )
        resolved = _resolve_optimizer(entry, settings, found[0], grid)
        batch = {"batch": size} if size > 1 else {}  # a batch of one is the optimizer as it always was
        resolved_optimizers[batches.label(label(entry.name, settings), size)] = resolved | batch
    tasks = {benchmark.name: describe(benchmark) for benchmark in found}
    costs.resolve(grid, found, tasks)
    plain = dataclasses.asdict(grid) | {
        "optimizers": list(resolved_optimizers),
        "benchmarks": list(tasks),
        "seeds": list(grid.seeds),
        "initial_size": min(grid.initial_size, grid.trials) if grid.initial == "shared" else 0,
    }
    plain["limits"] = grid.limits.changed()
    plain["fidelity"] = list(grid.fidelity) if grid.fidelity else None
    plain["skipped"] = sorted({*(grid.skipped or ()), *skipped})
    for name in ("limits", "budget", "simulated_workers", "fidelity", "skipped"):
        if not plain[name]:  # as in the folders of before there were any
            del plain[name]
    packages = {"schema": SCHEMA, "ConfigSpace": version("ConfigSpace"), "numpy": version("numpy")}
    return {"grid": plain, "packages": packages, "optimizers": resolved_optimizers, "tasks": tasks}


def _resolve_optimizer(entry: Entry, settings: dict[str, Any], benchmark: Benchmark, grid: Grid) -> dict[str, Any]:
    import optibench_optimizers

    entry.check()  # a library in a reduced mode is refused here, not in every cell
    optibench_optimizers.check_settings(entry, settings)
    training = entry.training(settings) if settings else None
    resolved = {"name": entry.name, "settings": dict(sorted(settings.items())), "packages": entry.versions()}
    if training is not None:
        resolved["training"] = training.key
    elif settings:  # a wrong value is found here, not in every cell
        try:
            optibench_optimizers.create(
                entry.name, benchmark.space, seed=0, n_trials=grid.trials, settings=settings
            ).close()
        except optibench_optimizers.OptimizerError:
            raise
        except (Exception, SystemExit) as error:  # whatever a third party's constructor does
            raise HarnessError(
                f"Optimizer {label(entry.name, settings)!r} cannot be set up: {reason(error)}"
            ) from error
    return resolved


def label(name: str, settings: Mapping[str, Any]) -> str:
    """An optimizer's label: its name and its settings in one canonical order."""
    if not settings:
        return name
    return name + ":" + ",".join(f"{key}={_scalar(value)}" for key, value in sorted(settings.items()))


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def describe(benchmark: Benchmark) -> dict[str, Any]:
    """What ``tasks.json`` says of a task."""
    reference = benchmark.reference
    described = {
        "direction": benchmark.direction,
        "sampling": benchmark.sampling,
        "dimensions": len(benchmark.space),
        "data_version": benchmark.data_version,
        "reference": dataclasses.asdict(reference) if reference is not None else None,
    }
    if not benchmark.metrics:  # as in the folders of before there were any
        return described
    return described | {"metrics": dict(benchmark.metrics)}

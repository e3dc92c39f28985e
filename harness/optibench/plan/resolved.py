"""What a run folder says that was run, checked before anything is made of it: somebody else may have written it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def flaw(resolved: Mapping[str, Any]) -> str | None:
    """What of a grid as :func:`optibench.plan.resolve.resolve` gives it is missing or of a wrong kind, if anything."""
    grid, optimizers, tasks = (resolved[key] for key in ("grid", "optimizers", "tasks"))
    for name, value in (
        ("grid", grid),
        ("packages", resolved["packages"]),
        ("optimizers", optimizers),
        ("tasks", tasks),
    ):
        if not isinstance(value, Mapping):
            return f"`{name}` is no mapping"
    for key in ("optimizers", "benchmarks"):
        if not _list_of(str, grid.get(key)):
            return f"`grid: {key}` is no list of names"
    if not _list_of(int, grid.get("seeds")) or min(grid["seeds"]) < 0:
        return "`grid: seeds` is no list of whole numbers from 0 on"
    for key, least in (("trials", 1), ("initial_size", 0)):
        if not _whole(grid.get(key)) or grid[key] < least:
            return f"`grid: {key}` is no whole number of at least {least}"
    if grid.get("initial") not in ("shared", "own"):
        return "`grid: initial` is neither shared nor own"
    for name in grid["optimizers"]:
        if not isinstance(optimizers.get(name), Mapping) or not isinstance(optimizers[name].get("name"), str):
            return f"`optimizers` does not describe {name!r}"
    for name in grid["benchmarks"]:
        problem = _task_flaw(tasks.get(name))
        if problem is not None:
            return f"of {name!r}, {problem}"
    return None


def _task_flaw(task: Any) -> str | None:
    if not isinstance(task, Mapping):
        return "tasks.json says nothing"
    if task.get("direction") not in ("minimize", "maximize"):
        return "`direction` is neither minimize nor maximize"
    if "reference" not in task:
        return "`reference` is missing"
    reference = task["reference"]
    if reference is None:
        return None
    if not isinstance(reference, Mapping) or not all(
        _number(reference.get(key)) for key in ("f_best", "f_ref", "f_worst")
    ):
        return "`reference` has no numbers `f_best`, `f_ref` and `f_worst`"
    return "`f_best` and `f_ref` are the same" if reference["f_best"] == reference["f_ref"] else None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _list_of(kind: type, value: Any) -> bool:
    good = isinstance(value, list) and bool(value) and all(isinstance(item, kind) for item in value)
    return good and not any(isinstance(item, bool) for item in value)

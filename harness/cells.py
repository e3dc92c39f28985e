"""Cells: one optimizer on one task with one seed and budget, and the key that says when two are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of one optimizer on one task.

    Attributes:
        key: A hash of everything that determines the result (see :func:`plan`).
        optimizer: The optimizer's label, which is also its specification.
        task: The benchmark's name.
        seed: The grid's seed; the seeds of optimizer, initial design and evaluations derive from it and the task.
        trials: Trials in all.
        initial_size: How many of them are the shared initial design (0: the optimizer makes its own).
    """

    key: str
    optimizer: str
    task: str
    seed: int
    trials: int
    initial_size: int


def plan(resolved: Mapping[str, Any]) -> Iterator[Cell]:
    """The cells of a resolved grid, seed by seed so that an unfinished grid is balanced.

    The key covers the optimizer's settings and package versions, the task's data and reference, the seed, the budget,
    the initial design and the limits.
    """
    grid = resolved["grid"]
    common = [resolved["packages"], grid["trials"], grid["initial_size"]]
    if "limits" in grid:  # where there are none, a cell has the key it always had
        common.append(grid["limits"])
    prefixes = {
        (optimizer, task): hashlib.sha256(
            json.dumps(
                [*common, resolved["optimizers"][optimizer], task, resolved["tasks"][task]], sort_keys=True
            ).encode()
        )
        for task in grid["benchmarks"]
        for optimizer in grid["optimizers"]
    }
    for seed in grid["seeds"]:
        for task in grid["benchmarks"]:
            for optimizer in grid["optimizers"]:
                digest = prefixes[optimizer, task].copy()
                digest.update(str(seed).encode())
                yield Cell(digest.hexdigest()[:20], optimizer, task, seed, grid["trials"], grid["initial_size"])


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2**31) that depends on every part, the same on every machine."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

"""Cells: one optimizer on one task with one seed and budget, and the key that says when two are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optibench.spec import batches
from optibench.spec.budget import Budget
from optibench.spec.fidelity import Choice

VERSIONS = ("packages", "fingerprint")
"""What a resolved grid says of an optimizer that is no part of a cell's key."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of one optimizer on one task.

    Attributes:
        key: A hash of everything that determines the result (see :func:`plan`).
        optimizer: The optimizer's label.
        task: The benchmark's name.
        seed: The grid's seed; the seeds of optimizer, initial design and evaluations derive from it and the task.
        trials: Trials in all.
        initial_size: How many of them are the shared initial design (0: the optimizer makes its own).
        budget: What it may spend, where that is no count of trials; ``trials`` is then what the optimizer plans with.
        workers: How many evaluations are under way at a time on a simulated clock; 0: there is no such clock.
        fidelity: The grid's own choice of what multi-fidelity optimizers vary.
    """

    key: str
    optimizer: str
    task: str
    seed: int
    trials: int
    initial_size: int
    budget: Budget | None = None
    workers: int = 0
    fidelity: Choice | None = None

    @property
    def specification(self) -> str:
        """The optimizer's name and settings."""
        return batches.split(self.optimizer)[0]

    @property
    def batch(self) -> int:
        """How many configurations it proposes at a time."""
        return batches.split(self.optimizer)[1]

    def plain(self) -> dict[str, Any]:
        """The cell as JSON can hold it; :meth:`of` reads it."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Cell:
        """The cell that :meth:`plain` wrote."""
        budget = None if plain["budget"] is None else Budget(**plain["budget"])
        fidelity = None if plain["fidelity"] is None else Choice(*plain["fidelity"])
        return cls(**{**plain, "budget": budget, "fidelity": fidelity})


def plan(resolved: Mapping[str, Any]) -> Iterator[Cell]:
    """The cells of a resolved grid, seed by seed so that an unfinished grid is balanced.

    The key covers the optimizer's settings, the task's data and reference, the seed, the budget, the initial design and
    the limits: what was asked for. What made a cell is in its fingerprint (:mod:`optibench.store.fingerprint`).
    """
    grid, optimizers = resolved["grid"], resolved["optimizers"]
    common = [resolved["packages"], grid["trials"], grid["initial_size"]]
    if resolved["packages"].get("schema", 1) > 1:  # before, versions were part of the key
        common[0] = {"schema": resolved["packages"]["schema"]}
        optimizers = {
            label: {name: value for name, value in one.items() if name not in VERSIONS}
            for label, one in optimizers.items()
        }
    if "limits" in grid:  # where there are none, a cell has the key it always had
        common.append(grid["limits"])
    common += [{name: grid[name]} for name in ("budget", "simulated_workers", "fidelity") if name in grid]
    more = (
        Budget(**grid["budget"]) if "budget" in grid else None,
        grid.get("simulated_workers", 0),
        Choice(*grid["fidelity"]) if "fidelity" in grid else None,
    )
    # what a report may show of a task changes none of its results
    keyed = {name: {k: v for k, v in task.items() if k != "metrics"} for name, task in resolved["tasks"].items()}
    prefixes = {
        (optimizer, task): hashlib.sha256(
            json.dumps([*common, optimizers[optimizer], task, keyed[task]], sort_keys=True).encode()
        )
        for task in grid["benchmarks"]
        for optimizer in grid["optimizers"]
    }
    for seed in grid["seeds"]:
        for task in grid["benchmarks"]:
            for optimizer in grid["optimizers"]:
                digest = prefixes[optimizer, task].copy()
                digest.update(str(seed).encode())
                yield Cell(digest.hexdigest()[:20], optimizer, task, seed, grid["trials"], grid["initial_size"], *more)


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2**31) that depends on every part, the same on every machine."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

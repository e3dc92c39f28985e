"""The plan: a grid with every name expanded, every setting checked and every version pinned.

A run folder holds it beside the results, and a resumed run is compared with it. Nothing here runs anything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import yaml

from optibench.errors import HarnessError, reason
from optibench.files import write_atomically
from optibench.plan.cells import Cell
from optibench.plan.costs import varied_fidelities
from optibench.plan.objectives import refuse_objectives, refuse_unmeasurable
from optibench.plan.optimizers import PlannedOptimizer
from optibench.plan.tasks import Task
from optibench.spec import batches
from optibench.spec import trials as numbers
from optibench.spec.grid import Grid

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark

GRID, TASKS = "grid.yaml", "tasks.json"
"""The files of a run folder that hold its plan."""
SCHEMA = 2
"""Increased when a change to how cells run or are stored changes their results."""
KEYED_ELSEWHERE = {"optimizers", "benchmarks", "seeds", "trials", "initial", "initial_size", "name", "skipped"}
"""Fields of a grid that cell keys cover in another place or not at all; the others are covered where they are used."""
EXTENDABLE = {"optimizers", "benchmarks", "seeds", "trials", "name", "skipped"}
"""Fields of a grid that may differ from the folder's when that is extended."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a run does, or did.

    Attributes:
        grid: The grid with optimizers as canonical labels, benchmarks as tasks, and ``initial_size`` 0 without a shared
            design.
        packages: The schema, and versions of what every cell depends on.
        optimizers: By label.
        tasks: By name.
        imported: The imported files, if another framework ran the trials.
    """

    grid: Grid
    packages: Mapping[str, int | str]
    optimizers: Mapping[str, PlannedOptimizer]
    tasks: Mapping[str, Task]
    imported: tuple[Mapping[str, str | int], ...] = ()

    def __post_init__(self) -> None:
        for key, known in (("optimizers", self.optimizers), ("benchmarks", self.tasks)):
            unknown = [name for name in getattr(self.grid, key) if name not in known]
            if unknown:
                raise ValueError(f"{unknown[0]!r} of `grid: {key}` is not described")

    @classmethod
    def of(cls, grid: Grid) -> Self:
        """Plan a grid.

        Raises:
            HarnessError, BenchmarkError, OptimizerError: A name or setting is unknown, or data is missing.
        """
        import optibench_benchmarks
        import optibench_optimizers

        skipped: dict[str, str] = {}
        names = optibench_benchmarks.expand(grid.benchmarks, skipped if grid.skipped == () else None)
        found = [optibench_benchmarks.create(name) for name in names]
        widest = max(found, key=lambda benchmark: len(benchmark.space))
        constants = {each.name: numbers.constants(each.space) for each in found if isinstance(grid.trials, str)}
        counts = {each.name: _checked_trials(grid, each, constants.get(each.name, 0)) for each in found}
        optimizers: dict[str, PlannedOptimizer] = {}
        for name in grid.optimizers:
            spec, size = batches.split(name)
            entry, settings = optibench_optimizers.parse(spec)
            limit = entry.capabilities.max_dimensions
            if limit is not None and len(widest.space) > limit:
                raise HarnessError(
                    f"Optimizer {entry.name!r} supports at most {limit} parameters, and {widest.name} has "
                    f"{len(widest.space)}: leave one of the two out."
                )
            refuse_objectives(entry, found)
            optimizer = PlannedOptimizer.of(entry, settings, size, found[0], counts[found[0].name])
            optimizers[optimizer.label] = optimizer
        refuse_unmeasurable(found)
        fidelities = varied_fidelities(grid, found)
        tasks = {
            each.name: Task.of(each, fidelities.get(each.name), constants=constants.get(each.name, 0)) for each in found
        }
        expanded = msgspec.structs.replace(
            grid,
            optimizers=tuple(optimizers),
            benchmarks=tuple(tasks),
            initial_size=min(grid.initial_size, *counts.values()) if grid.initial == "shared" else 0,
            skipped=tuple(sorted({*(grid.skipped or ()), *skipped})) or None,
        )
        packages: dict[str, int | str] = {
            "schema": SCHEMA,
            "ConfigSpace": version("ConfigSpace"),
            "numpy": version("numpy"),
        }
        return cls(expanded, packages, optimizers, tasks)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the plan of a run folder, which this version or an earlier one wrote.

        Raises:
            HarnessError: One of its files is missing or damaged.
        """
        try:
            plain = yaml.safe_load((folder / GRID).read_text(encoding="utf-8"))
            tasks = json.loads((folder / TASKS).read_text(encoding="utf-8"))
            found = msgspec.convert({**plain, "tasks": tasks}, cls)
            missing = found._plain()["grid"].keys() - plain["grid"].keys()
            if missing:
                raise ValueError(f"`grid: {min(missing)}` is missing")
            return found
        except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
            raise HarnessError(
                f"{folder / GRID} or {TASKS} beside it is damaged ({reason(error)}); restore the file, or run the grid "
                "into another folder."
            ) from error

    def save(self, folder: Path) -> None:
        """Write the plan into a run folder; the grid comes last, because a folder that has one counts as complete."""
        plain = self._plain()
        tasks = plain.pop("tasks")
        write_atomically(folder / TASKS, json.dumps(tasks, indent=1).encode())
        write_atomically(folder / GRID, yaml.safe_dump(plain, sort_keys=False, width=120).encode())

    def cells(self) -> Iterator[Cell]:
        """The cells, seed by seed so that an unfinished grid is balanced; an imported plan has none.

        A cell's key covers what was requested: the optimizer's settings, the task's data and reference, the seed, the
        budget, the initial design and the limits. The code and versions that ran it are in its fingerprint
        (:mod:`optibench.store.fingerprint`).
        """
        grid, plain = self.grid, self._plain()
        before = self.packages.get("schema", 1) == 1  # then versions were part of the key
        common = [plain["packages"] if before else {"schema": self.packages["schema"]}]
        used = {name: value for name, value in plain["grid"].items() if name not in KEYED_ELSEWHERE}
        more = [value if name == "limits" else {name: value} for name, value in used.items()]
        optimizers = plain["optimizers"] if before else {name: one.identity for name, one in self.optimizers.items()}
        tasks = {name: one.identity for name, one in self.tasks.items()}
        pairs = [] if self.imported else [(one, task) for task in grid.benchmarks for one in grid.optimizers]
        prefixes = {
            (one, task): hashlib.sha256(
                json.dumps(
                    [*common, self.trials(task), grid.initial_size, *more, optimizers[one], task, tasks[task]],
                    sort_keys=True,
                ).encode()
            )
            for one, task in pairs
        }
        rest = (grid.budget, grid.simulated_workers, grid.fidelity)
        for seed in grid.seeds:
            for one, task in pairs:
                digest = prefixes[one, task].copy()
                digest.update(str(seed).encode())
                yield Cell(digest.hexdigest()[:20], one, task, seed, self.trials(task), grid.initial_size, *rest)

    def trials(self, task: str) -> int:
        """The number of trials of a task's cells."""
        return numbers.number(self.grid.trials, self.tasks[task].dimensions - self.tasks[task].constants)

    @property
    def families(self) -> set[str]:
        """The families of the tasks."""
        return {name.partition("/")[0] for name in self.tasks}

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the distributions that cells depend on."""
        found = {name: str(version) for name, version in self.packages.items() if name != "schema"}
        for optimizer in self.optimizers.values():
            found |= optimizer.packages
        return found

    @property
    def has_costs(self) -> bool:
        """Whether the trials differ in cost or have times on a simulated clock."""
        varied = any(task.fidelity is not None for task in self.tasks.values())
        return varied or self.grid.budget is not None or bool(self.grid.simulated_workers)

    def differences(self, here: Plan) -> list[str]:
        """How a new plan differs from this one, which is in a folder: ``seeds: 3 there, 4 here``.

        Versions are not compared: they are in the fingerprints.
        """
        return list(_differences("", self._requested(), here._requested()))

    def conflicts(self, here: Plan) -> list[str]:
        """How a new plan differs in what both plans have, apart from the number of trials."""
        old, new = self._requested(), here._requested()
        both = {name: old[name].keys() & new[name].keys() for name in ("optimizers", "tasks")}
        both["grid"] = (old["grid"].keys() | new["grid"].keys()) - EXTENDABLE
        mine, others = (
            {name: {key: one[name].get(key) for key in sorted(both[name])} for name in both} for one in (old, new)
        )
        return list(_differences("", mine, others))

    def grown(self, here: Plan) -> Self:
        """This plan extended by a new one without conflicts: optimizers, tasks, seeds, trials."""
        skipped = tuple(sorted({*(self.grid.skipped or ()), *(here.grid.skipped or ())} - {*here.tasks})) or None
        grid = msgspec.structs.replace(
            self.grid,
            optimizers=tuple(dict.fromkeys([*self.grid.optimizers, *here.grid.optimizers])),
            benchmarks=tuple(dict.fromkeys([*self.grid.benchmarks, *here.grid.benchmarks])),
            seeds=tuple(dict.fromkeys([*self.grid.seeds, *here.grid.seeds])),
            trials=numbers.larger(self.grid.trials, here.grid.trials),
            skipped=skipped,
        )
        return msgspec.structs.replace(
            self, grid=grid, optimizers={**here.optimizers, **self.optimizers}, tasks={**here.tasks, **self.tasks}
        )

    def _requested(self) -> dict[str, Any]:
        optimizers = {name: one.identity for name, one in self.optimizers.items()}
        tasks = {name: one.identity for name, one in self.tasks.items()}
        grid = {name: value for name, value in self._plain()["grid"].items() if name != "name"}
        found: dict[str, Any] = json.loads(json.dumps({"grid": grid, "optimizers": optimizers, "tasks": tasks}))
        return found

    def _plain(self) -> dict[str, Any]:
        """The plan for YAML and JSON; unused options of the grid are left out, so that new options do not change it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        imported = plain.pop("imported")
        grid = {name: value for name, value in plain["grid"].items() if value or name == "initial_size"}
        return ({"imported": imported} if imported else {}) | plain | {"grid": grid}


def _checked_trials(grid: Grid, task: Benchmark, constants: int) -> int:
    """The number of trials of a task.

    Raises:
        HarnessError: It is a multiple of the number of parameters, and leaves no trial to search with.
    """
    parameters = len(task.space) - constants
    found = numbers.number(grid.trials, parameters)
    if isinstance(grid.trials, str) and found <= (grid.initial_size if grid.initial == "shared" else 0):
        what = "no trial, because none of its parameters can vary"
        if found:
            what = (
                f"{found} trials, of which the shared initial design of {grid.initial_size} leaves none to search with"
            )
        raise HarnessError(
            f"`trials: {grid.trials}` gives {task.name} ({parameters} parameters) {what}: give more trials (-t), a "
            "smaller design (--initial-size), or --initial own, or leave the task out."
        )
    return found


def listed(differences: Sequence[str]) -> str:
    """The first few differences, for a message."""
    return "; ".join(differences[:4]) + ("; ..." if len(differences) > 4 else "")


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(f"{path}.{key}" if path else str(key), old.get(key), new.get(key))
    elif old != new and not _rounding(old, new):
        yield f"{path}: {_short(old)} there, {_short(new)} here"


def _rounding(old: Any, new: Any) -> bool:
    """Whether two numbers differ only by rounding, as results of two CPUs may."""
    return isinstance(old, float) and isinstance(new, float) and math.isclose(old, new, rel_tol=1e-9)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."

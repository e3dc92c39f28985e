"""The grid: which optimizers, on which tasks, with which seeds and budget.

A grid is written as YAML, as command-line flags, or both (flags win). What becomes of it is a
:class:`optibench.plan.plan.Plan`, in which nothing is left to a default, a glob or an installed version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from optibench import external
from optibench.errors import HarnessError
from optibench.numbers import whole
from optibench.paths import expanded, expanded_text
from optibench.spec import batches, budget, fidelity, limits
from optibench.spec.budget import Budget
from optibench.spec.fidelity import Choice
from optibench.spec.limits import Limits
from optibench.spec.yaml_file import Source, read_mapping

Initial = Literal["shared", "own"]
DEFAULT_TRIALS = 50
MOST_SEEDS = 1_000_000
SHIPPED = Path(__file__).parents[1] / "grids"


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run.

    Attributes:
        optimizers: Names with settings, e.g. ``tpe:group=true``, and batch sizes, ``tpe (batch 4)``.
        benchmarks: Names of tasks and suites, and globs.
        seeds: The seeds, each a non-negative integer.
        trials: Trials in each cell, the initial design included. Where there is another ``budget``, what optimizers
            are told that they have.
        initial: ``shared``: all optimizers of one (task, seed) are told the same random configurations first;
            ``own``: each optimizer's library makes its own, as a user would get it.
        initial_size: Configurations in the shared initial design (at most ``trials``).
        name: What the grid is called; names the default output folder.
        limits: What a worker may take, and how often a trial that it died of is tried again.
        budget: A cell's budget where it is a cost and no count of trials.
        simulated_workers: Evaluations under way at a time, on a clock simulated from what they cost; 0: one after the
            other, without a clock.
        fidelity: What multi-fidelity optimizers vary; ``None``: each task's main fidelity, from its lowest on.
        skipped: ``None``: a task whose data is missing is an error; empty: such tasks are left out; otherwise those
            that were.
    """

    optimizers: Annotated[tuple[str, ...], Meta(min_length=1)]
    benchmarks: Annotated[tuple[str, ...], Meta(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(min_length=1)]
    trials: Annotated[int, Meta(ge=1)]
    initial: Initial = "shared"
    initial_size: Annotated[int, Meta(ge=0)] = 10
    name: str = "grid"
    limits: Limits = Limits()
    budget: Budget | None = None
    simulated_workers: int = 0
    fidelity: Choice | None = None
    skipped: tuple[str, ...] | None = None


class Settings(msgspec.Struct, frozen=True):
    """How to run it: none of these changes a result."""

    out: Path | None = None
    jobs: int | None = None
    executor: str = "processes"
    scheduler: str | None = None
    """Of the dask executor: its address, or the JSON file that it writes."""
    allow_external: bool = False
    """Whether to run the external commands of a run folder that was made elsewhere."""
    changed: str | None = None
    """What becomes of cells that other code or versions made: ``rerun`` or ``keep``; ``None``: the user is asked."""


KEYS = (
    *("name", "optimizers", "benchmarks", "seeds", "trials", "initial", "initial_size"),
    *("budget", "simulated_workers", "fidelity", "batch_size"),
    *limits.KEYS,
    *("jobs", "executor", "scheduler", "out", "external"),
)
EXECUTORS = ("serial", "processes", "dask")


def load(path: str | None, flags: Mapping[str, Any]) -> tuple[Grid, Settings]:
    """Read a grid from a YAML file (or the name of one that is shipped) and from flags, which win.

    The external optimizers and benchmarks that the file defines are registered.

    Raises:
        HarnessError: The file is missing or malformed, or a value is out of range; the message gives the line.
    """
    source = read_mapping(path, "grid", KEYS, shipped()) if path is not None else Source()
    if any(flags.get(key) is not None for key in ("trials", "budget")):  # either takes the place of either
        for key in ("trials", "budget"):
            source.values.pop(key, None)
    for key, value in flags.items():
        if value is not None:
            source.values[key] = value
            source.lines.pop(key, None)
    values = source.values
    if "external" in values:
        external.register(external.parse(values["external"], source.where("external"), Path(source.path).parent))
    for key in ("optimizers", "benchmarks"):
        if not values.get(key):
            flag = {"optimizers": "-o", "benchmarks": "-b"}[key]
            raise HarnessError(f"The grid names no {key}: give them with {flag} or under `{key}:` in a YAML file.")
    trials, spend = _budget(source)
    sizes = batches.parse(values.get("batch_size", 1), source.where("batch_size"))
    grid = Grid(
        optimizers=batches.expand(_words(source, "optimizers"), sizes),
        benchmarks=_words(source, "benchmarks"),
        seeds=parse_seeds(values.get("seeds", 5), source.where("seeds")),
        trials=trials,
        initial=_choice(source, "initial", ("shared", "own"), "shared"),  # type: ignore[arg-type]
        initial_size=_count(source, "initial_size", 10),
        name=str(values.get("name", "grid")),
        limits=limits.parse(values, source.where),
        budget=spend,
        simulated_workers=_count(source, "simulated_workers", 1) if "simulated_workers" in values else 0,
        fidelity=fidelity.parse(values["fidelity"], source.where("fidelity")) if "fidelity" in values else None,
        skipped=() if values.get("skip_missing") else None,
    )
    if not re.fullmatch(r"[\w.-]+", grid.name) or grid.name.startswith("."):
        raise HarnessError(
            f"{source.where('name')}: a grid's name is letters, digits, '-', '_' and '.': {grid.name!r}."
        )
    _refuse_without_search(grid, source)
    return grid, _settings(source)


def load_settings(flags: Mapping[str, Any]) -> Settings:
    """Read only how to run, from flags.

    Raises:
        HarnessError: A value is out of range.
    """
    return _settings(Source(values={key: value for key, value in flags.items() if value is not None}))


def _refuse_without_search(grid: Grid, source: Source) -> None:
    """Refuse a grid whose shared initial design leaves no trial to search with: all optimizers would be the same."""
    amount = grid.trials if grid.budget is None else grid.budget.amount
    if grid.initial == "own" or (grid.budget and grid.budget.unit != "fidelity") or amount > grid.initial_size:
        return
    key = next((key for key in ("trials", "budget", "initial_size") if key in source.lines), "trials")
    flag = "-t" if grid.budget is None else "--budget fidelity="
    raise HarnessError(
        f"{source.where(key)}: the shared initial design of {grid.initial_size} configurations leaves none of "
        f"{amount:g} trials to search with; give more trials ({flag}), a smaller design (--initial-size), or "
        "--initial own."
    )


def _settings(source: Source) -> Settings:
    executor = _choice(source, "executor", EXECUTORS, "processes")
    scheduler = source.values.get("scheduler")
    if executor == "dask" and (not isinstance(scheduler, str) or not scheduler):
        raise HarnessError(
            "The dask executor needs its scheduler: give --scheduler tcp://HOST:8786, as `dask scheduler` prints it."
        )
    if scheduler is not None and executor != "dask":
        raise HarnessError(
            f"{source.where('scheduler')}: `scheduler` belongs to the dask executor: add --executor dask."
        )
    return Settings(
        out=expanded(str(source.values["out"])) if "out" in source.values else None,
        jobs=_count(source, "jobs", 1) if "jobs" in source.values else None,
        executor=executor,
        scheduler=None if scheduler is None else expanded_text(scheduler),
        allow_external=bool(source.values.get("allow_external")),
        changed=source.values.get("changed"),
    )


def shipped() -> dict[str, Path]:
    """The grids that come with the bench, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def _budget(source: Source) -> tuple[int, Budget | None]:
    """The number of trials, and the budget if it is another one."""
    if "budget" not in source.values:
        return _count(source, "trials", DEFAULT_TRIALS), None
    if "trials" in source.values:
        raise HarnessError(
            f"{source.where('budget')}: the budget is given twice, as `budget` and as `trials`: leave one of them out."
        )
    found = budget.parse(source.values["budget"], source.where("budget"))
    return (found, None) if isinstance(found, int) else (found.trials or DEFAULT_TRIALS, found)


def _words(source: Source, key: str) -> tuple[str, ...]:
    value = source.values[key]
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Sequence) or not all(isinstance(item, str) and item for item in items):
        raise HarnessError(f"{source.where(key)}: `{key}` is a list of names, not {value!r}.")
    return tuple(dict.fromkeys(items))


def _count(source: Source, key: str, default: int) -> int:
    value = source.values.get(key, default)
    number = whole(value.strip()) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise HarnessError(f"{source.where(key)}: `{key}` is a whole number of at least 1, not {value!r}.")
    return number


def _choice(source: Source, key: str, choices: Sequence[str], default: str) -> str:
    value = source.values.get(key, default)
    if value not in choices:
        raise HarnessError(f"{source.where(key)}: `{key}` is one of {', '.join(choices)}, not {value!r}.")
    return str(value)


def parse_seeds(value: Any, where: str) -> tuple[int, ...]:
    """Read seeds: a count (``5`` means 0 to 4), a range (``0-9``), a list (``1,3,7``) or a YAML list.

    Raises:
        HarnessError: There is none, or one is negative.
    """
    try:
        if isinstance(value, bool):
            raise ValueError
        count = whole(value.strip()) if isinstance(value, str) else value
        if isinstance(count, int):
            seeds = _seed_range(0, count - 1)
        elif isinstance(value, str):
            seeds = []
            for part in filter(None, (part.strip() for part in value.split(","))):
                match = re.fullmatch(r"([0-9]+)(?:\s*-\s*([0-9]+))?", part)
                if match is None:
                    raise ValueError
                seeds += _seed_range(int(match[1]), int(match[2] or match[1]))
        else:
            if not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in value):
                raise ValueError
            seeds = list(value)
    except (TypeError, ValueError):
        seeds = []
    if not seeds or min(seeds) < 0 or max(seeds) >= 2**31:
        raise HarnessError(
            f"{where}: `seeds` is a count of at least 1 (5 means seeds 0 to 4), a range like 0-9 or a list like 1,3,7 "
            f"of at most {MOST_SEEDS:,} seeds from 0 to 2147483647, not {value!r}."
        )
    return tuple(dict.fromkeys(seeds))


def _seed_range(first: int, last: int) -> list[int]:
    if last - first >= MOST_SEEDS:
        raise ValueError
    return list(range(first, last + 1))

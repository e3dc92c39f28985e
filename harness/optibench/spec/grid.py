"""The grid: which optimizers run on which tasks, with which seeds and budget; and how to run it.

Each option is declared once, here or in :mod:`optibench.spec.limits`. That makes it a key of YAML files, a flag (which
overrides the file), a keyword in Python and a part of ``optibench schema``. A grid becomes a
:class:`optibench.plan.plan.Plan`, which no longer depends on defaults, globs or installed versions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from optibench import external
from optibench.errors import HarnessError
from optibench.numbers import whole
from optibench.options import COUNT, Form, Option, declared, in_file, some, text
from optibench.paths import expanded, expanded_text
from optibench.spec import batches
from optibench.spec.budget import BUDGET, Budget
from optibench.spec.fidelity import FIDELITY, FidelityChoice
from optibench.spec.limits import Limits
from optibench.spec.trials import TRIALS, factor, larger
from optibench.yaml_file import Source, by_name, read_yaml

DEFAULT_TRIALS = 50
MAX_SEEDS = 1_000_000
Seed = Annotated[int, Meta(ge=0, lt=2**31)]


def _read_seeds(written: int | str | list[int]) -> tuple[int, ...]:
    if isinstance(written, list):
        return tuple(dict.fromkeys(written))
    parts = [part.strip() for part in str(written).split(",") if part.strip()]
    if whole(str(written).strip()) is not None:  # a count
        parts = [f"0-{int(written) - 1}"]
    matches = [re.fullmatch(r"([0-9]{1,18})(?:\s*-\s*([0-9]{1,18}))?", part) for part in parts]
    ends = [(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    if not ends or None in matches or not all(first <= last < first + MAX_SEEDS for first, last in ends):
        raise ValueError
    seeds = (seed for first, last in ends for seed in range(first, last + 1))
    return msgspec.convert(tuple(dict.fromkeys(seeds)), tuple[Seed, ...])


SEEDS = Form(
    "a count of at least 1 (5 means seeds 0 to 4), a range like 0-9 or a list like 1,3,7 of at most "
    f"{MAX_SEEDS:,} seeds from 0 to 2147483647",
    Annotated[int, Meta(ge=1, le=MAX_SEEDS)]
    | text(r"^[\d\s,-]+$")
    | Annotated[list[Seed], Meta(min_length=1, max_length=MAX_SEEDS)],
    _read_seeds,
)
_NAME = Annotated[str, Meta(min_length=1)]
NAMES = Form(
    "a list of names",
    _NAME | Annotated[list[_NAME], Meta(min_length=1)],
    lambda written: tuple(dict.fromkeys([written] if isinstance(written, str) else written)),
)


def _read_name(written: str | int) -> str:
    if not re.fullmatch(r"[\w-][\w.-]*", str(written)):
        raise ValueError
    return str(written)


NAME = Form("letters, digits, '-', '_' and '.', the first no '.'", text(r"^[\w-][\w.-]*$") | int, _read_name)


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run.

    Attributes:
        trials: Trials in each cell, or a multiple of the number of its task's parameters
            (:mod:`optibench.spec.trials`); with a ``budget``, the number that optimizers are told.
        initial: ``shared``: all optimizers of one (task, seed) are told the same random configurations first;
            ``own``: each optimizer's library makes its own, as in normal use.
        budget: A cell's budget if it is a cost instead of a number of trials.
        simulated_workers: 0: one evaluation after the other, without a clock.
        fidelity: ``None``: each task's main fidelity, from its lowest value on.
        skipped: ``None``: a task whose data is missing is an error; empty: such tasks are left out; otherwise the tasks
            that were left out.
    """

    optimizers: Annotated[
        tuple[str, ...], NAMES, Option("optimizers, as name or name:key=value", "-o", "NAME", many=True)
    ]
    benchmarks: Annotated[
        tuple[str, ...], NAMES, Option("tasks, suites or globs like 'yahpo/*/12'", "-b", "NAME", many=True)
    ]
    seeds: Annotated[
        tuple[Annotated[int, Meta(ge=0)], ...],
        SEEDS,
        Option("a count (5: seeds 0 to 4), a range (0-9) or a list (1,3,7); default 5", "-s"),
    ] = (0, 1, 2, 3, 4)
    trials: Annotated[
        Annotated[int, Meta(ge=1)] | str,
        TRIALS,
        Option(
            "trials in each cell, the initial design included: 50 (default), or 20D, 20 for each parameter of the task",
            "-t",
            "N",
        ),
    ] = DEFAULT_TRIALS
    initial: Annotated[
        Literal["shared", "own"],
        Option("the first trials: random configurations that all optimizers share (default), or each library's own"),
    ] = "shared"
    initial_size: Annotated[
        Annotated[int, Meta(ge=0)],
        COUNT,
        Option("size of the shared initial design; default 10", metavar="N"),
    ] = 10
    name: Annotated[str, NAME, Option("what the grid is called; names the run folder", flag=False)] = "grid"
    limits: Limits = Limits()
    budget: Annotated[
        Budget | None,
        BUDGET,
        Option("instead of trials: fidelity=50 (full evaluations) or seconds=3600 (simulated)", metavar="UNIT=X"),
    ] = None
    simulated_workers: Annotated[
        int,
        COUNT,
        Option("evaluations at a time, on a clock simulated from what they cost", metavar="N"),
    ] = 0
    fidelity: Annotated[
        FidelityChoice | None,
        FIDELITY,
        Option("what multi-fidelity optimizers vary: epochs, or epochs=3 for the lowest value", metavar="NAME"),
    ] = None
    skipped: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.trials, str):
            factor(self.trials)


class Settings(msgspec.Struct, frozen=True):
    """How to run a grid: none of these options changes a result."""

    out: Annotated[
        Path | None, Form("a folder", str, expanded), Option("the run folder; default runs/NAME", metavar="DIR")
    ] = None
    jobs: Annotated[
        int | None,
        COUNT,
        Option("worker processes; default: one per usable core. On Dask: maximum of concurrent cells", "-j", "N"),
    ] = None
    executor: Annotated[Literal["processes", "serial", "dask"], Option("default: processes")] = "processes"
    scheduler: Annotated[
        str | None,
        Form("an address like tcp://HOST:8786", _NAME, expanded_text),
        Option("address of the Dask scheduler, with --executor dask; docs/how-to/dask.md", metavar="ADDRESS"),
    ] = None
    skip_missing: Annotated[
        bool, Option("leave out tasks whose data is missing; the report lists them", file=False)
    ] = False
    allow_external: Annotated[
        bool, Option("run the external commands of a folder that was made elsewhere", file=False)
    ] = False
    extend: Annotated[
        bool, Option("add optimizers, tasks, seeds or trials to the grid in --out; what it has stays", file=False)
    ] = False
    retry_failed: Annotated[
        bool, Option("run failed trials of finished cells again, and what came after them", file=False)
    ] = False
    changed: Annotated[
        Literal["rerun", "keep"] | None,
        Option("rerun or keep cells that other code or versions made; default: ask on the terminal", file=False),
    ] = None


class Also(msgspec.Struct, frozen=True):
    """Further keys of a file; they become part of the other classes' options."""

    batch_size: Annotated[
        tuple[int, ...],
        batches.SIZES,
        Option("configurations that are proposed at a time: 4, or 1,4 for both; default 1", metavar="N"),
    ] = (1,)
    external: Annotated[
        Mapping[str, Any] | None,
        Form("a mapping with `optimizers:` and `benchmarks:`", dict[str, Any], inside=external.written),
        Option("optimizers and benchmarks of other programs; docs/how-to/external.md", flag=False),
    ] = None


PARTS = (Grid, Also, Limits, Settings)


def load(
    path: str | None,
    given: Mapping[str, Any],
    *,
    place: str = "The command line",
    before: Callable[[Settings], Grid] | None = None,
) -> tuple[Grid, Settings]:
    """Read a grid from a YAML file (or a shipped one by name) and from options, which override the file.

    The external optimizers and benchmarks that the file defines are registered.

    Args:
        path: The file, or ``None``.
        given: Options in the form of flags, of a file, or of values; ``None`` means not given.
        place: Where the options were given, for error messages.
        before: Returns the grid that ``extend`` adds to; without it there is no such option.

    Raises:
        HarnessError: The file is missing or malformed, or a value is out of range; the message gives the line.
    """
    known = declared(*PARTS)
    source = read_yaml(path, "grid", in_file(known), shipped()) if path is not None else Source.of({}, place)
    if any(given.get(key) is not None for key in ("trials", "budget")):  # either one replaces both
        for key in ("trials", "budget"):
            source.values.pop(key, None)
    source.override(given, known, place)
    extend = before is not None and bool(source.values.get("extend"))
    for key in ("optimizers", "benchmarks"):
        if not source.values.get(key) and not extend:
            flag = known[key].option.short
            raise HarnessError(f"The grid names no {key}: give them with {flag} or under `{key}:` in a YAML file.")
    if {"budget", "trials"} <= source.values.keys():
        raise HarnessError(
            f"{source.where('budget')}: the budget is given twice, as `budget` and as `trials`: leave one of them out."
        )
    values = source.read(known)
    if "external" in values:
        external.register(external.read(source, Path(source.path).parent, "external"))
    if "budget" in values:
        spend = values["budget"]
        values["trials"] = spend if isinstance(spend, int) else spend.trials or DEFAULT_TRIALS
        values["budget"] = None if isinstance(spend, int) else spend
    settings = _settings(source, values)
    if extend and before is not None:
        return _extended(before(settings), values, source), settings
    values["optimizers"] = batches.expand(values["optimizers"], values.get("batch_size", (1,)))
    skipped = () if values.get("skip_missing") else None
    grid = Grid(**some(Grid, values), limits=Limits(**some(Limits, values)), skipped=skipped)
    _refuse_without_search(grid, source)
    return grid, settings


def _extended(before: Grid, values: Mapping[str, Any], source: Source) -> Grid:
    """A folder's grid with more optimizers, benchmarks, seeds or trials.

    Args:
        before: The folder's grid.
        values: The given options; those that cannot be extended must have the folder's values.
        source: Where they were given.

    Raises:
        HarnessError: An option differs, or there are fewer trials; the message gives the line.
    """

    def refuse(key: str, there: Any, hint: str) -> None:
        raise HarnessError(f"{source.where(key)}: `{key}` is {there} in the run folder: {hint}.")

    for key, there in (
        *((key, getattr(before, key)) for key in ("initial", "budget", "simulated_workers", "fidelity")),
        *((key, getattr(before.limits, key)) for key in declared(Limits)),
    ):
        if key in values and values[key] != there:
            shown = "not set" if there is None or (key == "simulated_workers" and not there) else there
            refuse(key, shown, "leave it out, or choose another --out")
    if before.budget is not None and "trials" in values and "budget" not in values:
        refuse("budget", "set", "a budget that is a cost cannot be extended; leave the trials out")
    size = values.get("initial_size", before.initial_size)
    if before.initial == "shared" and size != before.initial_size:
        refuse("initial_size", before.initial_size, "leave it out, or choose another --out")
    trials = values.get("trials", before.trials)
    if isinstance(trials, str) != isinstance(before.trials, str):
        refuse("trials", before.trials, "give a number as well" if isinstance(trials, str) else "give a multiple of D")
    if larger(before.trials, trials) != trials:
        refuse("trials", before.trials, "give as many, or more")
    new = batches.expand(values.get("optimizers", ()), values.get("batch_size", (1,)))
    return msgspec.structs.replace(
        before,
        optimizers=tuple(dict.fromkeys([*before.optimizers, *new])),
        benchmarks=tuple(dict.fromkeys([*before.benchmarks, *values.get("benchmarks", ())])),
        seeds=tuple(dict.fromkeys([*before.seeds, *values.get("seeds", ())])),
        trials=trials,
        skipped=() if values.get("skip_missing") and before.skipped is None else before.skipped,
    )


def load_settings(given: Mapping[str, Any], *, place: str = "The command line") -> Settings:
    """Read only the options on how to run, to resume a run folder.

    Raises:
        HarnessError: A value is out of range, or an option would change the grid.
    """
    known, source = declared(*PARTS), Source.of({}, place)
    source.override(given, known, place)
    for key in source.values:
        if key not in declared(Settings) and "out" in source.values:
            raise HarnessError(
                f"{known[key].flag} would change the grid in {source.values['out']}: leave it out to resume, or give "
                "-o and -b as well."
            )
    return _settings(source, source.read(known))


def _refuse_without_search(grid: Grid, source: Source) -> None:
    """Reject a grid whose shared initial design leaves no trials to search: all optimizers would do the same."""
    amount = grid.trials if grid.budget is None else grid.budget.amount
    if grid.initial == "own" or (grid.budget and grid.budget.unit != "fidelity"):
        return
    if isinstance(amount, str) or amount > grid.initial_size:  # multiples of D are checked once the tasks are known
        return
    key = next((key for key in ("trials", "budget", "initial_size") if (key,) in source.lines), "")
    flag = "-t" if grid.budget is None else "--budget fidelity="
    raise HarnessError(
        f"{source.where(key)}: the shared initial design of {grid.initial_size} configurations leaves none of "
        f"{amount:g} trials to search with; give more trials ({flag}), a smaller design (--initial-size), or "
        "--initial own."
    )


def _settings(source: Source, values: Mapping[str, Any]) -> Settings:
    found = Settings(**some(Settings, values))
    if found.executor == "dask" and found.scheduler is None:
        raise HarnessError(
            "The dask executor needs a scheduler: add --scheduler tcp://HOST:8786, as `dask scheduler` prints it."
        )
    if found.scheduler is not None and found.executor != "dask":
        raise HarnessError(
            f"{source.where('scheduler')}: `scheduler` belongs to the dask executor: add --executor dask."
        )
    return found


def shipped() -> dict[str, Path]:
    """The grids that come with the bench, by name."""
    return by_name(Path(__file__).parents[1] / "grids")

"""`optibench run` and `optibench status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from optibench.cli import complete
from optibench.cli.command import FOLDER, RUN, Command, Option, Several, Value, Word, paths, several, specs, words
from optibench.options import Declared, declared
from optibench.spec.grid import PARTS, Also, Grid, Settings, load, shipped
from optibench.spec.limits import Limits

FAILED = 3
"""The exit status of a run in which trials failed."""
PLACE = "The command line"
GROUPS = {
    Grid: "The grid",
    Also: "The grid",
    Limits: "Limits (part of the grid): a trial that exceeds one fails, and the cell continues",
    Settings: "How to run it (changes no result)",
}
"""The heading of each part's options in the help; for other parts, the first line of the class's docstring."""


def is_grid(word: str) -> bool:
    """Whether a word names a grid: a shipped one, or a YAML file."""
    return word in shipped() or (word.endswith((".yaml", ".yml")) and ":" not in word)


def _is_optimizer(word: str) -> bool:
    from optibench_optimizers import entries

    return word in entries()


def _is_suite(word: str) -> bool:
    from optibench_benchmarks import suites

    return word in suites.load()


MANY: dict[str, dict[str, Any]] = {
    "optimizers": {
        "split": specs,
        "is_argument": is_grid,
        "is_value": _is_optimizer,
        "type": Value("name", complete=complete.optimizers),
    },
    "benchmarks": {
        "split": several,
        "is_argument": is_grid,
        "is_value": _is_suite,
        "type": Value("name", complete=complete.tasks),
    },
}
"""Additional arguments of options with several values, which their declarations do not have."""


def flags() -> list[Option]:
    """The flags of all options of a grid and its settings; one that is not given is ``None``."""
    return [
        flag(one, GROUPS.get(part) or (part.__doc__ or "").partition("\n")[0].rstrip("."))
        for part in PARTS
        for one in declared(part).values()
        if one.option.flag
    ]


def flag(one: Declared, group: str) -> Option:
    """The flag of an option, under a heading of the help."""
    names = [one.key, *filter(None, (one.option.short, one.flag))]
    more: dict[str, Any] = {"help": one.option.help, "group": group}
    kind = one.form.written
    if kind is bool:
        return Option(names, is_flag=True, flag_value=True, default=None, **more)
    if get_origin(kind) is Literal:
        return Option(names, type=Word(get_args(kind)), **more)
    more["metavar"] = one.option.metavar or one.key.upper()
    if one.option.many:
        more["metavar"] += f",{more['metavar']}"
        return Several(names, **{"split": several, **MANY.get(one.key, {})}, **more)
    if one.key == "out":
        more["type"] = Value("folder", complete=lambda begun: paths(begun, run_folders=True))
    return Option(names, **more)


def run(grid: str | None, dry_run: bool, allow_failures: bool, no_report: bool, **given: Any) -> int:
    """Run every optimizer on every task with every seed.

    GRID is a YAML file, or a name from `optibench list grids`; options override it. The same --out resumes. Finished
    trials are never lost, whatever stops the run.
    """
    from optibench.spec import names

    if not given["extend"] and (grid is not None or given["optimizers"] or given["benchmarks"]):
        names.check(load(grid, given, place=PLACE)[0])  # a mistake is reported before slow imports
    if dry_run:
        from optibench.runs import forecast

        print(forecast.dry_run(grid, given, place=PLACE).sentence)
        return 0
    from optibench.runs.run import start
    from optibench.store import provenance
    from optibench.store.run_folder import TRIALS

    outcome = start(grid, command=provenance.command(words()), place=PLACE, **given)
    folder = outcome.store.folder
    if outcome.stopped:
        print(
            f"Stopped with {outcome.finished} of {outcome.cells} cells finished; resume with: "
            f"optibench run --out {folder}",
            file=sys.stderr,
        )
        return 130
    if not no_report:
        from optibench.cli.report import show
        from optibench.runs import reports

        show(reports.report([folder], folder / "report"))
    if outcome.failed and not allow_failures:
        print(
            f"optibench: {outcome.failed:,} trials failed: column `error` of {folder / TRIALS} says why, "
            f"{folder / 'logs'} has their tracebacks; --allow-failures sets the exit status to 0.",
            file=sys.stderr,
        )
        return FAILED
    return 0


_AFTER = "After the run"
run_command = Command(
    "run",
    callback=run,
    help=run.__doc__,
    epilog="Examples: optibench run demo | optibench run -o random,tpe -b hpobench -s 10 -t 50 --out runs/first",
    params=[
        click.Argument(["grid"], required=False, metavar="[GRID]", type=Value("grid", complete=complete.grids)),
        *flags(),
        Option(
            ["--dry-run"],
            is_flag=True,
            group=GROUPS[Settings],
            help="only print how many cells and trials are left, and about how long they take",
        ),
        Option(
            ["--allow-failures"],
            is_flag=True,
            group=_AFTER,
            help="exit with status 0 even if trials failed (default: 3)",
        ),
        Option(
            ["--no-report"],
            is_flag=True,
            group=_AFTER,
            help="do not write a report; `optibench report DIR` writes it later",
        ),
    ],
)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.1 <= number < 1e6:
        raise ValueError(f"a number of seconds of at least 0.1 is needed, not {text!r}")
    return number


@click.command(cls=Command)
@click.argument("folder", type=RUN, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
@click.option("--watch", is_flag=True, help="update until all cells are finished, or Ctrl-C")
@click.option(
    "--every",
    type=Value("seconds", _seconds),
    default="2",
    metavar="N",
    help="with --watch: seconds between updates; default 2",
)
def status(folder: Path, as_json: bool, watch: bool, every: float) -> None:
    """Show the progress of the run in DIR."""
    if watch:
        _watch(folder, as_json, every)
    else:
        print(_shown(_found(folder), as_json))


def _found(folder: Path) -> dict[str, Any]:
    from optibench.runs.run import status
    from optibench.store.run_folder import Store

    return status(Store.open(folder))


def _watch(folder: Path, as_json: bool, every: float) -> None:
    """Show the status whenever it changes: in place on a terminal, elsewhere line by line."""
    import json
    import time

    def states() -> Iterator[dict[str, Any]]:
        while True:
            found = _found(folder)
            yield found
            if found["finished"] == found["cells"]:
                return
            time.sleep(every)

    if sys.stdout.isatty() and not as_json:
        from rich.live import Live
        from rich.text import Text

        with Live(auto_refresh=False) as live:
            for found in states():
                live.update(Text(_shown(found, as_json=False)), refresh=True)
        return
    last = None
    for found in states():
        if found != last:
            print(json.dumps(found) if as_json else _shown(found, as_json=False), flush=True)
        last = found


def _shown(found: dict[str, Any], as_json: bool) -> str:
    if as_json:
        import json

        return json.dumps(found, indent=2)
    head = f"{found['folder']}: {found['finished']:,} of {found['cells']:,} cells finished, "
    if found["trials_in_all"] is None:  # the budget is a cost: the number of trials is known once a cell is finished
        head += f"{found['trials']:,} trials in the started cells"
    else:
        head += f"{found['trials']:,} of {found['trials_in_all']:,} trials done"
    lines = [head]
    width = max(map(len, found["optimizers"]))
    for name, counts in found["optimizers"].items():
        begun = f", {counts['begun']} begun" if counts["begun"] else ""
        lines.append(f"  {name:<{width}}  {counts['finished']:>6,} of {counts['cells']:,} cells{begun}")
    lines += [f"  ! {event['event']}: {event['text']}" for event in found["events"][-10:]]
    if found["finished"] < found["cells"]:
        lines.append(f"Resume with: optibench run --out {found['folder']}")
    return "\n".join(lines)


@click.command(cls=Command)
@click.argument("folders", type=RUN, nargs=-1, required=True, metavar="DIR...")
@click.option("--out", type=FOLDER, required=True, metavar="NEW", help="the run folder to write")
def merge(folders: Sequence[Path], out: Path) -> None:
    """Merge the runs in two or more DIRs into NEW, which can be resumed and extended.

    The runs may have different optimizers, tasks and seeds, finished or not. Trials, limits, initial designs and task
    data must be the same.
    """
    from optibench.store.merge import merge

    merged = merge(folders, out)
    shared = f", {merged.shared:,} of them in several folders" if merged.shared else ""
    print(f"Merged: {out} ({merged.finished:,} of {merged.cells:,} cells finished{shared})")
    if merged.finished < merged.cells:
        print(f"Run the others with: optibench run --out {out}")

"""`optibench data` and `optibench references`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from optibench.cli import complete
from optibench.cli.command import Command, Value, Word


@click.command(cls=Command)
@click.argument("action", type=Word(("list", "fetch", "verify", "path")), metavar="ACTION")
@click.argument("names", nargs=-1, metavar="[NAME]...", type=Value("data set", complete=complete.datasets))
def data(action: str, names: Sequence[str]) -> int:
    """Find, fetch and verify the data of tasks.

    ACTION is one of list, fetch, verify and path; NAMEs are data sets from `optibench data list`, default all. The exit
    status is 1 if `verify` finds that something is missing or corrupt.
    """
    from optibench_benchmarks import data

    if action == "path":
        for name in names:
            print(data.locate(name))
        if not names:
            print(data.root())
        return 0
    if action == "fetch":
        data.fetch(names)
        return 0
    statuses = data.verify(names) if action == "verify" else _selected(names)
    _show(statuses)
    return 0 if action == "list" or all(status.state == "present" for status in statuses) else 1


def _selected(names: Sequence[str]) -> list[Any]:
    from optibench_benchmarks import data

    unknown = set(names) - set(data.manifest())
    if unknown:  # verify's error names the closest ones
        data.verify(sorted(unknown))
    return [status for status in data.datasets() if not names or status.dataset.name in names]


def _show(statuses: Sequence[Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from optibench_benchmarks import data

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("data set", "state", "MB", "licence", "what it is"):
        table.add_column(column, justify="right" if column == "MB" else "left", overflow="fold")
    colors = {"present": "green", "missing": "yellow", "corrupt": "red"}
    for status in statuses:
        dataset = status.dataset
        table.add_row(
            dataset.name,
            Text(status.state, style=colors[status.state]),
            f"{dataset.size / 1e6:.1f}",
            dataset.licence,
            Text(f"{dataset.description} ({status.problem})" if status.problem else dataset.description),
        )
    console = Console(highlight=False)
    console.print(f"Data folder: {data.root()}", style="dim", markup=False)
    console.print(table)
    absent = [status.dataset.name for status in statuses if status.state != "present"]
    if absent:
        console.print(f"\nFetch the missing data with: optibench data fetch {' '.join(absent)}", markup=False)


@click.command(cls=Command)
@click.argument("patterns", nargs=-1, required=True, metavar="NAME...", type=Value("task", complete=complete.tasks))
@click.option("--again", is_flag=True, help="also recompute stored values; a better f_best stays")
@click.option("--check", is_flag=True, help="evaluate the configurations behind the stored values again")
def references(patterns: Sequence[str], again: bool, check: bool) -> int:
    """Compute the frozen reference values of tasks: f_best, f_ref and f_worst, or the front of several objectives.

    NAMEs are tasks, suites or globs. Values are written into the committed file. Stored values are frozen: they change
    only with --again, and then get a new version. The exit status is 1 if --check finds a difference.
    """
    if again and check:
        raise click.UsageError("--again and --check exclude each other", click.get_current_context())
    import optibench_benchmarks
    from optibench_benchmarks.references import compute, fronts, several, table

    skipped: dict[str, str] = {}
    optibench_benchmarks.check(patterns)  # a mistake is reported before a task is built
    names = optibench_benchmarks.expand(patterns, skipped)
    for name, reason in skipped.items():
        print(f"Left out: {name}. {reason}", file=sys.stderr)
    tasks = [optibench_benchmarks.create(name) for name in names]
    own = [each.name for each in tasks if each.name.partition("/")[0] in compute.COMPUTED or several.is_built_in(each)]
    tasks = [task for task in tasks if task.name not in own]
    names = [task.name for task in tasks]
    if own:
        print(f"{len(own)} tasks compute their references when they are built")
    special = [task for task in tasks if several.applies(task)]
    names = [name for name in names if name not in {task.name for task in special}]
    if check:
        problems = compute.check([*names, *(task.name for task in special if not task.objectives)])
        problems += several.check([task for task in special if task.objectives])
        for problem in problems:
            print(problem)
        print(f"{len(tasks)} tasks checked, {len(problems)} problems")
        return 1 if problems else 0
    if special:
        due = special if again else several.pending(special)
        for one in several.make(due):
            if isinstance(one, fronts.Frozen):
                fronts.write([one])
            else:
                table.write([one])
            print(f"{one.name}: computed", flush=True)
        print(f"{len(due)} references of tasks with several objectives or constraints computed")
        if not names:
            return 0
    wanted = names if again else compute.pending(names)
    print(f"{len(names)} tasks, {len(wanted)} to compute")
    for number, entry in enumerate(compute.compute(wanted), start=1):
        (change,) = table.write([entry])
        new = change.new.reference
        values = f"f_best {new.f_best:.6g}, f_ref {new.f_ref:.6g}, f_worst {new.f_worst:.6g}, version {new.version}"
        print(f"[{number}/{len(wanted)}] {entry.name}: {change.kind}, {values}", flush=True)
    for path in dict.fromkeys(map(table.home, wanted)):
        print(f"Written to {path}.")
    return 0

"""The commands that use results: reports, comparisons, papers, and small folders to share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from optibench.cli import complete
from optibench.cli.command import (
    FOLDER,
    RUN,
    Command,
    Option,
    Several,
    Value,
    closest,
    counts,
    file,
    is_path,
    several,
    specs,
)
from optibench.errors import HarnessError
from optibench.paths import expanded

if TYPE_CHECKING:
    from optibench_reports import Report


class _Label(Value):
    """An optimizer or a task of the run folders that come before it on the command line."""

    def __init__(self, key: str) -> None:
        super().__init__("name")
        self.key = key

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(one) for one in complete.labels(map(expanded, ctx.args), self.key, incomplete)]


def _new_name(text: str) -> tuple[str, str]:
    old, equals, new = (part.strip() for part in text.rpartition("="))
    if not (old and equals and new):
        raise ValueError(f"OLD=NEW is needed, such as gp-prior:checkpoint=*=gp-prior, not {text!r}")
    return old, new


STATISTICS = (
    Several(
        ["--at"],
        split=counts,
        is_argument=lambda word: not word.isdecimal(),
        group="Statistics",
        metavar="N,N",
        help="trial counts to report regret at",
    ),
    Option(
        ["--control"],
        type=_Label("optimizers"),
        group="Statistics",
        metavar="NAME",
        help="test every optimizer against this one instead of all pairs",
    ),
    Several(
        ["--metric"],
        split=several,
        is_argument=is_path,
        group="Statistics",
        metavar="NAME,NAME",
        help="also show this metric of the incumbent: test_accuracy, or test_accuracy:maximize if it has no direction",
    ),
)
SELECTION = (
    Several(
        ["optimizers", "--optimizer"],
        split=specs,
        is_argument=is_path,
        type=_Label("optimizers"),
        group="Which results",
        metavar="NAME,NAME",
        help="only these optimizers, by their names in the tables, or globs like 'tpe*'",
    ),
    Several(
        ["tasks", "--task"],
        split=several,
        is_argument=is_path,
        type=_Label("benchmarks"),
        group="Which results",
        metavar="NAME,NAME",
        help="only these tasks, by name or globs like 'yahpo/*'",
    ),
)


def _report(
    folders: Sequence[Path],
    at: Sequence[int] | None,
    control: str | None,
    metric: Sequence[str] | None,
    optimizers: Sequence[str] | None,
    tasks: Sequence[str] | None,
    rename: Sequence[tuple[str, str]],
    out: Path | None,
    run: Sequence[str] | None,
) -> int:
    """Write statistics, tables, figures and an HTML page of the runs in some folders.

    Several runs are reported as one; docs/how-to/report.md explains what is in a report.
    """
    if out is None and len(folders) > 1:
        raise HarnessError("A report of several runs needs a folder of its own: add --out DIR.")
    names = dict(rename)
    wanted = [*names, *(name for name in [*(optimizers or ()), control] if name and name not in names.values())]
    _refuse_unknown(folders, wanted, tasks or ())
    from optibench.runs import reports

    chosen = {"asked": metric or (), "optimizers": optimizers or (), "tasks": tasks or ()}
    out = out or folders[0] / "report"
    show(reports.report(folders, out, at=at, control=control, run=run, names=names, **chosen))
    return 0


def show(report: Report) -> None:
    """Print what a report says and where it is."""
    print(f"{report.summary}\n\nReport: {report.path}\nPage:   {report.path.with_suffix('.html')}")


def _refuse_unknown(folders: Sequence[Path], optimizers: Sequence[str] = (), tasks: Sequence[str] = ()) -> None:
    """Reject folders without results and names that are in none of them, before slow imports."""
    from fnmatch import fnmatchcase

    from optibench.store.run_folder import Store

    stores = [Store.open(folder) for folder in folders]
    if not optimizers and not tasks:
        return
    grids = [store.plan().grid for store in stores]
    for kind, names, key in (("optimizer", optimizers, "optimizers"), ("task", tasks, "benchmarks")):
        known = dict.fromkeys(name for grid in grids for name in getattr(grid, key))
        for name in names:
            if name not in known and not any(fnmatchcase(one, name) for one in known):
                hint = closest(name, known) or f" (there are {', '.join([*known][:8])}{', ...' * (len(known) > 8)})"
                raise HarnessError(f"No {kind} in {', '.join(map(str, folders))} is called {name!r}{hint}.")


report = Command(
    "report",
    callback=_report,
    help=_report.__doc__,
    params=[
        click.Argument(["folders"], type=RUN, nargs=-1, required=True, metavar="DIR..."),
        *SELECTION,
        *STATISTICS,
        Option(
            ["--rename"],
            type=Value("names", _new_name),
            multiple=True,
            group="Which results",
            metavar="OLD=NEW",
            help="call the optimizer OLD, a name or a glob, NEW; may be given several times, also for one NEW if they "
            "ran on different tasks",
        ),
        Option(["--out"], type=FOLDER, metavar="DIR", help="the report's folder; default DIR/report"),
        Option(
            ["--run"],
            nargs=3,
            metavar="OPTIMIZER TASK SEED",
            help="also draw this run, as parallel coordinates of its configurations and objective",
        ),
    ],
)


def _compare(
    first: Path,
    second: Path,
    at: Sequence[int] | None,
    control: str | None,
    metric: Sequence[str] | None,
    out: Path,
    fail_if_worse: bool,
) -> int:
    """Compare the runs in DIR1 and DIR2 on the tasks they share."""
    _refuse_unknown((first, second))
    from optibench.runs import reports

    agreement, report, found = reports.compare(
        first, second, out, at=at, control=control, asked=metric or (), changed=fail_if_worse
    )
    print(f"{agreement}\n")
    show(report)
    if not fail_if_worse:
        return 0
    worse = [change for change in found if change.worse]
    print()
    for change in worse:
        print(f"Worse in {second}: {change}.")
    if not worse:
        print(f"Nothing is worse in {second}: {', '.join(dict.fromkeys(change.optimizer for change in found))}.")
    return 1 if worse else 0


compare = Command(
    "compare",
    callback=_compare,
    help=_compare.__doc__,
    params=[
        click.Argument(["first"], type=RUN, metavar="DIR1"),
        click.Argument(["second"], type=RUN, metavar="DIR2"),
        *STATISTICS,
        Option(["--out"], type=FOLDER, required=True, metavar="DIR", help="the report's folder"),
        Option(
            ["--fail-if-worse"],
            is_flag=True,
            help="exit with status 1 if an optimizer has a higher regret in DIR2 than in DIR1: significantly "
            "(signed-rank test over the tasks, Holm over optimizers and trial counts, p < .05) or, with too few tasks "
            "for the test, with an interval of the difference that is entirely above 0",
        ),
    ],
)


@click.command(cls=Command)
@click.argument("spec", default="published", metavar="SPEC", type=Value("paper", complete=complete.papers))
@click.option("--out", type=FOLDER, default="paper", metavar="DIR", help="default paper")
@click.option("--no-run", is_flag=True, help="run no grid; only say what is missing and how to make it")
def paper(spec: str, out: Path, no_run: bool) -> int:
    """Write every table and figure of a paper, and a LaTeX file that includes them.

    SPEC is a YAML file, or the name of a shipped one; default published. Existing result folders are reused; grids
    whose folders are missing are run, after a message on how long that takes. The output is main.tex, tables/ and
    figures/; see docs/how-to/paper.md.
    """
    from optibench.runs import paper

    found = paper.load(spec)
    folders = paper.collect(found, may_run=not no_run)
    if folders is None:
        return 130
    print(f"Written: {paper.write(found, folders, out)}")
    return 0


_publish_metric = Several(
    ["--metric"],
    split=several,
    metavar="NAME,NAME",
    help="with --compact: keep these metrics (default none); without --compact, all are kept",
)


def _publish(folder: Path, target: Path, compact: bool, metric: Sequence[str] | None) -> None:
    """Write the finished run in DIR as a small folder NEW, to commit or share.

    NEW is, for example, results/NAME; `optibench report NEW` reads it.
    """
    from optibench.store.run_folder import Store

    store = Store.open(folder)
    store.refuse_imported()
    if metric and not compact:
        raise HarnessError("Without --compact, `optibench publish` keeps every metric: leave --metric out.")
    published = store.publish(list(store.plan().cells()), target, compact=compact, metrics=metric or ())
    print(f"Published: {published.folder}")


publish = Command(
    "publish",
    callback=_publish,
    help=_publish.__doc__,
    params=[
        click.Argument(["folder"], type=RUN, metavar="DIR"),
        click.Argument(["target"], type=FOLDER, metavar="NEW"),
        Option(["--compact"], is_flag=True, help="a quarter of the size: no configurations, seconds to three digits"),
        _publish_metric,
    ],
)


@click.command("import", cls=Command)
@click.argument("files", type=file(".csv", ".parquet"), nargs=-1, required=True, metavar="FILE...")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="the run folder to write")
@click.option("--suffix", default="", metavar="TEXT", help="appended to the optimizers' labels, e.g. ' (theirs)'")
def import_(files: Sequence[Path], out: Path, suffix: str) -> None:
    """Import trials of other frameworks into the same statistics.

    The CSV or Parquet FILEs have the columns optimizer, task, seed, trial, value and more (docs/how-to/import.md). The
    output is a run folder for report and compare.
    """
    from optibench.store.import_trials import import_trials
    from optibench_reports.format.text import plural

    store = import_trials(files, out, suffix=suffix)
    grid = store.plan().grid
    nouns = ((grid.optimizers, "optimizer"), (grid.benchmarks, "task"), (grid.seeds, "seed"))
    found = ", ".join(plural(len(names), noun) for names, noun in nouns)
    print(f"Imported: {store.folder} ({found}); `optibench report {store.folder}` reports it.")


@click.command(cls=Command)
@click.argument("file", type=file(".json"), metavar="FILE.json")
@click.option("--out", type=FOLDER, metavar="DIR", help="default: a folder beside FILE with its name")
def latency(file: Path, out: Path | None) -> None:
    """Write a table and a figure of the time per suggestion, from `make latency`.

    FILE.json is the file that pytest-benchmark saved, with raw data.
    """
    from optibench_reports.studies.latency import write

    out = out or file.with_suffix("")
    print(write(file, out))
    print(f"\nWritten: {out / 'latency.md'}")

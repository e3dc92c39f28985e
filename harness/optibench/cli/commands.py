"""What each command of the command line does; each imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optibench.errors import HarnessError

if TYPE_CHECKING:
    from optibench_reports.stats.metrics import Metric

FAILED = 3
"""The exit status of a run in which trials failed."""


def show_list(arguments: argparse.Namespace) -> None:
    """`optibench list`: what is registered."""
    from optibench.cli.listing import SECTIONS, show

    show((arguments.section,) if arguments.section else SECTIONS, as_json=arguments.json)


def run_grid(arguments: argparse.Namespace) -> int:
    """`optibench run`: run a grid or resume one, then report it."""
    from optibench.options import declared
    from optibench.runs.run import start
    from optibench.spec.grid import PARTS
    from optibench.store import provenance
    from optibench.store.run_folder import TRIALS

    _refuse_swallowed(arguments)
    given = {key: getattr(arguments, key) for key, one in declared(*PARTS).items() if one.option.flag}
    command = provenance.command(arguments.words)
    outcome = start(arguments.grid, command=command, place="The command line", **given)
    if outcome.stopped:
        print(
            f"Stopped with {outcome.finished} of {outcome.cells} cells finished; resume with: "
            f"optibench run --out {outcome.store.folder}",
            file=sys.stderr,
        )
        return 130
    folder = outcome.store.folder
    if not arguments.no_report:
        _write_report([folder], folder / "report")
    if outcome.failed and not arguments.allow_failures:
        print(
            f"optibench: {outcome.failed:,} trials failed: column `error` of {folder / TRIALS} says why, "
            f"{folder / 'logs'} has their tracebacks; --allow-failures makes that status 0.",
            file=sys.stderr,
        )
        return FAILED
    return 0


def _refuse_swallowed(arguments: argparse.Namespace) -> None:
    """Refuse a grid that is written after -o or -b, which take every name up to the next option."""
    from optibench.spec.grid import shipped
    from optibench_benchmarks import suites
    from optibench_optimizers import entries

    for flag, names, known in (("-o", arguments.optimizers, entries), ("-b", arguments.benchmarks, suites.load)):
        for name in names or ():
            if (name.endswith((".yaml", ".yml")) and ":" not in name) or (name in shipped() and name not in known()):
                raise HarnessError(
                    f"{flag} takes every name up to the next option, here also the grid {name!r}: write the grid "
                    f"first, as in `optibench run {name} {flag} ...`."
                )


def show_status(arguments: argparse.Namespace) -> None:
    """`optibench status`: how far a run is."""
    from optibench.runs.run import status
    from optibench.store.run_folder import Store

    found = status(Store.open(arguments.folder))
    if arguments.json:
        import json

        print(json.dumps(found, indent=2))
        return
    print(f"{found['folder']}: {found['finished']:,} of {found['cells']:,} cells finished,", end=" ")
    if found["trials_in_all"] is None:  # the budget is a cost: how many trials that is shows when a cell is done
        print(f"{found['trials']:,} trials in those that have begun")
    else:
        print(f"{found['trials']:,} of {found['trials_in_all']:,} trials done")
    width = max(map(len, found["optimizers"]))
    for name, counts in found["optimizers"].items():
        begun = f", {counts['begun']} begun" if counts["begun"] else ""
        print(f"  {name:<{width}}  {counts['finished']:>6,} of {counts['cells']:,} cells{begun}")
    for event in found["events"][-10:]:
        print(f"  ! {event['event']}: {event['text']}")
    if found["finished"] < found["cells"]:
        print(f"Resume with: optibench run --out {found['folder']}")


def report_run(arguments: argparse.Namespace) -> int:
    """`optibench report`: statistics, tables and figures of a run."""
    folders = arguments.folders
    if arguments.out is None and len(folders) > 1:
        raise HarnessError("A report of several runs belongs to none of them: say where it goes with --out DIR.")
    out = arguments.out or folders[0] / "report"
    return _write_report(
        folders, out, at=arguments.at, control=arguments.control, run=arguments.run, asked=arguments.metric
    )


def _write_report(
    folders: Sequence[Path],
    out: Path,
    *,
    at: Sequence[int] | None = None,
    control: str | None = None,
    run: Sequence[str] | None = None,
    asked: Sequence[str] = (),
) -> int:
    from optibench.store.to_results import load, load_curves, load_run
    from optibench_reports import merge, write

    metrics = _metrics(folders, asked)
    drawn = None if run is None else load_run(folders, *run)
    results = merge([load(folder, [metric.name for metric in metrics]) for folder in folders])
    places = ["DIR"] if len(folders) == 1 else [f"DIR{i + 1}" for i in range(len(folders))]
    made_by = f"optibench report {' '.join(places)}"
    curves = load_curves(folders)
    report = write(results, out, at=at, control=control, run=drawn, learning=curves, metrics=metrics, made_by=made_by)
    print(report.summary)
    print(f"\nReport: {report.path}\nPage:   {report.path.with_suffix('.html')}")
    return 0


def _metrics(folders: Sequence[Path], asked: Sequence[str]) -> list[Metric]:
    """The metrics that `--metric` names; some trial has each of them."""
    from optibench.store.to_results import refuse_absent_metrics
    from optibench_reports.stats.metrics import parse

    metrics = [parse(text) for text in asked]
    refuse_absent_metrics(folders, [metric.name for metric in metrics])
    return metrics


def compare_runs(arguments: argparse.Namespace) -> int:
    """`optibench compare`: two runs side by side."""
    from optibench.store.to_results import load
    from optibench_reports import agreement, compare_grids, write

    folders = (arguments.first, arguments.second)
    metrics = _metrics(folders, arguments.metric)
    first, second = (load(folder, [metric.name for metric in metrics]) for folder in folders)
    names = (arguments.first.name, arguments.second.name)
    if names[0] == names[1]:
        names = (str(arguments.first), str(arguments.second))
    both = compare_grids(first, second, names=names)
    made_by = "optibench compare DIR1 DIR2"
    at, control = arguments.at, arguments.control
    report = write(both, arguments.out, at=at, control=control, metrics=metrics, made_by=made_by)
    print(f"{agreement(first, second)}\n\n{report.summary}")
    print(f"\nReport: {report.path}\nPage:   {report.path.with_suffix('.html')}")
    return 0


def make_paper(arguments: argparse.Namespace) -> int:
    """`optibench paper`: tables, figures and LaTeX of a paper."""
    from optibench.runs import paper

    spec = paper.load(arguments.spec)
    folders = paper.collect(spec, may_run=not arguments.no_run)
    if folders is None:
        return 130
    print(f"Written: {paper.write(spec, folders, arguments.out)}")
    return 0


def publish_run(arguments: argparse.Namespace) -> None:
    """`optibench publish`: a finished run as a small folder."""
    from optibench.store.run_folder import Store

    store = Store.open(arguments.folder)
    store.refuse_imported()
    if arguments.metric and not arguments.compact:
        raise HarnessError("Without --compact, `optibench publish` keeps every metric: leave --metric out.")
    published = store.publish(
        list(store.plan().cells()), arguments.target, compact=arguments.compact, metrics=arguments.metric
    )
    print(f"Published: {published.folder}")


def import_trials(arguments: argparse.Namespace) -> None:
    """`optibench import`: trials of another framework as a run folder."""
    from optibench.store.import_trials import import_trials
    from optibench_reports.format.text import plural

    store = import_trials(arguments.files, arguments.out, suffix=arguments.suffix)
    grid = store.plan().grid
    nouns = ((grid.optimizers, "optimizer"), (grid.benchmarks, "task"), (grid.seeds, "seed"))
    counts = ", ".join(plural(len(names), noun) for names, noun in nouns)
    print(f"Imported: {store.folder} ({counts}); `optibench report {store.folder}` reports it.")


def show_latency(arguments: argparse.Namespace) -> None:
    """`optibench latency`: what a suggestion costs, from pytest-benchmark's file."""
    from optibench_reports.studies.latency import write

    out = arguments.out or arguments.file.with_suffix("")
    print(write(arguments.file, out))
    print(f"\nWritten: {out / 'latency.md'}")


def train_model(arguments: argparse.Namespace) -> None:
    """`optibench train`: train an OptiFormer."""
    from optiformer.training.loop import main as train

    checkpoint = train(
        arguments.config, out=arguments.out, data=arguments.data, minutes=arguments.minutes, processes=arguments.jobs
    )
    print(f"Checkpoint: {checkpoint}")


def fit_scaling(arguments: argparse.Namespace) -> None:
    """`optibench scaling`: held-out loss against size or training."""
    from optibench.studies.scaling import measure, write

    print(write(measure(arguments.configs), arguments.against, arguments.out))


def compare_variants(arguments: argparse.Namespace) -> None:
    """`optibench variants`: networks trained at equal budget."""
    from optibench.studies.network_variants import read, train, write

    compared = read(arguments.spec)
    trained = train(
        compared, arguments.seeds, arguments.out, progress=lambda line: print(line, file=sys.stderr, flush=True)
    )
    print(write(trained, compared, arguments.out))


def smoke_test(arguments: argparse.Namespace) -> int:
    """`optibench smoke`: its pipeline end to end."""
    from optiformer.evaluation.smoke import run

    return 0 if run(quick=arguments.quick) else 1


def examine(arguments: argparse.Namespace) -> int:
    """`optibench doctor`: what is missing here, and the cure."""
    from optibench.cli.doctor import show

    return 0 if show() else 1


def manage_data(arguments: argparse.Namespace) -> int:
    """`optibench data`: find, fetch and verify data."""
    from optibench.cli.data import act

    return act(arguments.action, arguments.names)


def make_references(arguments: argparse.Namespace) -> int:
    """`optibench references`: compute or check frozen values."""
    from optibench.cli.data import references

    return references(arguments.patterns, again=arguments.again, check=arguments.check)


def print_schema(arguments: argparse.Namespace) -> None:
    """`optibench schema`: what a YAML file may hold, for editors."""
    import json

    from optibench import external
    from optibench.options import as_written, declared, schema
    from optibench.runs.paper import Paper
    from optibench.spec.grid import PARTS

    kind = arguments.kind
    classes = {"grid": PARTS, "paper": (Paper,)}
    written = external.written() if kind == "external" else as_written(kind, declared(*classes[kind]))
    print(json.dumps(schema(written), indent=2))

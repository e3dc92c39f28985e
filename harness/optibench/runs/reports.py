"""Reports of run folders, as the command line and Python write them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from optibench.errors import HarnessError

if TYPE_CHECKING:
    from optibench_reports import Report
    from optibench_reports.stats.metrics import Metric
    from optibench_reports.stats.worse import Change


def report(
    folders: Sequence[Path],
    out: Path,
    *,
    at: Sequence[int] | None = None,
    control: str | None = None,
    run: Sequence[str] | None = None,
    asked: Sequence[str] = (),
    optimizers: Sequence[str] = (),
    tasks: Sequence[str] = (),
    names: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """Write the report of one or more run folders.

    Args:
        folders: The run folders.
        out: The report's folder.
        at: Trial counts; chosen by the report by default.
        control: The optimizer that the others are tested against; all pairs by default.
        run: Optimizer, task and seed of a cell to draw.
        asked: Metrics to show, as ``name`` or ``name:direction``.
        optimizers, tasks: Only these, as names or globs; all if empty.
        names: New names of optimizers, by their names or globs; ``optimizers`` and ``control`` mean the new ones.

    Raises:
        HarnessError, ReportError: A folder holds no results, or the options do not fit them.
    """
    from optibench.store.to_results import load, load_curves, load_fronts, load_run
    from optibench_reports import merge, write
    from optibench_reports.data.merge import renamed
    from optibench_reports.data.selection import select

    metrics = wanted_metrics(folders, asked)
    drawn = None if run is None else load_run(folders, *run)
    every = merge([renamed(load(folder, [metric.name for metric in metrics]), names) for folder in folders])
    results = select(every, optimizers=optimizers, tasks=tasks)
    curves, fronts = load_curves(folders), load_fronts(folders)
    curves, fronts = curves and curves.renamed(names), fronts and fronts.renamed(names)
    if results is not every:
        kept = [set(map(str, results.trials[key].unique())) for key in ("optimizer", "task")]
        curves = None if curves is None else curves.only(*kept)
        fronts = None if fronts is None else fronts.only(*kept)
    places = ["DIR"] if len(folders) == 1 else [f"DIR{i + 1}" for i in range(len(folders))]
    filters = [f"--optimizer={name}" for name in optimizers] + [f"--task={name}" for name in tasks]
    filters += [f"--rename={old}={new}" for old, new in names.items()]
    made_by = shlex.join(["optibench", "report", *places, *filters])
    return write(
        results,
        out,
        at=at,
        control=control,
        run=drawn,
        learning=curves,
        fronts=fronts,
        metrics=metrics,
        made_by=made_by,
    )


def compare(
    first: Path,
    second: Path,
    out: Path,
    *,
    at: Sequence[int] | None = None,
    control: str | None = None,
    asked: Sequence[str] = (),
    changed: bool = False,
) -> tuple[str, Report, list[Change]]:
    """Write the report of two runs side by side, on the tasks they share.

    Returns:
        How far their cells agree, the report, and, if ``changed`` is set, how each common optimizer changed.

    Raises:
        HarnessError, ReportError: See :func:`report`.
    """
    from optibench.store.to_results import load
    from optibench_reports import agreement, compare_grids, write
    from optibench_reports.stats.worse import changes

    folders = (first, second)
    if first.resolve() == second.resolve():
        raise HarnessError(f"{first} is named twice; a comparison needs two run folders.")
    metrics = wanted_metrics(folders, asked)
    one, other = (load(folder, [metric.name for metric in metrics]) for folder in folders)
    names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    both = compare_grids(one, other, names=names)
    made_by = "optibench compare DIR1 DIR2"
    report = write(both, out, at=at, control=control, metrics=metrics, made_by=made_by)
    return str(agreement(one, other)), report, changes(one, other, at=at) if changed else []


def wanted_metrics(folders: Sequence[Path], asked: Sequence[str]) -> list[Metric]:
    """The requested metrics, as ``name`` or ``name:direction``.

    Raises:
        HarnessError: They are no list of names, or one of them is in no trial.
    """
    from optibench.store.to_results import refuse_absent_metrics
    from optibench_reports.stats.metrics import parse

    if not isinstance(asked, Sequence) or isinstance(asked, str) or not all(isinstance(text, str) for text in asked):
        raise HarnessError(f"`metrics` is a list of names, such as ['test_accuracy'], not {asked!r}.")
    metrics = [parse(text) for text in asked]
    refuse_absent_metrics(folders, [metric.name for metric in metrics])
    return metrics

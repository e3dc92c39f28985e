"""`optibench paper`: reads a paper's YAML file, reuses or runs its results, and writes its files.

:mod:`optibench_reports.render.paper` makes the tables, figures and text; docs/how-to/paper.md explains the YAML file.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import GenericAlias, MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from optibench.errors import HarnessError
from optibench.options import Form, Option, as_written, declared, text
from optibench.paths import expanded
from optibench.spec import grid as grids
from optibench.yaml_file import Source, by_name, read_yaml

_WORD = Annotated[str, Meta(min_length=1)]
_TEXT = Form("text", _WORD)
_NAMES = Form("a list of names", list[_WORD], lambda written: tuple(dict.fromkeys(written)))
_COUNTS = Form(
    "a list of trial counts, such as [25, 50, 100]",
    Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1)] | None,
    lambda written: None if written is None else tuple(written),
)


def _read_name(written: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", written):
        raise ValueError
    return written


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the paper: one comparison; ``main.tex`` includes its tables and figures."""

    name: Annotated[
        str,
        Form("lower-case letters, digits and '-'", text("^[a-z0-9-]+$"), _read_name),
        Option("names the part's files"),
    ]
    title: Annotated[str, _TEXT, Option("its heading; default: its name")] = ""
    results: Annotated[tuple[str, ...], _NAMES, Option("the folders that are compared; default: all of the paper")] = ()
    tasks: Annotated[Literal["all", "shared"], Option("all, or those that every optimizer ran")] = "all"
    at: Annotated[tuple[int, ...] | None, _COUNTS, Option("trial counts; default: the paper's")] = None
    tables: Annotated[tuple[str, ...], _NAMES, Option("tables to include")] = ()
    figures: Annotated[tuple[str, ...], _NAMES, Option("figures to include")] = ()
    metrics: Annotated[tuple[str, ...], _NAMES, Option("metrics of the incumbent, as name or name:direction")] = ()


_PARTS = Form(
    "a list of mappings",
    list[dict[str, Any]],
    inside=lambda: GenericAlias(list, as_written("part", declared(Part))),
)


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """A paper to make."""

    results: Annotated[
        Mapping[str, str | None],
        Form("a mapping of folders to the grids to run where they are absent", dict[str, _WORD | None]),
        Option("folders of results, and for each the grid that is run where it is absent, or null"),
    ]
    parts: Annotated[
        tuple[Part, ...],
        _PARTS,
        Option("the parts, each one comparison"),
    ]
    names: Annotated[
        Mapping[str, str],
        Form("a mapping of optimizers, or globs, to their new names", dict[_WORD, _WORD]),
        Option("new names of optimizers, by their names or globs like 'tpe:*'"),
    ] = MappingProxyType({})
    title: Annotated[str, _TEXT, Option("the paper's title")] = "Results"
    control: Annotated[str | None, _TEXT, Option("the optimizer that pairs are tested against; default: all pairs")] = (
        None
    )
    at: Annotated[tuple[int, ...] | None, _COUNTS, Option("trial counts; default: the report's choice")] = None
    training: Annotated[
        Path | None, Form("a file", _WORD, expanded), Option("the log of a training run to draw where the file exists")
    ] = None


def shipped() -> dict[str, Path]:
    """The shipped papers, by name."""
    return by_name(Path(__file__).parents[1] / "papers")


def load(path: str) -> Paper:
    """Read a paper from a YAML file (or a shipped one by name), and check everything that needs no results.

    Raises:
        HarnessError: The file is missing or malformed, or a value is wrong; the message says where.
        ReportError: It names an unknown table or figure.
    """
    source = read_yaml(path, "paper", declared(Paper), shipped())
    for key in ("results", "parts"):
        if not source.values.get(key):
            raise HarnessError(f"{path}: a paper needs the key {key!r}; docs/how-to/paper.md explains it.")
    values = source.read(declared(Paper))
    for name, grid in values["results"].items():
        if grid is not None:  # a wrong name is found here, not after hours of running other grids
            grids.load(grid, {}, place=source.where("results", name))
    parts = tuple(_part(source, number, values) for number in range(len(values["parts"])))
    for number, part in enumerate(parts):
        if part.name in [other.name for other in parts[:number]]:
            raise HarnessError(
                f"{source.where('parts', number, 'name')}: two parts have the same name and would write the same files."
            )
    return Paper(**values | {"parts": parts})


def _part(source: Source, number: int, paper: Mapping[str, Any]) -> Part:
    from optibench_reports.render.paper import check_names

    values = source.read(declared(Part), "parts", number)
    if "name" not in values:
        where = source.where("parts", number)
        raise HarnessError(f"{where}: a part needs the key 'name'; docs/how-to/paper.md explains it.")
    folders = paper["results"]
    values = {"title": values["name"], "results": tuple(folders), "at": paper.get("at")} | values
    strange = [folder for folder in values["results"] if folder not in folders]
    if strange or not values["results"]:
        which = f"not {strange[0]!r}" if strange else "at least one of them"
        raise HarnessError(
            f"{source.where('parts', number, 'results')}: `results` are folders of the paper ({', '.join(folders)}), "
            f"{which}."
        )
    part = Part(**values)
    check_names(part.tables, part.figures, part.at)
    return part


def collect(paper: Paper, *, may_run: bool = True) -> dict[str, Path] | None:
    """Return the folders to read, by their names in the paper; run or resume the grids of missing folders.

    The grids to run and their approximate time are printed first.

    Args:
        paper: The paper.
        may_run: Whether grids may be run; a grid that was run before is read from its run folder in any case.

    Returns:
        ``None`` if a run was stopped: the same command resumes it.

    Raises:
        HarnessError: A folder is missing and has no grid, or its grid cannot or must not be run.
    """
    from optibench.runs.forecast import about, forecast
    from optibench.runs.run import run

    absent = {name: grid for name, grid in paper.results.items() if not expanded(name).exists()}
    for name, grid in absent.items():
        if grid is None:
            raise HarnessError(
                f"{name} is missing, and the paper names no grid for it: name one, or start in the folder that "
                f"contains {name}."
            )
    plans = {name: forecast(grid, *grids.load(grid, {})) for name, grid in absent.items() if grid is not None}
    waiting = {name: plan for name, plan in plans.items() if not plan.done}
    if waiting and not may_run:
        words = "; ".join(f"{name} is missing; `{plan.command}` makes it ({plan})" for name, plan in waiting.items())
        raise HarnessError(f"{words}: run this, or leave out --no-run.")
    for name, plan in plans.items():
        what = f"running grid {plan.spec} into {plan.folder} ({plan})" if name in waiting else f"reusing {plan.folder}"
        print(f"{name} is missing: {what}.", flush=True)
    if waiting:
        seconds = sum(plan.seconds for plan in waiting.values())
        more = " plus the unknown times" if any(plan.unknown for plan in waiting.values()) else ""
        print(f"Total: {about(seconds)}{more}. After Ctrl-C, the same command resumes.", flush=True)
    folders = {name: expanded(name) for name in paper.results}
    for name, plan in plans.items():
        folders[name] = plan.folder
        if name not in waiting:
            continue
        outcome = run(*grids.load(plan.spec, {}))
        if outcome.stopped:
            print(
                f"Stopped with {outcome.finished} of {outcome.cells} cells finished; the same command resumes.",
                file=sys.stderr,
            )
            return None
    return folders


def write(paper: Paper, folders: Mapping[str, Path], out: Path) -> Path:
    """Write the paper of these folders into ``out``; returns the path of ``main.tex``.

    Raises:
        HarnessError, ReportError: A folder holds no results, or the results do not allow what the paper asks for.
    """
    from optibench.runs.reports import wanted_metrics
    from optibench.store.to_results import load as read
    from optibench.store.to_results import load_fronts
    from optibench_reports.data.merge import merge, on_shared_tasks, renamed
    from optibench_reports.render.paper import FRONTS, write_paper
    from optibench_reports.render.paper import Part as Written

    parts, ran = [], set[str]()
    for part in paper.parts:
        chosen = [folders[name] for name in part.results]
        metrics = wanted_metrics(chosen, part.metrics)
        every = [read(folder, [metric.name for metric in metrics]) for folder in chosen]
        ran |= {str(name) for each in every for name in each.trials["optimizer"].unique()}
        named = [renamed(each, paper.names) for each in every]
        results = (on_shared_tasks if part.tasks == "shared" else merge)(named)
        fronts = load_fronts(chosen) if FRONTS in part.figures else None
        if fronts is not None:
            fronts = fronts.renamed(paper.names).only(
                *(set(map(str, results.trials[key].unique())) for key in ("optimizer", "task"))
            )
        parts.append(
            Written(part.name, part.title, results, part.at, part.tables, part.figures, tuple(metrics), fronts)
        )
    for old in paper.names:
        if old not in ran and not any(fnmatchcase(name, old) for name in ran):
            raise HarnessError(
                f"`names`: no optimizer of these results is called {old!r}; there are {', '.join(sorted(ran))}."
            )
    return write_paper(paper.title, parts, out, control=paper.control, training=paper.training)

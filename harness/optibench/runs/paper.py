"""`optibench paper`: what a paper is made of, as YAML; its results, reused or run; its files.

The tables, figures and words are made by :mod:`optibench_reports.render.paper`; docs/paper.md explains the file.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optibench.errors import HarnessError
from optibench.paths import expanded
from optibench.spec import grid as grids
from optibench.spec.yaml_file import read_mapping

SHIPPED = Path(__file__).parents[1] / "papers"
KEYS = ("title", "results", "control", "at", "training", "parts")
PART_KEYS = ("name", "title", "results", "tasks", "at", "tables", "figures")


@dataclass(frozen=True)
class Section:
    """A part of the paper: one comparison.

    Attributes:
        name, title: Of its files, and its heading.
        folders: Whose results are compared, of those of the paper.
        shared: Whether only on the tasks that all the folders have; otherwise they are merged as by a report.
        at: Trial counts; ``None`` for the report's choice.
        tables, figures: What ``main.tex`` includes.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    shared: bool
    at: tuple[int, ...] | None
    tables: tuple[str, ...]
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Paper:
    """A paper to make.

    Attributes:
        title: Its title.
        sources: Folder of results -> grid to run where there is no such folder, or ``None``.
        control: The optimizer that pairs are tested against, or ``None`` for all pairs.
        training: The log of a training run to draw, or ``None``.
        sections: Its parts.
    """

    title: str
    sources: Mapping[str, str | None]
    control: str | None
    training: Path | None
    sections: tuple[Section, ...]


def shipped() -> dict[str, Path]:
    """The papers that come with the bench, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def load(path: str) -> Paper:
    """Read a paper from a YAML file, or by the name of one that is shipped, and check all that needs no results.

    Raises:
        HarnessError: The file is missing or malformed, or a value is wrong; the message says where.
        ReportError: It asks for a table or figure that there is not.
    """
    source = read_mapping(path, "paper", KEYS, shipped())
    values = source.values
    for key in ("results", "parts"):
        if not values.get(key):
            raise HarnessError(f"{path}: a paper needs the key {key!r}; docs/paper.md explains it.")
    sources = _sources(values["results"], source.where("results"))
    at = _counts(values.get("at"), source.where("at"))
    parts = values["parts"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise HarnessError(f"{source.where('parts')}: `parts` is a list of mappings with {', '.join(PART_KEYS)}.")
    sections = tuple(
        _section(part, f"{source.where('parts')}, part {number}", tuple(sources), at)
        for number, part in enumerate(parts, start=1)
    )
    names = [section.name for section in sections]
    if len(set(names)) < len(names):
        raise HarnessError(f"{source.where('parts')}: two parts have one name, and would write the same files.")
    training = _text(values.get("training"), "training", source.where("training"))
    return Paper(
        title=_text(values.get("title"), "title", source.where("title")) or "Results",
        sources=sources,
        control=_text(values.get("control"), "control", source.where("control")),
        training=expanded(training) if training else None,
        sections=sections,
    )


def collect(paper: Paper, *, may_run: bool = True) -> dict[str, Path] | None:
    """The folders to read, by their names in the paper; runs or resumes the grids of those that are absent.

    Before anything is run, what would be is printed, and about how long it takes.

    Args:
        paper: What to make.
        may_run: Whether grids may be run; one that has been run before is taken from its run folder in any case.

    Returns:
        ``None`` if a run was asked to stop: the same command resumes it.

    Raises:
        HarnessError: A folder is absent and has no grid, its grid cannot be run, or it must not be.
    """
    from optibench.runs.forecast import about, forecast
    from optibench.runs.run import run

    absent = {name: grid for name, grid in paper.sources.items() if not expanded(name).exists()}
    for name, grid in absent.items():
        if grid is None:
            raise HarnessError(
                f"There is no folder {name}, and the paper names no grid to run in its place: give one, or start "
                "where the folder lies."
            )
    plans = {name: forecast(grid, *grids.load(grid, {})) for name, grid in absent.items() if grid is not None}
    waiting = {name: plan for name, plan in plans.items() if not plan.done}
    if waiting and not may_run:
        words = "; ".join(f"{name}, which `{plan.command}` makes ({plan})" for name, plan in waiting.items())
        raise HarnessError(f"There is no folder {words}; run that, or leave out --no-run.")
    for name, plan in plans.items():
        what = f"it takes running the grid {plan.spec} into {plan.folder}: {plan}" if name in waiting else "reusing"
        print(f"There is no folder {name}: {what}{'.' if name in waiting else f' {plan.folder}.'}", flush=True)
    if waiting:
        seconds = sum(plan.seconds for plan in waiting.values())
        more = " and what is not known" if any(plan.unknown for plan in waiting.values()) else ""
        print(f"In all {about(seconds)}{more}; stopped with Ctrl-C, it goes on with the same command.", flush=True)
    folders = {name: expanded(name) for name in paper.sources}
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
    """Make the paper of these folders in ``out``; returns the path of ``main.tex``.

    Raises:
        HarnessError, ReportError: A folder holds no results, or the results do not allow what the paper asks for.
    """
    from optibench.store.to_results import load as read
    from optibench_reports.data.merge import merge, on_shared_tasks
    from optibench_reports.render.paper import Part, write_paper

    results = {name: read(folder) for name, folder in folders.items()}
    parts = [
        Part(
            name=section.name,
            title=section.title,
            results=(on_shared_tasks if section.shared else merge)([results[name] for name in section.folders]),
            at=section.at,
            tables=section.tables,
            figures=section.figures,
        )
        for section in paper.sections
    ]
    return write_paper(paper.title, parts, out, control=paper.control, training=paper.training)


def _sources(value: Any, where: str) -> dict[str, str | None]:
    known = (str, type(None))
    if not isinstance(value, dict) or not all(isinstance(k, str) and isinstance(v, known) for k, v in value.items()):
        raise HarnessError(f"{where}: `results` maps folders to the grids to run where they are absent, not {value!r}.")
    for grid in filter(None, value.values()):
        grids.load(grid, {})  # A wrong name is found here, not after another grid's hours.
    return value


def _section(values: Mapping[str, Any], where: str, folders: tuple[str, ...], at: tuple[int, ...] | None) -> Section:
    from optibench_reports.render.paper import check_names

    for key in map(str, values):
        if key not in PART_KEYS:
            close = difflib.get_close_matches(key, PART_KEYS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(PART_KEYS)}."
            raise HarnessError(f"{where}: unknown key {key!r}; {hint}")
    name = values.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9-]+", name):
        raise HarnessError(f"{where}: a part's `name` is lower-case letters, digits and '-', not {name!r}.")
    where = f"{where} ({name})"
    wanted = _names(values.get("results", list(folders)), "results", where)
    strange = [folder for folder in wanted if folder not in folders]
    if strange or not wanted:
        which = f"not {strange[0]!r}" if strange else "at least one of them"
        raise HarnessError(f"{where}: `results` are folders of the paper ({', '.join(folders)}), {which}.")
    tasks = values.get("tasks", "all")
    if tasks not in ("all", "shared"):
        raise HarnessError(f"{where}: `tasks` is all or shared, not {tasks!r}.")
    counts = _counts(values["at"], where) if "at" in values else at
    tables, figures = (_names(values.get(key, []), key, where) for key in ("tables", "figures"))
    check_names(tables, figures, counts)
    title = _text(values.get("title"), "title", where) or name
    return Section(name, title, wanted, tasks == "shared", counts, tables, figures)


def _names(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise HarnessError(f"{where}: `{key}` is a list of names, not {value!r}.")
    return tuple(dict.fromkeys(value))


def _counts(value: Any, where: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(type(count) is int and count > 0 for count in value):
        raise HarnessError(f"{where}: `at` is a list of trial counts, such as [25, 50, 100], not {value!r}.")
    return tuple(value)


def _text(value: Any, key: str, where: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise HarnessError(f"{where}: `{key}` is a text, not {value!r}.")
    return value

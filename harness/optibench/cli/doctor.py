"""`optibench doctor`: checks packages, optimizers, data and plug-ins, and says how to fix what is missing."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points, requires
from pathlib import Path
from typing import Any

from optibench import external, threads
from optibench.store import provenance
from optiformer import cores


@dataclass(frozen=True)
class Row:
    """The result of one check.

    Attributes:
        what: What was checked.
        found: Its status.
        cure: The command or the advice that fixes it; empty if it is fine.
        optional: Whether the bench works without it, such as data that only some tasks need.
    """

    what: str
    found: str
    cure: str = ""
    optional: bool = False


def check_installation() -> tuple[list[Row], bool]:
    """Check this machine; returns the results, and whether everything that is not optional is fine."""
    rows = [
        Row("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Row("processor", f"{provenance.cpu()}, {cores.described()}"),
        Row("training precision", _precision()),
        Row("git revision", provenance.git_revision() or "not a checkout"),
        *_packages(),
        *_optimizers(),
        *_data(),
        *_plugins(),
    ]
    shown = threads.VARIABLES[:2]
    rows += [Row(variable, os.environ.get(variable, "not set (a run sets it to 1)")) for variable in shown]
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    rows.append(Row("free disk here", f"{free:.1f} GiB", "free some space" if free < 1 else ""))
    return rows, not any(row.cure and not row.optional for row in rows)


def _precision() -> str:
    """What ``train.precision: auto`` means here; a separate process says so, because torch is slow to import."""
    command = [sys.executable, "-P", "-m", "optiformer.training.precision"]  # -P: do not import a user's model.py
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown, because torch cannot be imported"


def _packages() -> list[Row]:
    """Whether the bench's dependencies are installed and new enough."""
    from packaging.requirements import Requirement

    parsed = map(Requirement, requires(provenance.DISTRIBUTION) or [])
    needed = {requirement.name: requirement.specifier for requirement in parsed if not requirement.marker}
    rows = []
    for name, version in provenance.packages().items():
        good = version != "missing" and (name not in needed or needed[name].contains(version, prereleases=True))
        wanted = "" if good or version == "missing" else f", and {name}{needed[name]} is needed"
        rows.append(Row(name, version + wanted, "" if good else "pip install -c constraints.txt -e ."))
    return rows


def _optimizers() -> list[Row]:
    """Whether the libraries of each optimizer are installed and would run without a fallback."""
    import optibench_optimizers

    rows = []
    for entry in optibench_optimizers.entries().values():
        problems = [f"{name} is missing" for name, version in entry.versions().items() if version == "missing"]
        problems += entry.problems()
        rows.append(Row(f"optimizer {entry.name}", "; ".join(problems) or "ready", entry.install if problems else ""))
    return rows


def _data() -> list[Row]:
    """The data sets: one that was never fetched is optional, a damaged or incomplete one is a problem."""
    from optibench_benchmarks import data

    where = "OPTIBENCH_DATA" if os.environ.get("OPTIBENCH_DATA") else "the user's cache"
    rows = [Row("data folder", f"{data.root()} (from {where})")]
    for status in data.datasets():
        name, present = status.dataset.name, status.state == "present"
        untouched = not any(os.path.lexists(data.root() / file.path) for file in status.dataset.files)
        found = "not fetched; only its own tasks need it" if untouched else status.problem or status.state
        rows.append(Row(f"data {name}", found, "" if present else f"optibench data fetch {name}", optional=untouched))
    return rows


def _plugins() -> list[Row]:
    import optibench_benchmarks
    import optibench_optimizers

    rows = []
    groups = (
        ("optibench.optimizers", optibench_optimizers.broken()),
        ("optibench.benchmarks", optibench_benchmarks.broken()),
    )
    for group, broken in groups:
        rows += [Row(f"plug-in {point.name}", f"{point.value} ({group})") for point in entry_points(group=group)]
        rows += [Row(f"plug-in {name}", sentence, "fix or uninstall it") for name, sentence in broken.items()]
    for one in external.registered():
        rows.append(Row(f"external {one.kind} {one.name}", f"runs {shlex.join(one.command)} in {one.folder}"))
    return rows


def show() -> bool:
    """Print the results; returns whether everything is fine."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows, well = check_installation()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "status", "fix"):
        table.add_column(column, overflow="fold")
    for row in rows:
        style = "red" if row.cure and not row.optional else ""
        table.add_row(row.what, Text(row.found, style=style), Text(row.cure, style="yellow"))
    console: Any = Console(highlight=False)
    console.print(table)
    console.print(f"\n{_verdict(rows, well)}")
    return well


def _verdict(rows: list[Row], well: bool) -> str:
    if not well:
        return "Something is missing: run the commands in the last column."
    if any(row.optional for row in rows):
        return "Everything works. The data of some tasks is not fetched; the commands in the last column fetch it."
    return "Everything works."

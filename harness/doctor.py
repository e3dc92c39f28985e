"""`optibench doctor`: what is installed, which data is there, what is missing and the cure."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from harness import external, provenance, threads
from model import cores


def examine() -> tuple[list[tuple[str, str, str]], bool]:
    """Look at this machine.

    Returns:
        Rows of (subject, finding, cure); the cure is empty where all is well. And whether all is well.
    """
    rows = [
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", ""),
        ("processor", f"{provenance.cpu()}, {cores.described()}", ""),
        ("training precision", _precision(), ""),
        ("git revision", provenance.git_revision() or "not a checkout", ""),
    ]
    for name, version in provenance.packages().items():
        rows.append((name, version, "pip install -c constraints.txt -e ." if version == "missing" else ""))
    rows += _data() + _plugins()
    for variable in threads.VARIABLES[:2]:
        rows.append((variable, os.environ.get(variable, "not set (a run sets it to 1)"), ""))
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    rows.append(("free disk here", f"{free:.1f} GiB", "free some space" if free < 1 else ""))
    return rows, not any(cure for _, _, cure in rows)


def _precision() -> str:
    """What ``train.precision: auto`` means here; asked of another process, since torch is slow to import."""
    command = [sys.executable, "-P", "-m", "model.precision"]  # -P: a model.py of the user's is not ours
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown, for torch cannot be imported"


def _data() -> list[tuple[str, str, str]]:
    from benchmarks import data

    where = "OPTIBENCH_DATA" if os.environ.get("OPTIBENCH_DATA") else "the user's cache"
    rows = [("data folder", f"{data.root()} (from {where})", "")]
    for status in data.datasets():
        cure = "" if status.state == "present" else f"optibench data fetch {status.dataset.name}"
        rows.append((f"data {status.dataset.name}", status.problem or status.state, cure))
    return rows


def _plugins() -> list[tuple[str, str, str]]:
    import benchmarks
    import optimizers

    rows = []
    groups = (("optibench.optimizers", optimizers.broken()), ("optibench.benchmarks", benchmarks.broken()))
    for group, broken in groups:
        found = list(entry_points(group=group))
        rows += [(f"plug-in {point.name}", f"{point.value} ({group})", "") for point in found]
        rows += [(f"plug-in {name}", sentence, "mend or uninstall it") for name, sentence in broken.items()]
    for one in external.registered():
        rows.append((f"external {one.kind} {one.name}", f"runs {shlex.join(one.command)} in {one.folder}", ""))
    return rows


def show() -> bool:
    """Print the examination; returns whether all is well."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows, well = examine()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("what", "found", "cure"):
        table.add_column(column, overflow="fold")
    for subject, finding, cure in rows:
        table.add_row(subject, Text(finding, style="red" if cure else ""), Text(cure, style="yellow"))
    console: Any = Console(highlight=False)
    console.print(table)
    console.print("\nAll is well." if well else "\nSomething is missing: run the commands in the last column.")
    return well

"""`optibench list`: what is registered, as text or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optibench_benchmarks import Family


_TAKES = {"objectives": "several objectives", "constraints": "constraints"}
"""Capabilities that are named where an optimizer has them."""


def listing(sections: tuple[str, ...]) -> dict[str, Any]:
    """What is registered, as plain data, without importing an optimizer's library or loading data."""
    import optibench_benchmarks
    import optibench_optimizers
    from optibench.spec.grid import shipped
    from optibench_benchmarks import suites

    found: dict[str, Any] = {}
    if "optimizers" in sections:
        found["optimizers"] = {
            entry.name: {
                "summary": entry.summary,
                "conditional": entry.capabilities.conditional,
                "batch": entry.capabilities.batch,
                "multi_fidelity": entry.capabilities.multi_fidelity,
                "objectives": entry.capabilities.objectives,
                "constraints": entry.capabilities.constraints,
                "max_dimensions": entry.capabilities.max_dimensions,
                "failed": entry.capabilities.failed,
                "replay": entry.capabilities.replay,
                "packages": entry.versions(),
            }
            for entry in optibench_optimizers.entries().values()
        }
    if "benchmarks" in sections:
        found["benchmarks"] = {
            family.prefix: {"summary": family.summary, **_tasks(family)}
            for family in optibench_benchmarks.families().values()
        }
    if "suites" in sections:
        summaries = suites.summaries()
        found["suites"] = {
            name: {"summary": summaries[name], "patterns": list(patterns)} for name, patterns in suites.load().items()
        }
    if "grids" in sections:
        found["grids"] = {name: _first_comment(path) for name, path in shipped().items()}
    return found


def _tasks(family: Family) -> dict[str, Any]:
    from optibench_benchmarks import BenchmarkError, kept

    try:
        names = family.names()
        return {"missing": family.missing(), "names": names, "kept": [name for name in names if kept.is_kept(name)]}
    except BenchmarkError as error:  # a broken plug-in must not hide the others
        return {"missing": str(error), "names": [], "kept": []}


def broken(sections: tuple[str, ...]) -> list[str]:
    """One message for each plug-in that could not be registered."""
    import optibench_benchmarks
    import optibench_optimizers

    found = list(optibench_optimizers.broken().values()) if "optimizers" in sections else []
    return found + (list(optibench_benchmarks.broken().values()) if "benchmarks" in sections else [])


def show(sections: tuple[str, ...], *, as_json: bool) -> None:
    """Print what is registered."""
    found = listing(sections)
    for sentence in broken(sections):
        print(f"optibench: {sentence}", file=sys.stderr)
    if as_json:
        print(json.dumps(found if len(sections) > 1 else found[sections[0]], indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    if "optimizers" in found:
        _show_optimizers(console, found["optimizers"])
    if "benchmarks" in found:
        _show_benchmarks(console, found["benchmarks"])
    for section, title in (("suites", "Suites"), ("grids", "Grids (run with `optibench run NAME`)")):
        if section in found:
            _heading(console, title)
            for name, value in found[section].items():
                _row(console, name, value if isinstance(value, str) else value["summary"])


def _show_optimizers(console: Any, entries: Mapping[str, Any]) -> None:
    _heading(console, "Optimizers (settings: name:key=value,key=value)")
    for name, entry in entries.items():
        _row(console, name, entry["summary"])
        if entry["conditional"] != "native":
            _row(console, "", f"conditional parameters: {entry['conditional']}", style="dim")
        if entry["multi_fidelity"]:
            _row(console, "", "multi-fidelity: needs tasks with a fidelity", style="dim")
        takes = [words for key, words in _TAKES.items() if entry[key]]
        if takes:
            _row(console, "", f"takes {' and '.join(takes)}", style="dim")
        if not entry["replay"]:
            _row(
                console,
                "",
                "cannot be replayed: a resumed cell continues from the recorded trials, with different proposals",
                style="dim",
            )
        missing = [package for package, version in entry["packages"].items() if version == "missing"]
        if missing:
            _row(console, "", f"not installed: {', '.join(missing)}", style="red")


def _show_benchmarks(console: Any, families: Mapping[str, Any]) -> None:
    for prefix, family in families.items():
        _heading(console, f"Benchmarks: {prefix} - {family['summary']}")
        if family["missing"]:
            console.print(family["missing"], style="yellow", markup=False)
        groups: dict[str, list[str]] = {}
        for name in family["names"]:
            group, _, last = name.rpartition("/")
            groups.setdefault(group, []).append(f"{last} (kept)" if name in family["kept"] else last)
        if 2 * len(groups) > len(family["names"]):  # a line for almost every task
            whole = [f"{group}/{last}" for group, members in groups.items() for last in members]
            groups = {prefix: [name.removeprefix(f"{prefix}/") for name in whole]}
        for group, members in groups.items():
            _row(console, f"{group}/", " ".join(members))


def _heading(console: Any, text: str) -> None:
    console.print()
    console.print(text, style="bold", markup=False)


def _row(console: Any, name: str, text: str, *, style: str = "") -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=max(18, len(name) + 2), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {name}", style="cyan"), Text(text, style=style))
    console.print(grid)


def _first_comment(path: Any) -> str:
    line: str = path.read_text(encoding="utf-8").partition("\n")[0]
    return line.lstrip("# ") if line.startswith("#") else ""

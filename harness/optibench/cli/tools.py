"""The commands on this installation, and help for editors and shells."""

from __future__ import annotations

import json
from typing import Any

import click

from optibench.cli.command import Command, Word

SECTIONS = ("optimizers", "benchmarks", "suites", "grids")


@click.command("list", cls=Command)
@click.argument("section", required=False, type=Word(SECTIONS), metavar="SECTION")
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
def list_(section: str | None, as_json: bool) -> None:
    """List optimizers, tasks, suites and grids.

    SECTION is one of optimizers, benchmarks, suites and grids; default all.
    """
    from optibench.cli.listing import show

    show((section,) if section else SECTIONS, as_json=as_json)


@click.command(cls=Command)
def doctor() -> int:
    """Check versions, data and threads, and show how to fix problems."""
    from optibench.cli.doctor import show

    return 0 if show() else 1


@click.command(cls=Command)
@click.argument("kind", default="grid", type=Word(("grid", "paper", "external")), metavar="KIND")
def schema(kind: str) -> None:
    """Print the JSON Schema of the YAML files, for editors.

    KIND is one of grid, paper and external; default grid.
    """
    from optibench import external
    from optibench.options import as_written, declared, schema
    from optibench.runs.paper import Paper
    from optibench.spec.grid import PARTS

    classes: dict[str, tuple[Any, ...]] = {"grid": PARTS, "paper": (Paper,)}
    written = external.written() if kind == "external" else as_written(kind, declared(*classes[kind]))
    print(json.dumps(schema(written), indent=2))


@click.command(cls=Command)
@click.argument("shell", type=Word(("bash", "zsh", "fish")), metavar="SHELL")
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names in your shell.

    SHELL is one of bash, zsh and fish. The script's first comment says where to put it.
    """
    from optibench.cli.complete import script

    print(script(shell), end="")

"""What the documentation points at is there, and the command line takes every command that it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from optibench.cli.command import sentence
from optibench.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "model/README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for path in (ROOT / "docs").rglob("*.md") if path.parent != ROOT / "docs" / "report"),
    *(ROOT / "examples").rglob("*.md"),
    *(ROOT / "model").rglob("checkpoints/*/README.md"),
]
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


SHOWN = [*PAGES, ROOT / "Makefile", *(ROOT / "examples").rglob("*.yaml"), *(ROOT / "harness/optibench").rglob("*.yaml")]
CODE = re.compile(r"```.*?```|(?<!`)`[^`]+`", re.DOTALL)
COMMAND = re.compile(r"(?:^|(?<=[\s(`/=]))optibench (?!is |are |as )[^`|;>]+")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each `optibench ...` in the code of a page; of a Makefile or a YAML file, of all its lines."""
    text = page.read_text(encoding="utf-8")
    code = [match[0] for match in CODE.finditer(text)] + re.findall(r"^ {4}.*$", text, re.MULTILINE)
    if page.suffix != ".md":
        code = [line for line in text.splitlines() if "optibench " in line]
    for part in code:
        lines = part.splitlines() if part.startswith("```") or page.suffix != ".md" else [" ".join(part.split())]
        for match in (match for line in lines for match in COMMAND.finditer(line)):
            yield shlex.split(match[0], comments=True)[1:]


def refusal(words: list[str]) -> str | None:
    """What the command line says against a command, other than that something is missing."""
    try:
        with cli.make_context("optibench", [*words], obj=words) as context:
            name, command, rest = cli.resolve_command(context, [*words])
            assert command is not None
            command.make_context(name, rest, parent=context)
    except click.exceptions.Exit:  # --help
        return None
    except click.MissingParameter:  # as where the text names `optibench report` only
        return None
    except click.UsageError as error:
        return sentence(error)
    return None


@pytest.mark.parametrize("page", SHOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_command_line_takes_what_is_shown(page: Path) -> None:
    assert [found for words in commands(page) if (found := refusal(words))] == []


def test_the_commands_of_the_readme_are_found_and_an_old_form_is_not_taken() -> None:
    found = list(commands(ROOT / "README.md"))
    assert len(found) > 8
    assert any(words[:2] == ["run", "-o"] for words in found)
    assert refusal(["run", "-o", "random", "tpe"]) is not None
    assert refusal(["report", "DIR", "--at", "10", "25"]) is not None

"""What the documentation points at is there, and the command line takes every command that it shows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from optibench.cell.trials import schema
from optibench.cli.command import sentence
from optibench.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "model/README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for path in (ROOT / "docs").rglob("*.md") if path.parent != ROOT / "docs" / "report"),
    *(ROOT / "examples").rglob("*.md"),
    *(ROOT / "model").rglob("checkpoints/*/README.md"),
]
SOURCES = [
    ROOT / "Makefile",
    *(
        path
        for name in ("harness", "benchmarks", "optimizers", "reports", "model", "examples")
        for path in (ROOT / name).rglob("*.py")
    ),
]
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_pages_that_code_and_messages_name_exist() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), page)
        for path in SOURCES
        for page in re.findall(r"(?<![\w/])docs/[\w/.-]+?\.(?:md|json)\b", path.read_text(encoding="utf-8"))
    }
    assert len(named) >= 10
    assert sorted((path, page) for path, page in named if not (ROOT / page).exists()) == []


def named_in_table(page: str) -> set[str]:
    """The code in the first column of a page's tables."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return {name for row in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE) for name in re.findall(r"`(.+?)`", row)}


def test_every_column_of_the_trial_table_is_explained() -> None:
    assert set(schema().names) - named_in_table("reference/columns.md") == set()


def test_every_environment_variable_is_explained() -> None:
    used = {name for path in SOURCES for name in re.findall(r"\bOPTIBENCH_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    assert len(used) >= 3
    assert used - named_in_table("reference/environment.md") == set()


@pytest.mark.parametrize("path", [*(ROOT / "examples" / "notebooks").glob("*.ipynb")], ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    """`make docs` runs them."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [cell["source"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


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
    assert len(found) >= 5
    assert any(words[:2] == ["run", "-o"] for words in found)
    assert refusal(["run", "-o", "random", "tpe"]) is not None
    assert refusal(["report", "DIR", "--at", "10", "25"]) is not None

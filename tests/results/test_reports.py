"""The committed reports are those of the committed results."""

from __future__ import annotations

from pathlib import Path

import pytest

from optibench.cli.main import main

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "test": ["report", "results/test", "--at", "50,100"],
    "test-slow": ["compare", "results/test", "results/test-slow", "--at", "50"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_makes_the_committed_report(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text and tables, byte for byte; pictures and the page that holds them depend on fonts as well."""
    monkeypatch.chdir(ROOT)
    assert main([*COMMANDS[name], "--control", "optiformer", "--out", str(tmp_path)]) == 0
    committed = ROOT / "docs" / "report" / name
    tables = sorted(path.name for path in (committed / "tables").iterdir())
    assert tables == sorted(path.name for path in (tmp_path / "tables").iterdir())
    for path in ("report.md", *(f"tables/{table}" for table in tables)):
        assert (tmp_path / path).read_text() == (committed / path).read_text(), path

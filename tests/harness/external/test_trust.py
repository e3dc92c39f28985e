"""Before the external commands of a folder that somebody else made are run, the user sees them and is asked."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from optibench.cli.main import main
from optibench.external import External, registry, trust

WORKER = Path(__file__).parents[3] / "examples" / "external" / "random_worker.py"
pytestmark = pytest.mark.usefixtures("fresh_registries")


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run folder with external commands that another user made and did not finish."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of another"))
    monkeypatch.setenv("BALL", "a secret")
    command = f"[{sys.executable}, {WORKER}]"
    (tmp_path / "grid.yaml").write_text(
        f"external:\n  benchmarks:\n    ball: {{command: {command}, tasks: [2d], environment: [BALL]}}\n"
        "optimizers: [random]\nbenchmarks: [ball/2d]\nseeds: 2\ntrials: 3\ninitial_size: 2\n"
    )
    assert main(["run", "grid.yaml", "--out", "out", "--executor", "serial", "--no-report"]) == 0
    next((tmp_path / "out" / "cells").rglob("*.arrow")).unlink()
    registry._registered.clear()
    _forget()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of mine"))
    capsys.readouterr()
    return tmp_path / "out"


def _forget() -> None:
    import optibench_benchmarks

    optibench_benchmarks.registry._families.pop("ball", None)


RESUME = ("run", "--out", "out", "--executor", "serial", "--no-report")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is run from now on, if it is refused to run."""
    found: list[Any] = []

    def refuse(*arguments: Any, **more: Any) -> None:
        found.append(arguments)
        raise AssertionError("a command was run")

    monkeypatch.setattr("subprocess.Popen", refuse)
    return found


def test_nothing_is_run_where_nobody_can_be_asked(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = started(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(list(RESUME)) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "out was made elsewhere, and resuming it would run benchmark ball: " in shown
    assert f"{sys.executable} {WORKER} in {theirs.parent} with BALL: add --allow-external if you trust this." in shown
    assert commands == []


@pytest.mark.parametrize(
    ("answer", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 2), ("\n", 2), ("", 2), ("yesterday\n", 2)]
)
def test_on_a_terminal_the_answer_decides(
    answer: str, status: int, theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = started(monkeypatch) if status else []
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(list(RESUME)) == status
    assert f"benchmark ball: {sys.executable} {WORKER} in {theirs.parent} with BALL\n" in capsys.readouterr().err
    assert commands == []


def test_what_is_allowed_once_is_remembered(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main([*RESUME, "--allow-external"]) == 0
    registry._registered.clear()
    _forget()
    assert main(list(RESUME)) == 0
    plain = json.loads((theirs / "external.json").read_text())
    plain[0]["command"].append("--and-more")
    (theirs / "external.json").write_text(json.dumps(plain))
    registry._registered.clear()
    _forget()
    started(monkeypatch)
    capsys.readouterr()
    assert main(list(RESUME)) == 2
    assert "--and-more" in capsys.readouterr().err


def test_commands_that_the_user_names_himself_are_not_asked_about(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, optibench: Callable[..., Any]
) -> None:
    optibench("run", "grid.yaml", "--out", "out", "--executor", "serial", "--no-report")


def test_reading_a_folder_runs_nothing(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import platform

    platform.platform()  # caches what it asks a command for
    commands = started(monkeypatch)
    for command in (["status", "out"], ["report", "out", "--out", "new"]):
        assert main(command) in (0, 2)
    assert commands == []


def test_control_characters_in_a_command_are_shown_as_such(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = json.loads((theirs / "external.json").read_text())
    plain[0]["command"] = ["sh", "-c", "evil\n\x1b[2K\rgood"]
    (theirs / "external.json").write_text(json.dumps(plain))
    started(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(list(RESUME)) == 2
    shown = capsys.readouterr().err
    assert r"evil\n\x1b[2K\rgood" in shown
    assert shown.count("\n") == 1


def test_another_value_of_a_variable_is_no_other_command_and_another_variable_is(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = map(External.of, json.loads((theirs / "external.json").read_text()))
    known = trust._digest(one)
    monkeypatch.setenv("BALL", "another secret")
    assert trust._digest(one) == known
    assert trust._digest(replace(one, environment=("BALL", "KEY"))) != known

"""No file, order or error text of a run holds the value of a worker's variable; which files a command consists of."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optibench import external
from optibench.cli.main import main
from optibench.errors import HarnessError
from optibench.executors.base import CellRunner
from optibench.external import External, registry, sources
from optibench.external.process import Process
from optibench.spec.limits import Limits

SECRET = 'sk-"\\torn\\" \n0123456789'
WORKER = """
import os, sys
import optibench_worker as worker

class Leaky:
    def describe(self, task):
        return {"space": worker.space(worker.number("x", 0, 1)), "direction": "minimize"}

    def evaluate(self, task, config, seed, fidelity):
        if config["x"] < 0.25:
            print("cannot log in with", os.environ["KEY"], flush=True)
            os._exit(3)
        if config["x"] < 0.5:
            raise ValueError("refused: " + os.environ["KEY"])
        return {"value": {"key": os.environ["KEY"]}} if config["x"] < 0.75 else len(os.environ["KEY"])

worker.serve(benchmark=Leaky())
"""
pytestmark = pytest.mark.usefixtures("fresh_registries")


@pytest.fixture
def leaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a grid of a task whose worker tells its key wherever it can."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEY", SECRET)
    (tmp_path / "worker.py").write_text(WORKER)
    command = json.dumps([sys.executable, "worker.py"])
    (tmp_path / "grid.yaml").write_text(
        f"external: {{benchmarks: {{leaky: {{command: {command}, tasks: [a], environment: [KEY]}}}}}}\n"
        "optimizers: [random]\nbenchmarks: [leaky/a]\nseeds: 2\ntrials: 12\n"
    )
    return tmp_path


RUN = ("run", "grid.yaml", "--out", "out", "--executor", "serial", "--no-report")


def test_nothing_that_a_run_writes_holds_a_value(
    leaky: Path, table: Callable[[Path], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    main(list(RUN))
    trials = table(leaky / "out")
    assert set(trials.value[trials.state == "ok"]) == {float(len(SECRET))}  # the worker does know it
    errors = "\n".join(trials.error[trials.state != "ok"])
    for words in ("refused: $KEY", "cannot log in with $KEY", '"$KEY"'):
        assert words in errors
    fragment = b"0123456789"
    for path in (path for path in leaky.rglob("*") if path.is_file()):
        assert fragment not in path.read_bytes(), path
    streams = capsys.readouterr()
    assert fragment.decode() not in streams.out + streams.err + errors

    order = CellRunner(leaky / "out", {}, Limits()).external
    assert [one.plain()["environment"] for one in order] == [["KEY"]]
    assert "0123456789" not in repr([order, [one.plain() for one in order]])


def test_a_variable_that_is_missing_is_one_sentence_on_a_run_and_on_resuming(
    leaky: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = (
        "optibench: External benchmark 'leaky' needs the variable KEY, not set here: `export KEY=...`, then rerun "
        "the same command.\n"
    )
    monkeypatch.delenv("KEY")
    assert main(list(RUN)) == 2
    assert capsys.readouterr().err == sentence
    monkeypatch.setenv("KEY", SECRET)
    main(list(RUN))
    next((leaky / "out" / "cells").rglob("*.arrow")).unlink()
    monkeypatch.delenv("KEY")
    _forget(monkeypatch)
    capsys.readouterr()
    assert main(["run", "--out", "out", "--executor", "serial", "--no-report"]) == 2
    assert capsys.readouterr().err == sentence


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as a new process is."""
    import optibench_benchmarks

    registry._registered.clear()
    optibench_benchmarks.registry._families.pop("leaky", None)
    monkeypatch.setattr("optibench.external.benchmark._workers", {})


def test_the_definitions_of_a_folder_are_its_owners_and_whole(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    external.register(external.parse({"benchmarks": {"leaky": {"command": ["x"], "tasks": ["a"]}}}, "x", leaky))
    path = leaky / "external.json"
    path.write_text("[]")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        external.record(leaky, optimizers=(), families=["leaky"])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    whole = path.read_bytes()
    assert json.loads(whole)[0]["name"] == "leaky"

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optibench.external.registry.json.dump", full)
    with pytest.raises(HarnessError, match=r"Cannot write .*external.json: No space left on device; fix this"):
        external.record(leaky, optimizers=(), families=["leaky"])
    assert path.read_bytes() == whole
    assert sorted(found.name for found in leaky.glob("external*")) == ["external.json"]


def test_a_folder_from_when_values_were_kept_is_read_for_the_names(leaky: Path) -> None:
    main(list(RUN))
    path = leaky / "out" / "external.json"
    plain = json.loads(path.read_text())
    plain[0]["environment"] = {"KEY": "an old value"}
    path.write_text(json.dumps(plain))
    assert External.of(plain[0]).environment == ("KEY",)
    main(list(RUN))  # which writes it again
    assert "an old value" not in path.read_text()


def test_a_file_of_definitions_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "external.json").write_text('[{"kind": ["x"], "command": 3}]')
    with pytest.raises(HarnessError, match=r"external.json is damaged: give the definitions again"):
        external.recall(tmp_path, allowed=True)
    (tmp_path / "external.json").write_text("[3]")
    with pytest.raises(HarnessError, match=r"external.json is damaged"):
        external.recall(tmp_path, allowed=True)


def test_short_values_are_words_like_any_other(tmp_path: Path) -> None:
    process = Process("x", [sys.executable, "-c", ""], tmp_path, {"THREADS": "1", "KEY": "abcd", "LONG": "abcdef"})
    assert process.redacted("1 of abcd, abcdef") == "1 of $KEY, $LONG"
    process.close()


# Sources -----------------------------------------------------------------------------------------------------------


def external_of(folder: Path, *command: str) -> External:
    return External("optimizer", "x", command, str(folder))


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with a script, helpers, data, a virtual environment and folders without sources."""
    for name in (
        *("worker.py", "helper.py", "data.csv", "settings.yaml", "other.yaml", "package/__init__.py"),
        *("package/inner.py", "venv/pyvenv.cfg", "venv/bin/python", "venv/lib/installed.py", ".git/hook.py"),
        *("data/deep/far.py", "tool", "outside/x.py"),
    ):
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "elsewhere.py").write_text("elsewhere")
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("command", "counts"),
    [
        (("python3", "worker.py"), "worker.py"),
        (("./worker.py",), "worker.py"),
        (("./tool", "settings.yaml"), "tool settings.yaml"),
        (("{folder}/worker.py",), "worker.py"),
        (("{folder}/../elsewhere.py", "worker.py"), "worker.py"),
        (("../elsewhere.py",), "../elsewhere.py"),
        (("worker.py",), ""),  # a program on PATH, whatever lies here
        (("venv/bin/python", "worker.py"), "worker.py"),
        ((sys.executable, "worker.py", "data.csv"), "worker.py data.csv"),
    ],
)
def test_the_files_of_a_command_are_its_own(command: tuple[str, ...], counts: str, scripts: Path) -> None:
    found = sources.named([word.format(folder=scripts) for word in command], scripts)
    assert {os.path.relpath(path, scripts) for path in found} == set(counts.split())


def test_the_files_that_matter_are_also_the_helpers_beside_a_script(scripts: Path) -> None:
    def names(*command: str) -> set[str]:
        return {os.path.relpath(path, scripts) for path in external_of(scripts, *command).files()}

    helpers = {"worker.py", "helper.py", "package/__init__.py", "package/inner.py", "outside/x.py"}
    assert names("venv/bin/python", "worker.py") == names("./worker.py") == helpers
    assert names("python3", "worker.py", "settings.yaml") == helpers | {"settings.yaml"}
    assert names("python3", "package/inner.py") == {"package/__init__.py", "package/inner.py"}
    assert names("./tool", "settings.yaml") == {"tool", "settings.yaml"}
    assert names("../elsewhere.py") == {"../elsewhere.py"}
    assert names("python3", "-c", "pass") == set()


def test_an_edited_program_is_a_question(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = leaky / "program.py"
    program.write_text(f"#!{sys.executable}\n{WORKER}")
    program.chmod(0o755)
    text = (leaky / "grid.yaml").read_text().replace(json.dumps([sys.executable, "worker.py"]), '["./program.py"]')
    (leaky / "grid.yaml").write_text(text)
    main(list(RUN))
    program.write_text(program.read_text() + "pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "optibench.cli.main", *RUN], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "were made by other code or versions (program.py changed)" in done.stderr

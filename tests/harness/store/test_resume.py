"""Nothing finished is lost: stop or kill a run at any moment, resume it, and the table is the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optibench.cell.journal import Journal
from optibench.store.run_folder import Store

SLOW = ("-b", "misbehaving/sleep", "-s", "4", "-t", "12", "--initial-size", "3", "-j", "2")


def start(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "optibench.cli.main", "run", "--no-report", *arguments]
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def cell_files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*/*.arrow")}


def begun(folder: Path) -> bool:
    return any(path.stat().st_size > 400 for path in (folder / "journal").glob("*.jsonl"))


def test_a_killed_run_resumes_to_the_same_table(environment: dict[str, str], table: Any, tmp_path: Path) -> None:
    arguments = ("-o", "random,tpe", *SLOW)
    assert start(environment, tmp_path, *arguments, "--out", "whole").wait(timeout=300) == 0
    process = start(environment, tmp_path, *arguments, "--out", "killed")
    wait_for(lambda: len(cell_files(tmp_path / "killed")) >= 2 and begun(tmp_path / "killed"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = cell_files(tmp_path / "killed")
    assert len(before) < 8, "it was killed too late to show anything"
    assert start(environment, tmp_path, *arguments, "--out", "killed").wait(timeout=300) == 0
    assert before.items() <= cell_files(tmp_path / "killed").items(), "a finished cell ran again"
    pd.testing.assert_frame_equal(table(tmp_path / "killed"), table(tmp_path / "whole"))


def test_a_resumed_cell_evaluates_nothing_twice(environment: dict[str, str], table: Any, tmp_path: Path) -> None:
    environment = {**environment, "EVALUATION_LOG": str(tmp_path / "log")}
    arguments = ("-o", "tpe", "-b", "misbehaving/sleep", "-s", "1", "-t", "60", "-j", "1")
    process = start(environment, tmp_path, *arguments, "--out", "killed")
    wait_for(lambda: (tmp_path / "log").exists() and len((tmp_path / "log").read_text().split()) > 20)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not cell_files(tmp_path / "killed")
    assert start(environment, tmp_path, *arguments, "--out", "killed").wait(timeout=300) == 0
    evaluations = (tmp_path / "log").read_text().split()
    # at most the one evaluation in flight was lost
    assert 60 <= len(evaluations) <= 61
    assert len(set(evaluations)) == 60


def test_a_cell_that_cannot_be_replayed_keeps_what_was_recorded(
    environment: dict[str, str], table: Any, tmp_path: Path
) -> None:
    environment = {**environment, "EVALUATION_LOG": str(tmp_path / "log")}
    arguments = ("-o", "forgetful", "-b", "misbehaving/sleep", "-s", "1", "-t", "60", "-j", "1", "--initial-size", "2")
    process = start(environment, tmp_path, *arguments, "--out", "out")
    wait_for(lambda: (tmp_path / "log").exists() and len((tmp_path / "log").read_text().split()) > 20)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # the worker dies with its runner, not quite at once
    (journal,) = (tmp_path / "out" / "journal").iterdir()
    recorded = [trial.config for trial in Journal(journal).read().trials]
    assert len(recorded) >= 20
    assert start(environment, tmp_path, *arguments, "--out", "out").wait(timeout=300) == 0
    found = table(tmp_path / "out")
    assert len(found) == 60
    assert found.config.tolist()[: len(recorded)] == recorded
    assert len((tmp_path / "log").read_text().split()) <= 61, "at most the evaluation under way was lost"
    (event,) = Store.open(tmp_path / "out").events()
    assert event["event"].startswith("a resumed cell would try something else than before")


def descendants(pid: int) -> list[int]:
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(grandchild for child in found for grandchild in descendants(child))]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent is gone")
def test_a_worker_that_hangs_dies_with_a_killed_run(environment: dict[str, str], tmp_path: Path) -> None:
    arguments = ("-o", "random", "-b", "misbehaving/hang", "-s", "2", "-t", "60", "-j", "2")
    process = start(environment, tmp_path, *arguments, "--out", "out")
    wait_for(lambda: len(list((tmp_path / "out").glob("journal/*.jsonl"))) == 2)
    time.sleep(2)  # by then at least one of the two hangs
    children = descendants(process.pid)
    assert len(children) >= 4, "two workers, what starts them and what cleans up after them"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 20)


@pytest.mark.parametrize(
    ("number", "executor"), [(signal.SIGINT, "processes"), (signal.SIGTERM, "processes"), (signal.SIGINT, "serial")]
)
def test_a_signal_stops_cleanly_and_says_how_to_resume(
    number: int, executor: str, environment: dict[str, str], table: Any, tmp_path: Path
) -> None:
    arguments = ("-o", "random", *SLOW[: None if executor == "processes" else -2], "--executor", executor)
    command = [sys.executable, "-m", "optibench.cli.main", "run", *arguments, "--out", "out"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "out" / "journal").exists() and begun(tmp_path / "out"))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resume with: optibench run --out out" in stderr
    assert "Traceback" not in stderr
    assert start(environment, tmp_path, "--out", "out").wait(timeout=300) == 0
    assert len(table(tmp_path / "out")) == 4 * 12

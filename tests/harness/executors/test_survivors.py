"""A worker that ends while something it started lives on is noticed at once, and what it left running is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CRASHED = "evaluate: the worker died (signal SIGSEGV)"
HABITS = ("fork", "fork-session", "fork-multiprocessing")


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def survivors(tmp_path: Path) -> Path:
    """The folder in which every process that an objective leaves behind notes its number."""
    folder = tmp_path / "survivors"
    folder.mkdir()
    return folder


def dead(survivors: Path) -> int:
    """How many processes were left behind; each has ended."""
    pids = [int(path.name) for path in survivors.iterdir()]
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if alive(pid)]
    return len(pids)


@pytest.mark.parametrize("how", ["processes", "processes with limits", "dask"])
def test_a_crash_that_leaves_children_costs_one_trial_and_the_children(
    request: pytest.FixtureRequest, optibench: Any, trials_of: Any, tmp_path: Path, survivors: Path, how: str
) -> None:
    options: tuple[str, ...] = ("-j", "2")
    if how == "processes with limits":
        options += ("--evaluation-limit", "60s", "--memory-limit", "4G")
    if how == "dask":
        pytest.importorskip("distributed")
        loopback = request.getfixturevalue("loopback")
        loopback.environment["SURVIVORS"] = str(survivors)
        loopback.start_scheduler()
        loopback.start_worker()
        options = ("--executor", "dask", "--scheduler", loopback.address)
    tasks = [f"misbehaving/{habit}" for habit in HABITS]
    optibench(
        *("run", "-o", "random", "-b", ",".join(tasks), "-s", "1", "-t", "6", "--initial-size", "2", "--out", "out"),
        *("--no-report", *options),
        check=3,
        SURVIVORS=str(survivors),
    )
    trials = trials_of(tmp_path / "out")
    assert len(trials) == 6 * len(HABITS)
    x = trials.config.map(lambda config: json.loads(config)["x"])
    crashed, good = trials[x < -0.5], trials[x >= -0.5]
    assert len(crashed) > 0
    assert set(crashed.error) == {CRASHED}
    assert (crashed.attempts == 2).all()
    assert (good.state == "ok").all()
    assert dead(survivors) >= len(crashed)


def test_a_limit_ends_the_children_too(optibench: Any, trials_of: Any, tmp_path: Path, survivors: Path) -> None:
    optibench(
        *("run", "-o", "random", "-b", "misbehaving/fork-hang", "-s", "2", "-t", "12", "--initial-size", "2"),
        *("--evaluation-limit", "2s", "--no-report", "-j", "1", "--out", "out"),
        check=3,
        SURVIVORS=str(survivors),
    )
    trials = trials_of(tmp_path / "out")
    x = trials.config.map(lambda config: json.loads(config)["x"])
    assert (trials.state[x < -0.5] == "timeout").all()
    assert (trials.state[x >= -0.5] == "ok").all()
    assert dead(survivors) > 0


def test_what_a_living_worker_daemonised_lives_until_the_worker_ends(
    optibench: Any, trials_of: Any, tmp_path: Path, survivors: Path
) -> None:
    """The later cells of the same worker find it alive, and the end of the run ends it."""
    (tmp_path / "once").mkdir()
    optibench(
        *("run", "-o", "watchful", "-b", "misbehaving/daemon", "-s", "3", "-t", "8", "--initial-size", "4", "-j", "1"),
        *("--no-report", "--out", "out"),
        SURVIVORS=str(survivors),
        ONCE=str(tmp_path / "once"),
    )
    assert (trials_of(tmp_path / "out").state == "ok").all()
    assert dead(survivors) == 1


ORPHANED = """
import multiprocessing, os, sys, time
from pathlib import Path
from optibench.executors import guardian, parent_death


def work():
    Path(sys.argv[1], str(os.getpid())).touch()
    while True:
        pass


def guarded(values):
    parent_death.die_with_parent(0)
    parent_death.die_with_parent = lambda number=9: None  # as if it came after the fork server's end
    guardian.guard(values, work, lambda: None, Path(sys.argv[1]) / "scratch")


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    context.Process(target=guarded, args=(context.RawArray("i", 2),)).start()
    time.sleep(600)
"""


def test_a_guardian_that_was_orphaned_before_it_could_ask_ends_with_the_coordinator(
    tmp_path: Path, survivors: Path
) -> None:
    (tmp_path / "orphaned.py").write_text(ORPHANED)
    coordinator = subprocess.Popen([sys.executable, "orphaned.py", str(survivors)], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(survivors.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(coordinator.pid, signal.SIGKILL)
    coordinator.wait()
    assert dead(survivors) == 1

"""Grids on a real Dask scheduler with two workers on loopback: killed, replaced and restarted while they run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optibench.cli.main import main
from optibench.executors.dask import fingerprint
from optibench.store.run_folder import Store

pytest.importorskip("distributed")


def finished(folder: Path) -> int:
    return len(Store(folder).finished()) if (folder / "cells").exists() else 0


def begun(folder: Path) -> int:
    """Trials that are written down, in any cell."""
    running = Store(folder).running() if (folder / "journal").exists() else {}
    return sum(running.values())


def wait(condition: Callable[[], Any], process: subprocess.Popen[Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended first"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_grid_is_the_same_on_every_executor(
    optibench: Any, dask_pair: Any, tmp_path: Path, table: Callable[[Path], Any]
) -> None:
    grid = ("-o", "random,tpe", "-b", "synthetic/sphere-2d,misbehaving/nan", "-s", 2, "-t", 12, "--no-report")
    optibench("run", *grid, "--executor", "serial", "--out", "serial", check=3)
    optibench("run", *grid, "-j", 2, "--out", "processes", check=3)
    optibench("run", *grid, "--executor", "dask", "--scheduler", dask_pair.address, "--out", "dask", check=3)
    assert len(table(tmp_path / "dask")) == 96
    assert table(tmp_path / "dask").equals(table(tmp_path / "serial"))
    assert table(tmp_path / "dask").equals(table(tmp_path / "processes"))
    assert Store(tmp_path / "dask").running() == {}
    assert Store(tmp_path / "dask").events() == []


@pytest.mark.heavy
def test_limits_and_crashes_cost_the_same_trials_as_on_processes(
    optibench: Any, dask_pair: Any, tmp_path: Path, table: Callable[[Path], Any]
) -> None:
    habits = ", ".join(f"misbehaving/{habit}" for habit in ("die", "crash", "exit", "hang", "hog"))
    (tmp_path / "grid.yaml").write_text(
        f"optimizers: [random, stubborn]\nbenchmarks: [{habits}]\nseeds: 1\ntrials: 6\ninitial_size: 4\n"
        "evaluation_limit: 4s\nmemory_limit: 320M\nretries: 1\n"
    )
    for executor in (("--executor", "dask", "--scheduler", dask_pair.address), ("-j", 2)):
        optibench("run", "grid.yaml", *executor, "--no-report", "--out", executor[1], check=3)
    frames = [table(tmp_path / str(name)) for name in ("dask", 2)]
    for frame in frames:
        frame["error"] = frame["error"].str.replace(r"\d+ MiB of", "some MiB of", regex=True)
    alike = [frame[frame["optimizer"] == "random"].reset_index(drop=True) for frame in frames]
    assert alike[0].equals(alike[1])
    assert set(alike[0]["state"]) == {"ok", "failed", "timeout"}
    events = Store(tmp_path / "dask").events()
    assert any("stopped at its limit of 4 s" in event["text"] for event in events)
    assert all("(Dask worker tcp://127.0.0.1" in event["text"] for event in events)


SLOW = ("-o", "random,tpe", "-b", "misbehaving/sleep", "-s", 4, "-t", 150, "--no-report")
"""Eight cells of three seconds and more."""


@pytest.mark.heavy
def test_workers_may_die_leave_and_join_and_the_scheduler_may_be_restarted(
    optibench: Any, dask_pair: Any, tmp_path: Path, table: Callable[[Path], Any]
) -> None:
    out = tmp_path / "dask"
    command = [sys.executable, "-m", "optibench.cli.main", "run", *map(str, SLOW), "--out", "dask"]
    command += ["--executor", "dask", "--scheduler", dask_pair.address]
    with (tmp_path / "err").open("w") as err:
        run = subprocess.Popen(command, env=dask_pair.environment, cwd=tmp_path, stderr=err)
    try:
        wait(lambda: begun(out) > 30, run)
        dask_pair.kill_worker()
        dask_pair.start_worker()
        known = finished(out)
        wait(lambda: finished(out) > known, run)
        for worker in dask_pair.workers[:1]:
            worker.send_signal(signal.SIGTERM)  # as Slurm does when its time is over
        dask_pair.start_worker()
        known = finished(out)
        wait(lambda: finished(out) > known and begun(out) > 20, run)
        assert dask_pair.scheduler is not None
        dask_pair.kill(dask_pair.scheduler)
        wait(lambda: "waiting for it to come back" in (tmp_path / "err").read_text(), run)
        dask_pair.start_scheduler()
        for _ in range(2):
            dask_pair.start_worker()
        assert run.wait(120) == 0, (tmp_path / "err").read_text()
    finally:
        run.kill()
        run.wait()
    events = [event["event"] for event in Store(out).events()]
    assert "Dask worker lost, its cell is taken up again" in events
    assert "Dask scheduler lost, its cells are handed out again" in events
    optibench("run", *SLOW, "-j", 2, "--out", "processes")
    assert table(out).equals(table(tmp_path / "processes"))


@pytest.mark.heavy
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_coordinator_that_ends_keeps_the_trials_and_leaves_the_workers_free(
    optibench: Any, dask_pair: Any, tmp_path: Path, table: Callable[[Path], Any], blow: signal.Signals
) -> None:
    out = tmp_path / "dask"
    log = {"EVALUATION_LOG": str(tmp_path / "log")}
    dask_pair.close()
    dask_pair.environment |= log
    dask_pair.workers.clear()
    dask_pair.start_scheduler()
    for _ in range(2):
        dask_pair.start_worker()
    command = ("run", *SLOW, "--executor", "dask", "--scheduler", dask_pair.address, "--out", "dask")
    run = subprocess.Popen(
        [sys.executable, "-m", "optibench.cli.main", *map(str, command)], env=dask_pair.environment, cwd=tmp_path
    )
    wait(lambda: begun(out) > 60, run)
    run.send_signal(blow)
    assert run.wait(60) == (130 if blow == signal.SIGINT else -9)
    kept, evaluated = begun(out) + 150 * finished(out), len((tmp_path / "log").read_text().splitlines())
    assert kept > 60
    if blow == signal.SIGINT:
        assert evaluated - kept <= 4, "but for the trials in work, all are written down"
    time.sleep(2)
    before = (tmp_path / "log").read_text()
    time.sleep(1)
    assert (tmp_path / "log").read_text() == before, "workers went on"
    optibench("run", "--out", "dask", "-j", 2, "--no-report")  # another executor may take it up
    optibench("run", *SLOW, "-j", 2, "--out", "processes")
    assert table(out).equals(table(tmp_path / "processes"))


GRID = ("run", "-o", "random", "-b", "synthetic/sphere-2d", "-s", "1", "-t", "13", "--no-report", "--out", "out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--executor", "dask"), "The dask executor needs a scheduler: add --scheduler"),
        (("--scheduler", "tcp://127.0.0.1:1"), "`scheduler` belongs to the dask executor: add --executor dask"),
        (("--executor", "dask", "--scheduler", "tcp://127.0.0.1:1"), "No Dask scheduler answers at tcp://127.0.0.1:1"),
        (("--executor", "dask", "--scheduler", "smoke://signals"), "No Dask scheduler answers at smoke://signals"),
        (("--executor", "dask", "--scheduler", "none.json"), "Cannot read the scheduler file none.json"),
        (("--executor", "dask", "--scheduler", "odd.json"), "odd.json is not a scheduler file"),
    ],
)
def test_what_is_no_scheduler_is_one_sentence(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optibench.executors.dask.connection.CONNECT_SECONDS", 0.5)
    (tmp_path / "odd.json").write_text(json.dumps(["no", "address"]))
    assert main([*GRID, *arguments]) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_dask_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*GRID, "--executor", "dask", "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert 'pip install "optiformer-bench[dask]"' in capsys.readouterr().err


def test_a_worker_of_another_version_or_source_is_one_sentence() -> None:
    here = fingerprint.fingerprint({"numpy": "", "optuna": ""})
    assert fingerprint.difference(here, "tcp://there") is None
    sentence = fingerprint.difference({**here, "optuna": "0.1"}, "tcp://there")
    assert sentence is not None
    assert f"The Dask worker tcp://there has optuna {here['optuna']} and the coordinator 0.1: install" in sentence
    sentence = fingerprint.difference({**here, "source": "0123"}, "tcp://there")
    assert sentence is not None
    assert f"has another source of optiformer-bench ({here['source']}) than the coordinator (0123)" in sentence


def test_a_worker_of_another_source_ends_the_run_with_its_sentence(
    dask_pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    real = fingerprint.fingerprint
    monkeypatch.setattr(
        "optibench.executors.dask.coordinator.fingerprint", lambda packages: {**real(packages), "source": "x"}
    )
    assert main([*GRID, "--executor", "dask", "--scheduler", dask_pair.address]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("optibench: The Dask worker tcp://127.0.0.1:")
    assert "has another source of optiformer-bench" in last


def test_dask_is_loaded_by_nothing_else() -> None:
    modules = "optibench.runs.run, optibench.cli.command, optibench.executors.workers"
    code = f"import {modules}, sys; assert 'distributed' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

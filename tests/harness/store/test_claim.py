"""A run folder is always usable: whatever stopped its making, the same command goes on, or a sentence says why not."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from pyarrow import compute

from optibench.errors import HarnessError
from optibench.plan.plan import Plan
from optibench.spec.grid import Grid
from optibench.store.run_folder import Store

GRID = ("-o", "random", "-b", "synthetic/sphere-2d", "-s", "4", "-t", "12")
RUN = ("run", *GRID, "--no-report", "--out", "out")
LEFT = {
    "an empty folder": [],
    "a lock": [".lock"],
    "folders": [".lock", "cells/", "journal/"],
    "half of tasks.json": [".lock", "cells/", "journal/", "tasks.json.77.tmp"],
    "tasks.json": [".lock", "cells/", "journal/", "tasks.json"],
    "half of the grid": [".lock", "cells/", "journal/", "tasks.json", "grid.yaml.77.tmp"],
}


@pytest.mark.parametrize("left", LEFT)
def test_a_kill_while_the_folder_is_made_leaves_it_usable(
    left: str, optibench: Any, table: Any, tmp_path: Path
) -> None:
    for name in LEFT[left]:
        path = tmp_path / "out" / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{")
    (tmp_path / "out").mkdir(exist_ok=True)
    optibench(*RUN)
    assert len(table(tmp_path / "out")) == 48
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_a_folder_of_somebody_elses_is_refused_and_left_alone(optibench: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    done = optibench(*RUN, check=2)
    assert (
        done.stderr == "optibench: out is not a run folder of optibench: it holds thesis.tex; choose another --out.\n"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("mine")
    assert "file is a file" in optibench(*RUN[:-1], "file", check=2).stderr
    for command in ("status", "report"):
        assert "holds no results" in optibench(command, "out", check=2).stderr


def test_of_two_commands_at_the_same_moment_one_runs(environment: dict[str, str], table: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "optibench.cli.main", *RUN]
    both = [
        subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in both]
    assert all(code in (0, 2) for _, code in ended), ended
    assert any(code == 0 for _, code in ended), ended
    for stderr, code in ended:
        assert code == 0 or "Another optibench is running into out" in stderr
    assert len(table(tmp_path / "out")) == 48


def _claim(folder: Path, held: Any, done: Any) -> None:
    with Store.claim(folder, Plan.of(Grid(("random",), ("synthetic/sphere-2d",), (0,), 12))):
        held.set()
        done.wait(60)


def test_a_lock_is_held_against_others_and_against_oneself(tmp_path: Path) -> None:
    planned = Plan.of(Grid(("random",), ("synthetic/sphere-2d",), (0,), 12))
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_claim, args=(tmp_path / "out", held, done))
    other.start()
    assert held.wait(60)
    with pytest.raises(HarnessError, match="Another optibench is running"), Store.claim(tmp_path / "out", planned):
        pass
    done.set()
    other.join()
    with Store.claim(tmp_path / "out", planned):
        with pytest.raises(HarnessError, match="Another optibench"), Store.claim(tmp_path / "out", planned):
            pass
        child = context.Process(target=done.wait, args=(0,))  # a fork must not take the lock along
        child.start()
        child.join()
    with Store.claim(tmp_path / "out", planned):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(number, "Function not implemented")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    planned = Plan.of(Grid(("random",), ("synthetic/sphere-2d",), (0,), 12))
    with pytest.raises(HarnessError, match="cannot lock files"), Store.claim(tmp_path / "out", planned):
        pass


def test_a_published_folder_with_a_part_of_its_cells_is_named(optibench: Any, tmp_path: Path) -> None:
    optibench(*RUN)
    optibench("publish", "out", "whole")
    whole = optibench("run", "--out", "whole", "--no-report")
    assert whole.stderr == ""
    table = pq.read_table(tmp_path / "whole" / "trials.parquet")
    pq.write_table(table.filter(compute.not_equal(table.column("seed"), 2)), tmp_path / "whole" / "trials.parquet")
    done = optibench("run", "--out", "whole", "--no-report", check=2)
    assert "whole holds a table of 3 of the grid's 4 cells" in done.stderr
    assert done.stderr.count("\n") == 1


def test_temporary_files_of_a_full_disk_are_removed(
    optibench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = Plan.of(Grid(("random",), ("synthetic/sphere-2d",), (0,), 12))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HarnessError, match="No space left"), Store.claim(tmp_path / "out", planned):
        pass
    assert not list((tmp_path / "out").glob("*.tmp"))
    monkeypatch.undo()
    with Store.claim(tmp_path / "out", planned):
        pass


def test_references_that_another_cpu_rounds_otherwise_are_the_same_grid(tmp_path: Path) -> None:
    planned = Plan.of(Grid(("random",), ("synthetic/rotated/levy-5d/3",), (0,), 12))
    with Store.claim(tmp_path / "out", planned) as store:
        pass
    store.refuse_difference(elsewhere(planned, 1 + 1e-13))
    with pytest.raises(HarnessError, match=r"holds a different grid .*f_ref"):
        store.refuse_difference(elsewhere(planned, 1 + 1e-6))


def elsewhere(planned: Plan, factor: float) -> Plan:
    """The plan of a machine that computes another ``f_ref``."""
    ((name, task),) = planned.tasks.items()
    assert task.reference is not None
    reference = msgspec.structs.replace(task.reference, f_ref=task.reference.f_ref * factor)
    return msgspec.structs.replace(planned, tasks={name: msgspec.structs.replace(task, reference=reference)})

"""Cores are those that the process may use: its affinity and the quotas of its cgroup and those around it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from optibench import threads
from optibench.cli.doctor import check_installation
from optibench.executors.registry import EXECUTORS
from optibench.runs.forecast import forecast
from optibench.runs.run import run
from optibench.spec.grid import Grid, Settings
from optibench.store import provenance
from optiformer import cores

V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 {inside} /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
)
V2 = "32 31 0:29 {inside} /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"


@pytest.fixture(autouse=True)
def sixty_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 cores, all of them allowed."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)


def system(root: Path, mounts: str, membership: str, files: dict[str, str]) -> Path:
    """A root folder with ``/proc/self`` and a cgroup file system."""
    files = {"proc/self/mountinfo": mounts, "proc/self/cgroup": membership, **files}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    where = f"sys/fs/cgroup/cpu/{folder}"
    return {f"{where}/cpu.cfs_quota_us": f"{quota}\n", f"{where}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("inside", "membership", "files", "expected"),
    [
        ("/", "0::/\n", {}, 64),
        ("/", "0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("/", "0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("/", "0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # rounded up
        ("/", "0::/\n", {"cpu.max": "1000 100000\n"}, 1),
        ("/", "0::/\n", {"cpu.max": "9900000 100000\n"}, 64),  # more than there are
        ("/", "0::/\n", {"cpu.max": "damaged"}, 64),
        ("/", "0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n"}, 3),  # a parent's
        ("/", "0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "cpu.max": "300000 100000\n"}, 3),
        ("/", "0::/a\n", {"b/cpu.max": "100000 100000\n"}, 64),  # another cgroup's
        ("/docker/x", "0::/docker/x\n", {"cpu.max": "500000 100000\n"}, 5),  # a container that sees the host's names
        ("/docker/x", "0::/docker/x/job\n", {"job/cpu.max": "500000 100000\n"}, 5),
        ("/dock", "0::/docker\n", {"er/cpu.max": "100000 100000\n"}, 64),
        ("/", "0::/../..\n", {"cpu.max": "700000 100000\n"}, 7),
    ],
)
def test_the_quota_of_version_2_counts(
    inside: str, membership: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    files = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    assert cores.usable(system(tmp_path, V2.format(inside=inside), membership, files)) == expected


@pytest.mark.parametrize(
    ("inside", "path", "files", "expected"),
    [
        ("/", "/", v1("", -1), 64),
        ("/", "/", v1("", 250_000), 3),
        ("/", "/slurm/job", v1("slurm/job", -1) | v1("slurm", 800_000), 8),
        ("/docker/x", "/docker/x", v1("", 50_000), 1),
        ("/", "/job", v1("job", 100_000, period=0), 64),
        ("/", "/job", {}, 64),
    ],
)
def test_the_quota_of_version_1_counts(
    inside: str, path: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    membership = f"9:name=systemd:/other\n4:cpu,cpuacct:{path}\n0::/\n"
    assert cores.usable(system(tmp_path, V1.format(inside=inside), membership, files)) == expected


def test_the_affinity_counts_where_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = system(tmp_path, V2.format(inside="/"), "0::/\n", {"sys/fs/cgroup/cpu.max": "900000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert cores.usable(root) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores.usable(root) == 9
    assert cores.usable(tmp_path / "no such system") == 64


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_a_process_that_is_kept_to_one_core_uses_one() -> None:
    code = "from optiformer import cores; print(cores.usable(), cores.described())"
    command = ["taskset", "-c", "0", sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count = os.sysconf("SC_NPROCESSORS_ONLN")
    assert shown.split()[0] == "1"
    assert shown.split(maxsplit=1)[1].strip() == ("1 core" if count == 1 else f"1 of {count} cores usable")


def test_all_that_shares_out_work_asks_for_usable_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 3)
    described = provenance.describe("processes", 3, "Python")
    assert (described["cores"], described["usable_cores"]) == (64, 3)
    assert next(row for row in check_installation()[0] if row.what == "processor").found.endswith(
        ", 3 of 64 cores usable"
    )

    grid = Grid(("gp-optuna",), ("synthetic/sphere-2d",), (0,), 50)
    seconds = [forecast("g", grid, Settings(tmp_path / "none", jobs)).seconds for jobs in (None, 3, 1)]
    assert seconds[0] == seconds[1] == pytest.approx(seconds[2] / 3)

    found: list[int] = []
    monkeypatch.setitem(EXECUTORS, "processes", lambda *arguments: found.append(arguments[-1]))
    for jobs in (None, 2):
        run(replace(grid, optimizers=("random",), seeds=(jobs or 0,)), Settings(tmp_path / str(jobs), jobs))
    assert found == [3, 2]


def test_blas_keeps_to_a_quota_that_it_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in threads.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    threads.respect_quota()
    assert not any(variable in os.environ for variable in threads.VARIABLES)  # BLAS sees the affinity
    monkeypatch.setattr(cores, "usable", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads.respect_quota()
    assert [os.environ.pop(variable) for variable in threads.VARIABLES] == ["1", "3", "3", "3", "3"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}, r"fp32 on cpu: no bf16 instructions"),
        ({}, "(bf16|fp32) on (cpu|cuda)"),
    ],
)
def test_the_doctor_says_which_precision_training_has(
    limits: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("raise SystemExit(1)")  # a user's own
    for name, value in {"CUDA_VISIBLE_DEVICES": "", **limits}.items():
        monkeypatch.setenv(name, value)
    found = {row.what: row.found for row in check_installation()[0]}
    assert re.match(words, found["training precision"])

"""The Slurm recipe of docs/how-to/dask.md: the job it asks for, and a grid on it with a stand-in for `sbatch`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from optibench.store.run_folder import Store

pytest.importorskip("distributed")
dask_jobqueue = pytest.importorskip("dask_jobqueue")

DOCUMENT = Path(__file__).parents[3] / "docs" / "how-to" / "dask.md"
JOB = """\
#!/usr/bin/env bash

#SBATCH -J dask-worker
#SBATCH -p cpu
#SBATCH -n 1
#SBATCH --cpus-per-task=16
#SBATCH --mem=60G
#SBATCH -t 04:00:00
export OPTIBENCH_DATA=/shared/optibench
source /shared/venv/bin/activate
PYTHON -m distributed.cli.dask_worker tcp://LOGIN:8786 --name dummy-name --nthreads 1 --memory-limit 3.73GiB \
--nworkers 16 --nanny --death-timeout 60 --lifetime 230m --lifetime-stagger 5m
"""
SBATCH = """\
#!/bin/bash
# As Slurm's: it keeps a copy of the script, runs it in a process group of its own and prints the job's number.
script=$(mktemp "$JOBS/XXXXXX.sh")
cp "$1" "$script"
setsid bash "$script" > "$script.log" 2>&1 < /dev/null &
echo "Submitted batch job $!"
"""
SCANCEL = """\
#!/bin/bash
kill -TERM -- "-$1"
"""


def recipe(**changes: str) -> str:
    """The documentation's program with this site's values in place of its own."""
    (found,) = re.findall(r"```python\n(# cluster.py.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    for old, new in changes.values():
        assert found.count(old) == 1, f"{old!r} is not once in the recipe"
        found = found.replace(old, new)
    return str(found)


def test_the_recipe_asks_slurm_for_one_worker_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    adapted: list[dict[str, int]] = []
    monkeypatch.setattr(dask_jobqueue.SLURMCluster, "adapt", lambda self, **limits: adapted.append(limits))
    monkeypatch.setattr(signal, "pause", lambda: None)
    made: dict[str, Any] = {}
    exec(compile(recipe(port=('"port": 8786', '"port": 0')), "cluster.py", "exec"), made)
    with made["cluster"] as cluster:
        script = cluster.job_script()
        address = cluster.scheduler_address
    assert adapted == [{"minimum_jobs": 1, "maximum_jobs": 20}]
    shown = script.replace(sys.executable, "PYTHON").replace(address, "tcp://LOGIN:8786")
    assert [line.rstrip() for line in shown.splitlines()] == JOB.splitlines()


@pytest.fixture
def slurm(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a stand-in for Slurm; its jobs end with the test."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text)
        command.chmod(0o755)
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    yield {**environment, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "JOBS": str(jobs)}
    for process in Path("/proc").glob("[0-9]*"):  # by what only they have in their environment
        try:
            ours = f"JOBS={jobs}".encode() in (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if ours:
            os.kill(int(process.name), signal.SIGKILL)


@pytest.mark.heavy
def test_a_grid_runs_on_the_recipes_cluster(
    slurm: dict[str, str], optibench: Any, table: Callable[[Path], Any], tmp_path: Path
) -> None:
    (tmp_path / "activate").write_text("export SOURCED=yes\n")
    program = recipe(
        port=('"port": 8786', '"port": 0'),
        cores=("cores=16,", "cores=2,"),
        processes=("processes=16,", "processes=2,"),
        memory=('memory="64GB"', 'memory="4GB"'),
        data=("/shared/optibench", str(tmp_path / "no-data")),
        venv=("/shared/venv/bin/activate", str(tmp_path / "activate")),
        most=("maximum_jobs=20", "maximum_jobs=1"),
    )
    (tmp_path / "cluster.py").write_text(program)
    command = [sys.executable, "-u", "cluster.py"]
    grid = ("-o", "random,tpe", "-b", "synthetic/sphere-2d", "-s", 2, "-t", 12, "--no-report")
    with subprocess.Popen(command, env=slurm, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as cluster:
        try:
            assert cluster.stdout is not None
            address = cluster.stdout.readline().strip()
            assert address.startswith("tcp://")
            optibench("run", *grid, "--executor", "dask", "--scheduler", address, "--out", "dask")
            scripts = list((tmp_path / "jobs").glob("*.sh"))
            assert len(scripts) == 1, "one job with two workers"
            assert "--nworkers 2" in scripts[0].read_text()
        finally:
            cluster.send_signal(signal.SIGINT)
            deadline = time.monotonic() + 30
            while cluster.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            cluster.kill()
    optibench("run", *grid, "--executor", "serial", "--out", "serial")
    assert len(table(tmp_path / "dask")) == 48
    assert table(tmp_path / "dask").equals(table(tmp_path / "serial"))
    assert Store(tmp_path / "dask").events() == []

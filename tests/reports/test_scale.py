"""A report over 1,000,000 trials: at most 60 s of processor time, 4 GiB and a page of 10 MB; merging them is cheap."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import reports
from reports.results import Results

SCRIPT = """
import importlib.util, pathlib, resource, sys, time
spec = importlib.util.spec_from_file_location("generator", sys.argv[1])
generator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generator)
names = [*generator.OPTIMIZERS, "gp-skopt", "smac-gp", "optiformer"]
tasks = [f"yahpo/{scenario}/{i}" for scenario in ("lcbench", "iaml", "rbv2_svm", "nb301") for i in range(25)]
results = generator.make_results(names, tasks, 10, 100)
assert len(results.trials) == 1_000_000
import reports
started, cpu = time.perf_counter(), time.process_time()
reports.write(results, pathlib.Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(time.perf_counter() - started, time.process_time() - cpu, peak)
"""


@pytest.mark.heavy
def test_a_million_trials(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    generator = Path(__file__).with_name("conftest.py")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(generator), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )
    wall, cpu, gibibytes = map(float, done.stdout.split())
    print(f"{wall:.1f} s wall, {cpu:.1f} s of processor, {gibibytes:.2f} GiB with the generator")
    # Processor time, since other work on the machine must not fail the test; one thread, so wall is the same when idle.
    assert cpu <= 60
    assert gibibytes <= 4
    assert (tmp_path / "out" / "report.html").stat().st_size <= 10e6


@pytest.mark.heavy
def test_merging_a_million_trials(make: Callable[..., Results]) -> None:
    results = make(tasks=[f"f/{i}" for i in range(143)], seeds=10, trials=100)
    assert len(results.trials) >= 1_000_000
    late = results.trials["seed"] >= 4
    halves = [
        replace(results, trials=results.trials[rows], planned=results.planned[results.planned["seed"].isin(seeds)])
        for rows, seeds in ((~late | (results.trials["seed"] == 4), range(5)), (late, range(4, 10)))
    ]
    started = time.process_time()
    merged = reports.merge(halves)
    seconds = time.process_time() - started
    print(f"{seconds:.1f} s of processor")
    assert len(merged.trials) == len(results.trials)
    assert seconds <= 10

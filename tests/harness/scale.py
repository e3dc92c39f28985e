"""What a grid of many trivial cells costs: `make scale`, or `python tests/harness/scale.py 1000 10000`.

Prints a line for each size: seconds of wall-clock time of every step, and their ratio to the smallest size, by cell.
Where a step has a fixed cost (importing, starting workers) the ratio falls; above 1 a cost grows faster than the grid.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import results
from harness import run as runs
from harness.cells import plan
from harness.grid import Grid, Settings, resolve
from harness.store import Store

FUNCTIONS = ("sphere", "ackley", "levy", "rastrigin", "griewank")
TASKS = tuple(f"synthetic/{name}-{dimensions}d" for name in FUNCTIONS for dimensions in (2, 5))
OPTIMIZERS = ("random", "sobol")
TRIALS = 3


def measure(cells: int, folder: Path, jobs: int) -> dict[str, float]:
    """Run a grid of that many cells step by step; seconds by step."""
    seconds: dict[str, float] = {}

    def timed(step: str, do: Callable[[], object]) -> object:
        start = time.perf_counter()
        found = do()
        seconds[step] = time.perf_counter() - start
        return found

    grid = Grid(OPTIMIZERS, TASKS, tuple(range(cells // 20)), TRIALS, initial_size=2)
    timed("plan", lambda: list(plan(resolve(grid))))
    settings = Settings(folder, jobs)
    outcome = timed("run", lambda: runs.run(grid, settings))
    assert isinstance(outcome, runs.Outcome)
    assert outcome.finished == cells
    store = Store.open(folder)
    for path in sorted((folder / "cells").glob("0*/*.arrow"))[: cells // 100]:
        path.unlink()
    timed("status", lambda: runs.status(store))
    again = timed("resume the last 1%", lambda: runs.run(None, settings))
    assert isinstance(again, runs.Outcome)
    assert again.finished == cells
    table = timed("compact", lambda: store.trials(list(plan(store.resolved()))))
    assert len(table) == cells * TRIALS  # type: ignore[arg-type]
    timed("load for a report", lambda: results.load(folder))
    timed("nothing left to run", lambda: runs.run(None, settings))
    return seconds


def main(sizes: list[int]) -> None:
    """Measure each size in a folder of its own; memory is the peak of this process so far."""
    where = Path(os.environ.get("SCALE_FOLDER", tempfile.gettempdir()))
    jobs = int(os.environ.get("SCALE_JOBS", "2"))
    rows = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=where, prefix="optibench-scale-") as folder:
            rows[size] = measure(size, Path(folder) / "out", jobs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            json.dumps({"cells": size, "load": os.getloadavg()[0], "peak_gib": round(peak, 2), **rows[size]}),
            flush=True,
        )
    first = sizes[0]
    print("| step | " + " | ".join(f"{size:,} cells" for size in sizes) + " | per cell, last to first |")
    print("| --- |" + " ---: |" * (len(sizes) + 1))
    for step in rows[first]:
        ratio = rows[sizes[-1]][step] / sizes[-1] / (rows[first][step] / first)
        print(f"| {step} | " + " | ".join(f"{rows[size][step]:.2f} s" for size in sizes) + f" | {ratio:.2f} |")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1_000, 10_000, 100_000])

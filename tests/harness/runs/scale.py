"""What a grid of many trivial cells costs: `make scale`, or `python tests/harness/runs/scale.py 1000 10000`.

Prints a line for each size: seconds of wall-clock time of every step (in brackets: of processor time, which other work
on the machine disturbs less), and the processor time's ratio to the smallest size, by cell.
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

from optibench.cell.trials import Trial
from optibench.plan.plan import Plan
from optibench.runs import run as runs
from optibench.spec.grid import Grid, Settings
from optibench.store import to_results as results
from optibench.store.run_folder import Store

Seconds = tuple[float, float]
FUNCTIONS = ("sphere", "ackley", "levy", "rastrigin", "griewank")
TASKS = tuple(f"synthetic/{name}-{dimensions}d" for name in FUNCTIONS for dimensions in (2, 5))
OPTIMIZERS = ("random", "sobol")
TRIALS = 3
RUN_MOST = int(os.environ.get("SCALE_RUN_MOST", "20000"))
"""Grids of more cells are written and not run, but for the last hundredth."""


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def measure(cells: int, folder: Path, jobs: int) -> dict[str, Seconds]:
    """Run a grid of that many cells step by step; seconds by step, of wall-clock and of processor time."""
    seconds: dict[str, Seconds] = {}

    def timed(step: str, do: Callable[[], object]) -> object:
        start, start_cpu = time.perf_counter(), cpu_seconds()
        found = do()
        seconds[step] = time.perf_counter() - start, cpu_seconds() - start_cpu
        return found

    grid = Grid(OPTIMIZERS, TASKS, tuple(range(cells // 20)), TRIALS, initial_size=2)
    timed("plan", lambda: list(Plan.of(grid).cells()))
    settings = Settings(folder, jobs)
    if cells <= RUN_MOST:
        outcome = timed("run", lambda: runs.run(grid, settings))
        assert isinstance(outcome, runs.Outcome)
        assert outcome.finished == cells
    else:
        timed("write", lambda: write(grid, folder))
    store = Store.open(folder)
    for path in sorted((folder / "cells").glob("*/*.arrow"))[: cells // 100]:
        path.unlink()
    timed("status", lambda: runs.status(store))
    again = timed("resume the last 1%", lambda: runs.run(None, settings))
    assert isinstance(again, runs.Outcome)
    assert again.finished == cells
    table = timed("compact", lambda: store.trials(list(store.plan().cells())))
    assert len(table) == cells * TRIALS  # type: ignore[arg-type]
    timed("load for a report", lambda: results.load(folder))
    timed("nothing left to run", lambda: runs.run(None, settings))
    return seconds


def write(grid: Grid, folder: Path) -> None:
    """Put every cell's result in place as a worker does, without a trial having been run."""
    planned = Plan.of(grid)
    with Store.claim(folder, planned) as store:
        pass
    for cell in planned.cells():
        journal = store.journal(cell)
        journal.open()
        trials = [
            Trial(
                n,
                "search",
                '{"x0": 0.25, "x1": 0.5}',
                None,
                1.0 / (n + 1),
                "ok",
                None,
                0.0,
                1e-5,
                1e-5,
                1e-6,
                time.time(),
            )
            for n in range(TRIALS)
        ]
        for trial in trials:
            journal.append(trial)
        store.finish(cell, trials, planned.tasks[cell.task])
        journal.close()


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
    for step in [step for step in rows[first] if step in rows[sizes[-1]]]:
        ratio = rows[sizes[-1]][step][1] / sizes[-1] / (rows[first][step][1] / first)
        cells = ("{:.2f} s ({:.2f})".format(*rows[size][step]) for size in sizes)
        print(f"| {step} | " + " | ".join(cells) + f" | {ratio:.2f} |")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1_000, 10_000, 100_000])

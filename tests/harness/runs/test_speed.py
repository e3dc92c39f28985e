"""What the harness itself costs: `make bench`. Ratios are of runs in the same process, one after the other."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from optibench.runs.run import run
from optibench.spec.grid import Grid, Settings

TRIALS, SEEDS = 100, 1000


def wall_seconds(folder: Path, executor: str, jobs: int) -> float:
    grid = Grid(("random",), ("synthetic/ackley-5d",), tuple(range(SEEDS)), TRIALS)
    start = time.perf_counter()
    outcome = run(grid, Settings(folder, jobs, executor))
    assert outcome.finished == SEEDS
    return time.perf_counter() - start


def test_cost_per_trial_of_random_search_everything_included(benchmark: Any, tmp_path: Path) -> None:
    """Planning, asking, evaluating, telling, journal, Parquet and compaction, as seconds a trial in ``extra_info``."""
    numbers = itertools.count()
    benchmark.pedantic(lambda: wall_seconds(tmp_path / str(next(numbers)), "serial", 1), rounds=3)
    benchmark.extra_info["milliseconds_a_trial"] = benchmark.stats.stats.min * 1e3 / (TRIALS * SEEDS)
    print(f"\n{benchmark.extra_info['milliseconds_a_trial']:.3f} ms a trial")


def test_two_workers_against_one(benchmark: Any, tmp_path: Path) -> None:
    """The ratio of wall-clock times on a grid of cheap cells, start-up of the workers included."""
    numbers, ratios = itertools.count(), []

    def pair() -> None:
        one = wall_seconds(tmp_path / str(next(numbers)), "processes", 1)
        two = wall_seconds(tmp_path / str(next(numbers)), "processes", 2)
        ratios.append(one / two)

    benchmark.pedantic(pair, rounds=3)
    benchmark.extra_info["speed_up"] = sorted(ratios)[1]
    print(f"\n{sorted(ratios)[1]:.2f} times as fast on two workers as on one")

"""The table of ``docs/reference/live-tasks.md``: size, cost and failure rate of each task.

    OMP_NUM_THREADS=1 python -m optibench_benchmarks.live.costs

Seconds of processor time are a mean over 20 random configurations after one that loads the libraries. The rest comes
from the references; ``near`` is how many of their random configurations have a normalised regret below 0.05.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from optibench_benchmarks.base import BenchmarkError, Config
from optibench_benchmarks.configurations import plain
from optibench_benchmarks.live.tasks import LiveTask, provider
from optibench_benchmarks.references.table import find

TIMED = 20
HEAD = ("task", "parameters", "active", "conditional", "seconds", "fail", "near", "f_ref", "f_best")


def rows(names: Sequence[str]) -> Iterator[list[str]]:
    """A row of the table for each task; tasks without a reference have a dash in columns that need it."""
    for name in names:
        task: Any = provider.create(name)
        configs = _random(task, TIMED)
        _evaluate(task, configs[0])
        start = time.process_time()
        for config in configs:
            _evaluate(task, config)
        seconds = (time.process_time() - start) / TIMED
        active = sorted({len(config) for config in configs})
        shown = f"{active[0]}" if len(active) == 1 else f"{active[0]} to {active[-1]}"
        row = [f"`{name}`", str(len(task.space)), shown, "yes" if task.space.conditions else "no", f"{seconds:.3f}"]
        yield row + _of_reference(task)


def _of_reference(task: LiveTask) -> list[str]:
    found = find(task.name, data_version=task.data_version)
    if found is None or found.near_best is None:
        return ["-"] * 4
    reference = found.reference
    failed = re.search(r"(\d+) random ones failed", reference.source)
    share = int(failed[1]) / task.reference_plan.random if failed else 0.0
    return [
        f"{100 * share:.0f} %",
        f"{100 * found.near_best:.0f} %",
        f"{reference.f_ref:.3f}",
        f"{reference.f_best:.4f}",
    ]


def _random(task: LiveTask, n: int) -> list[dict[str, Any]]:
    """Random configurations, not those of the reference search."""
    space = deepcopy(task.space)
    space.seed(20)
    return [plain(config) for config in space.sample_configuration(n)]


def _evaluate(task: LiveTask, config: Config) -> None:
    with contextlib.suppress(*task.failures):
        task.evaluate(config, seed=0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m optibench_benchmarks.live.costs", description="The table of docs/reference/live-tasks.md."
    )
    parser.add_argument("tasks", nargs="*", default=provider.names(), help="some tasks (default: all)")
    given = parser.parse_args(arguments)
    print("| " + " | ".join(HEAD) + " |\n|---|---:|---:|---|---:|---:|---:|---:|---:|")
    try:
        for row in rows(given.tasks):
            print("| " + " | ".join(row) + " |", flush=True)
    except BenchmarkError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

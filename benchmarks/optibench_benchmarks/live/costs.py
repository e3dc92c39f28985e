"""The table of ``docs/reference/live-tasks.md``: size, cost and failure rate of each task.

    OMP_NUM_THREADS=1 python -m optibench_benchmarks.live.costs

Seconds of processor time are a mean over 20 random configurations after one that loads the libraries, and ``near`` is
how many of ``--configurations`` random ones have a normalised regret below 0.05. The rest comes from the references.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from optibench_benchmarks.base import Config
from optibench_benchmarks.configurations import plain
from optibench_benchmarks.live.tasks import LiveTask, provider

TIMED = 20
NEAR = 0.05
HEAD = ("task", "parameters", "active", "conditional", "seconds", "fail", "near", "f_ref", "f_best")


def rows(names: Sequence[str], configurations: int) -> Iterator[list[str]]:
    """A row of the table for each task; tasks without a reference have a dash in columns that need it."""
    for name in names:
        task: Any = provider.create(name)
        configs = _random(task, configurations)
        values, clock = [_value(task, configs[0])], [time.process_time()]
        for config in configs:
            values.append(_value(task, config))
            clock.append(time.process_time())
        seconds = np.diff(clock)[:TIMED].mean()
        active = sorted({len(config) for config in configs})
        shown = f"{active[0]}" if len(active) == 1 else f"{active[0]} to {active[-1]}"
        row = [f"`{name}`", str(len(task.space)), shown, "yes" if task.space.conditions else "no", f"{seconds:.3f}"]
        yield row + _of_reference(task, values[1:])


def _of_reference(task: LiveTask, values: Sequence[float]) -> list[str]:
    reference = task.reference
    if reference is None:
        return ["-"] * 4
    random = re.search(r"(\d+) random and", reference.source)
    failed = re.search(r"(\d+) random ones failed", reference.source)
    share = int(failed[1]) / int(random[1]) if failed and random else 0.0
    near = np.mean([reference.regret(value) < NEAR for value in values])
    return [f"{100 * share:.0f} %", f"{100 * near:.0f} %", f"{reference.f_ref:.3f}", f"{reference.f_best:.4f}"]


def _random(task: LiveTask, n: int) -> list[dict[str, Any]]:
    """Random configurations, not those of the reference search."""
    space = deepcopy(task.space)
    space.seed(20)
    return [plain(config) for config in space.sample_configuration(n)]


def _value(task: LiveTask, config: Config) -> float:
    """The value; minus infinity if scikit-learn rejects the configuration."""
    try:
        return task.evaluate(config, seed=0).value
    except task.failures:
        return -np.inf


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m optibench_benchmarks.live.costs", description="The table of docs/reference/live-tasks.md."
    )
    parser.add_argument("tasks", nargs="*", default=provider.names(), help="some tasks (default: all)")
    parser.add_argument("--configurations", type=int, default=100, help="random ones for `near` (default: 100)")
    given = parser.parse_args(arguments)
    print("| " + " | ".join(HEAD) + " |\n|---|---:|---:|---|---:|---:|---:|---:|---:|")
    for row in rows(given.tasks, max(2, given.configurations)):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()

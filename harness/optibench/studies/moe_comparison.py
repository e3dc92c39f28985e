"""The document's comparison: its untuned routing model against the best configuration found, over seeds.

``python -m optibench.studies.moe_comparison [--task moe-router/generated] [--seeds 10]`` prints the table of
``docs/training.md``. The best configuration is that of the frozen reference, or of ``--best FILE``, a JSON object.
Its search saw validation sequences only and other seeds; the test sequences are new to both.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optibench_benchmarks.base import BenchmarkError, Config

_FIRST_SEED = 2_000_000
"""Above the seeds of the search and of its finalists."""


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided 95 % confidence interval by Student's t, and how many values it is of."""

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """The interval of at least two independent values."""
        from scipy.stats import t

        mean = float(np.mean(values))
        half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
        return cls(mean, mean - half, mean + half, len(values))


def compare(
    task: str,
    best: Config,
    seeds: int,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Interval]]:
    """Train both configurations with the same seeds.

    Args:
        task: One of ``moe-router``'s.
        best: The configuration that stands against the document's.
        seeds: How many, at least two.
        progress: Told of each training.

    Returns:
        By metric (``validation Top-2``, ``test Top-2``): the intervals of ``baseline``, ``best`` and ``difference``,
        the last over the pairs with the same seed.
    """
    from optibench_benchmarks.registry import create
    from optibench_benchmarks.training.moe.tasks import BASELINE

    if seeds < 2:
        raise BenchmarkError(f"An interval needs at least 2 seeds, not {seeds}.")
    benchmark = create(task)
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(_FIRST_SEED, _FIRST_SEED + seeds):
        for name, config in {"baseline": BASELINE, "best": best}.items():
            evaluation = benchmark.evaluate(config, seed=seed)
            scores = {"validation Top-2": evaluation.value, "test Top-2": float(evaluation.info["test_top2"])}
            progress(f"seed {seed}, {name}: {', '.join(f'{metric} {score:.4f}' for metric, score in scores.items())}")
            for metric, score in scores.items():
                found.setdefault(metric, {}).setdefault(name, []).append(score)
    for values in found.values():
        values["difference"] = (np.array(values["best"]) - np.array(values["baseline"])).tolist()
    return {metric: {name: Interval.of(each) for name, each in values.items()} for metric, values in found.items()}


def table(intervals: Mapping[str, Mapping[str, Interval]]) -> str:
    """The comparison in percent, as a Markdown table."""
    lines = ["| | baseline | best found | difference |", "|---|---:|---:|---:|"]
    for metric, each in intervals.items():
        cells = [
            f"{100 * one.mean:{sign}.2f} [{100 * one.low:{sign}.2f}, {100 * one.high:{sign}.2f}]"
            for one, sign in ((each["baseline"], ""), (each["best"], ""), (each["difference"], "+"))
        ]
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print it; returns the exit status."""
    from optibench_benchmarks.references.table import entries
    from optibench_benchmarks.registry import create

    parser = argparse.ArgumentParser(
        prog="python -m optibench.studies.moe_comparison", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--task", default="moe-router/generated")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--best",
        type=Path,
        help="a JSON object; default: the frozen reference's configuration",
    )
    options = parser.parse_args(arguments)
    try:
        task = create(options.task).name
        best: Any = json.loads(options.best.read_text(encoding="utf-8")) if options.best else None
        if best is None:
            entry = entries().get(task)
            best = entry.best if entry else None
        if not isinstance(best, Mapping):
            raise BenchmarkError(f"{task} has no best configuration yet; give one with --best FILE, a JSON object.")
        intervals = compare(task, best, options.seeds, lambda line: print(line, file=sys.stderr, flush=True))
    except (BenchmarkError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Best found: {json.dumps(dict(best))}\n\n{table(intervals)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

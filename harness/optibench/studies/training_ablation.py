"""An ablation: a baseline, one change of it at a time, the same seeds for all, and a table of effects with intervals.

``python -m optibench.studies.training_ablation [SPEC] [--seeds 5] [--epochs N]`` prints the table of
``docs/training.md``. ``SPEC`` is a YAML file or the name of one in ``harness/optibench/studies/ablations/``;
``mainrun`` has every option of ``mainrun/gpt``.

    task: mainrun/gpt
    baseline: {learning_rate: 0.008}      # what is not named is the space's default
    changes:
      RMSNorm: {norm: rmsnorm}

An effect is the mean, over seeds, of the changed configuration's value minus the baseline's with the same seed, with
the 95 % interval of Student's t. A training that diverges with any seed leaves its change without an effect, and the
table says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optibench.studies.moe_comparison import Interval
from optibench_benchmarks.base import BenchmarkError, Config
from optibench_benchmarks.training.base import DivergedError, TrainingBenchmark

FOLDER = Path(__file__).parent / "ablations"
_FIRST_SEED = 3_000_000
"""Above the seeds of reference searches."""
_KEYS = ("task", "baseline", "changes")


@dataclass(frozen=True)
class Ablation:
    """What is compared.

    Attributes:
        task: A task that trains.
        baseline: Its complete configuration.
        changes: Complete configurations by name.
    """

    task: TrainingBenchmark
    baseline: Config
    changes: Mapping[str, Config]


@dataclass(frozen=True)
class Effect:
    """A change's values and differences over the seeds; ``difference`` is ``None`` if a training diverged."""

    name: str
    value: Interval | None
    difference: Interval | None


def read(spec: str) -> Ablation:
    """Read a specification.

    Raises:
        BenchmarkError: It is not there, malformed, or a configuration is not legal.
    """
    import yaml

    from optibench_benchmarks.registry import create

    shipped = FOLDER / f"{spec}.yaml"
    path = shipped if shipped.is_file() else Path(os.path.expanduser(spec))  # noqa: PTH111  # Path's may raise
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BenchmarkError(f"The ablation {path} cannot be read ({' '.join(str(error).split())}).") from None
    if not isinstance(values, Mapping) or set(values) != set(_KEYS) or not isinstance(values["changes"], Mapping):
        raise BenchmarkError(f"The ablation {path} has to have the keys {', '.join(_KEYS)}, and `changes` by name.")
    task = create(str(values["task"]))
    if not isinstance(task, TrainingBenchmark):
        raise BenchmarkError(f"The ablation {path} names {task.name}, which trains nothing: name a task that does.")
    baseline = _complete(task, values["baseline"] or {}, f"The baseline of {path}")
    changes = {
        str(name): _complete(task, {**baseline, **dict(change)}, f"{name!r} of {path}")
        for name, change in values["changes"].items()
    }
    return Ablation(task, baseline, changes)


def _complete(task: TrainingBenchmark, given: Any, what: str) -> Config:
    """A configuration with defaults where nothing is given, without parameters that are not active.

    Raises:
        BenchmarkError: It is not legal.
    """
    from ConfigSpace.util import deactivate_inactive_hyperparameters

    try:
        unknown = set(given) - set(task.space)
        if unknown:
            raise ValueError(f"{task.name} has no parameter {', '.join(sorted(unknown))}")
        everything = {name: parameter.default_value for name, parameter in task.space.items()} | dict(given)
        return _plain(deactivate_inactive_hyperparameters(everything, task.space))
    except Exception as error:
        raise BenchmarkError(f"{what} is no configuration: {' '.join(str(error).split())}.") from None


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in dict(config).items()}


def run(
    ablation: Ablation,
    seeds: int,
    *,
    fidelity: Config | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[Interval, list[Effect]]:
    """Train the baseline and every change with the same seeds.

    Args:
        ablation: What is compared.
        seeds: How many, at least two.
        fidelity: Of every training; the highest if ``None``.
        progress: Told of each training.

    Returns:
        The baseline's values, and the effects, the best first.

    Raises:
        BenchmarkError: There are too few seeds, or the baseline diverges.
    """
    if seeds < 2:
        raise BenchmarkError(f"An interval needs at least 2 seeds, not {seeds}.")
    numbers = range(_FIRST_SEED, _FIRST_SEED + seeds)

    def values(name: str, config: Config) -> list[float] | None:
        found = []
        for seed in numbers:
            try:
                found.append(ablation.task.evaluate(config, seed=seed, fidelity=fidelity).value)
            except DivergedError as error:
                progress(f"{name}, seed {seed}: {error}")
                return None
            progress(f"{name}, seed {seed}: {found[-1]:.4f}")
        return found

    base = values("baseline", ablation.baseline)
    if base is None:
        raise BenchmarkError("The baseline diverges: choose another one.")
    effects = []
    for name, config in ablation.changes.items():
        found = values(name, config)
        if found is None:
            effects.append(Effect(name, None, None))
        else:
            effects.append(Effect(name, Interval.of(found), Interval.of((np.array(found) - base).tolist())))
    sign = 1.0 if ablation.task.direction == "minimize" else -1.0
    effects.sort(key=lambda each: sign * each.difference.mean if each.difference else np.inf)
    return Interval.of(base), effects


def table(baseline: Interval, effects: Sequence[Effect]) -> str:
    """The effects as a Markdown table."""
    lines = ["| | value | effect, with 95 % interval |", "|---|---:|---:|", f"| baseline | {baseline.mean:.4f} | |"]
    for each in effects:
        if each.value is None or each.difference is None:
            lines.append(f"| {each.name} | diverged | |")
            continue
        one = each.difference
        lines.append(f"| {each.name} | {each.value.mean:.4f} | {one.mean:+.4f} [{one.low:+.4f}, {one.high:+.4f}] |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an ablation and print it; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m optibench.studies.training_ablation", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("spec", nargs="?", default="mainrun")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="of every training; default: the task's")
    options = parser.parse_args(arguments)
    try:
        baseline, effects = run(
            read(options.spec),
            options.seeds,
            fidelity=None if options.epochs is None else {"epochs": options.epochs},
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(baseline, effects))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

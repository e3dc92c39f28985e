"""Compares trained variants: trains each with the same seeds and writes a report that pairs them by seed.

:mod:`optibench.studies.specifications` reads the variants from a file. Successful trainings are stored in the output
folder under a key of everything that determines them, so the same command resumes, and more seeds can be added. A
training that fails is counted, and the next command tries it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench.errors import HarnessError, reason
from optibench.files import write_atomically
from optibench_reports.studies.variants import Measured

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark
    from optiformer.training.config import RunConfig


@dataclass(frozen=True)
class Training:
    """The result of one training.

    Attributes:
        curve: The value after each step, by ascending step; the last is the training's. Empty if it failed.
        info: Further numbers at its end.
        error: Why it failed; otherwise empty.
    """

    curve: Sequence[tuple[int, float]] = ()
    info: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def of(cls, value: float, info: Mapping[str, Any], curve: Mapping[str, Sequence[float]]) -> Training:
        """The content of an :class:`optibench_benchmarks.Evaluation`; the value's curve is the one ending with it."""
        if not math.isfinite(value):
            return cls(error=f"The value is {value}.")
        steps, *columns = [list(values) for values in curve.values()] or [[0]]
        own = next((column for column in columns if column[-1] == value), None)
        pairs = zip(steps, own, strict=True) if own else [(steps[-1], value)]
        known = {name: float(number) for name, number in info.items() if isinstance(number, numbers.Real)}
        return cls([(int(step), float(number)) for step, number in pairs], known)


Fit = Callable[[int, Path], Training]
"""Trains with a seed; may store files in the folder."""


@dataclass(frozen=True)
class Study:
    """A comparison of variants.

    Attributes:
        control: The name of the variant that the others are compared with.
        fits: The training function of each variant, by name.
        first_seed: The first of consecutive seeds.
        measured: The report's description of the value.
        note: Sentences below its table.
        place: Where it was defined, for error messages.
    """

    control: str
    fits: Mapping[str, Fit]
    first_seed: int
    measured: Measured
    note: str = ""
    place: str = ""


def kept(key: Mapping[str, Any], folder: Path, fit: Callable[[], Training]) -> Training:
    """Read a training from the folder, or run it and store it unless it fails; ``key`` identifies it."""
    text = json.dumps(key, sort_keys=True, default=str)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):  # it is missing or damaged
        return Training(**json.loads(path.read_text(encoding="utf-8")))
    found = fit()
    if not found.error:
        write_atomically(path, json.dumps(asdict(found)).encode())
    return found


def made_of(task: Benchmark) -> dict[str, Any]:
    """What determines a task's values: its name, data, code and packages."""
    from optibench.store.fingerprint import of_family

    return {"task": task.name, "data": task.data_version, **of_family(task.name.partition("/")[0])}


def fit_task(
    task: Benchmark, config: Mapping[str, Any], fidelity: Mapping[str, Any] | None, seed: int, folder: Path
) -> Training:
    """Evaluate one configuration of a task.

    Raises:
        BenchmarkError: The configuration or the fidelity is invalid; any other exception is a failed training.
    """
    from optibench_benchmarks import BenchmarkError

    def fit() -> Training:
        try:
            found = task.evaluate(config, seed=seed, fidelity=fidelity)
        except Exception as error:
            if isinstance(error, BenchmarkError) and not isinstance(error, task.failures):
                raise
            return Training(error=str(error) if isinstance(error, task.failures) else reason(error))
        return Training.of(found.value, found.info, found.curve)

    return kept({**made_of(task), "config": dict(config), "fidelity": fidelity, "seed": seed}, folder, fit)


def fit_network(run: RunConfig, seed: int, folder: Path) -> Training:
    """Train a network; the training stores its own state and resumes."""
    from optiformer.errors import ModelError
    from optiformer.files import CONFIG
    from optiformer.training.loop import train as fit

    run = replace(run, train=replace(run.train, seed=seed))
    out = folder / run.digest()
    try:
        best = fit(run, folder, out, progress=False)
    except ModelError as error:
        return Training(error=str(error))
    parameters = json.loads((best / CONFIG).read_text())["info"]["parameters"]
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = {entry["step"]: entry["validation_loss"] for entry in entries if "validation_loss" in entry}
    steps = [each for each in sorted(losses) if each % run.train.validate_every == 0 or each == run.train.steps]
    return Training([(step, losses[step]) for step in steps], {"parameters": parameters})


def run(study: Study, seeds: int, out: Path, *, progress: Callable[[str], None] = lambda line: None) -> str:
    """Train every variant with the same seeds, seed by seed, and write the report.

    Args:
        study: The comparison.
        seeds: Number of seeds, at least two.
        out: The report's folder (see :func:`optibench_reports.studies.variants.write`); ``trained`` in it stores the
            trainings.
        progress: Called with a line about each training.

    Returns:
        The report's Markdown.

    Raises:
        HarnessError: There are too few seeds, the folder cannot be written, or a training lacks a metric.
        ReportError: All trainings of the control failed.
    """
    import pandas as pd

    from optibench_reports.studies.variants import write

    if seeds < 2:
        raise HarnessError(f"A comparison needs at least 2 seeds, not {seeds}.")
    rows: list[dict[str, Any]] = []
    try:
        (folder := out / "trained").mkdir(parents=True, exist_ok=True)
        for seed in range(study.first_seed, study.first_seed + seeds):
            for name, fit in study.fits.items():
                found = fit(seed, folder)
                absent = [] if found.error else [each for each in study.measured.metrics if each not in found.info]
                if absent:
                    known = ", ".join(sorted(found.info)) or "none"
                    raise HarnessError(
                        f"{study.place}: {name!r} has no metric {', '.join(absent)}; its metrics: {known}."
                    )
                rows += [
                    {"variant": name, "seed": seed, "epoch": step, "value": value, "error": found.error}
                    for step, value in found.curve or [(0, math.nan)]
                ]
                rows[-1] = {**rows[-1], **found.info, **rows[-1]}
                progress(f"{name}, seed {seed}: {found.error or format(found.curve[-1][1], '.4f')}")
        return write(pd.DataFrame(rows), out, control=study.control, measured=study.measured, note=study.note)
    except OSError as error:
        raise HarnessError(f"Cannot write to {out}: {error.strerror}; choose another --out.") from error

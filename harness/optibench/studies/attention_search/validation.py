"""Do variants differ? Every one is trained with the same new seeds, and a report compares them.

The search looked at one seed and at four small sizes; here each variant trains its task at full fidelity with seeds
that no search had, the evolved ones in processes with limits. The table of trainings goes to
:mod:`optibench_reports.studies.variants`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench.errors import HarnessError
from optibench.studies.attention_search import program as programs
from optibench.studies.attention_search.evaluator import Answer, Limits, measure
from optibench_benchmarks.training.attention.scaling import CONFIG
from optibench_benchmarks.training.attention.tasks import FRAMEWORKS, VARIANTS

if TYPE_CHECKING:
    import pandas as pd

_FIRST_SEED = 4_000_000
"""Above the seeds of reference searches and ablations."""


def variants(
    evolved: Mapping[str, Path], frameworks: tuple[str, ...] = FRAMEWORKS
) -> dict[str, tuple[str, Path | None]]:
    """What is compared: by label, the task it trains and the program in its place.

    Args:
        evolved: The best program of each framework that has one.
        frameworks: Whose shipped variants to compare them with.

    Raises:
        HarnessError: A program is not there, is another framework's, or breaks a rule.
    """
    found: dict[str, tuple[str, Path | None]] = {
        f"{framework} {variant}": (f"attention/{framework}-{variant}", None)
        for framework in frameworks
        for variant in VARIANTS
    }
    for framework, path in evolved.items():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise HarnessError(f"The program {path} cannot be read ({error}).") from None
        if programs.framework_of(text, FRAMEWORKS) != framework:
            raise HarnessError(f"{path} is no program of {framework}.")
        programs.check(programs.parts(text)[1], longest=10**6)
        found[f"{framework} evolved"] = (f"attention/{framework}-evolvable", path)
    return found


def train(
    compared: Mapping[str, tuple[str, Path | None]],
    seeds: int,
    *,
    config: Mapping[str, Any] = CONFIG,
    epochs: int | None = None,
    limits: Limits | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Train every variant with the same seeds.

    Args:
        compared: From :func:`variants`.
        seeds: How many, at least two.
        config: Of all trainings.
        epochs: Of all trainings; the task's if ``None``.
        limits: Of a program's process.
        progress: Told of each training.

    Returns:
        One row for each epoch of each training: ``variant``, ``seed``, ``epoch``, ``value`` (validation loss) and
        ``error``, which is empty where there was none; a training that failed has one row, without a value.

    Raises:
        HarnessError: There are too few seeds.
    """
    import pandas as pd

    if seeds < 2:
        raise HarnessError(f"A comparison needs at least 2 seeds, not {seeds}.")
    rows: list[dict[str, Any]] = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + seeds):
        for label, (task, program) in compared.items():
            answer = _one(task, program, seed, config, epochs, limits or Limits())
            if not answer.ok:
                rows.append({"variant": label, "seed": seed, "epoch": 0, "value": float("nan"), "error": answer.error})
                progress(f"{label}, seed {seed}: {answer.reason}: {answer.error}")
                continue
            curve = answer.values["curve"]
            for epoch, value in zip(curve["epoch"], curve["validation_loss"], strict=True):
                rows.append({"variant": label, "seed": seed, "epoch": int(epoch), "value": float(value), "error": ""})
            progress(f"{label}, seed {seed}: {answer.values['value']:.4f}")
    return pd.DataFrame(rows)


def _one(
    task: str, program: Path | None, seed: int, config: Mapping[str, Any], epochs: int | None, limits: Limits
) -> Answer:
    if program is not None:
        request = {"what": "train", "program": str(program), "task": task, "seed": seed, "config": dict(config)}
        return measure({**request, "epochs": epochs}, limits)
    import optibench_benchmarks
    from optibench_benchmarks.training.base import DivergedError

    try:
        found = optibench_benchmarks.create(task).evaluate(
            config, seed=seed, fidelity=None if epochs is None else {"epochs": epochs}
        )
    except DivergedError as error:
        return Answer(False, "diverged", str(error))
    return Answer(True, values={"value": found.value, "curve": found.curve})

"""Validates variants: trains each with the same new seeds, and writes a report that compares them.

The search uses one seed and four small sizes. Here each variant trains its task at full fidelity with seeds that no
search used; evolved programs run in processes with limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from optibench.errors import HarnessError
from optibench.studies.attention_search import program as programs
from optibench.studies.attention_search.evaluator import Limits, measure
from optibench.studies.variants import Fit, Study, Training, fit_task, kept, made_of
from optibench_benchmarks.training.attention.scaling import CONFIG
from optibench_benchmarks.training.attention.tasks import FRAMEWORKS, VARIANTS
from optibench_reports.studies.variants import Measured

_FIRST_SEED = 4_000_000
"""The first seed; above the seeds of reference searches and ablations."""


def variants(
    evolved: Mapping[str, Path], frameworks: tuple[str, ...] = FRAMEWORKS
) -> dict[str, tuple[str, Path | None]]:
    """The variants to compare: by label, the task and the program that replaces its attention.

    Args:
        evolved: The best program of each framework that has one.
        frameworks: The frameworks whose shipped variants are compared with them.

    Raises:
        HarnessError: A program is missing, belongs to a different framework, or breaks a rule.
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
            raise HarnessError(f"{path} is not a program of {framework}.")
        programs.check(programs.parts(text)[1], longest=10**6)
        found[f"{framework} evolved"] = (f"attention/{framework}-evolvable", path)
    return found


def study(compared: Mapping[str, tuple[str, Path | None]], *, epochs: int | None = None) -> Study:
    """The comparison of the variants; the first one is the control.

    Args:
        compared: From :func:`variants`.
        epochs: Epochs of all trainings; the task's if ``None``.
    """
    from optibench_benchmarks import create

    fits: dict[str, Fit] = {
        label: partial(fit_task, create(task), CONFIG, None if epochs is None else {"epochs": epochs})
        if program is None
        else partial(fit_program, program, task, epochs)
        for label, (task, program) in compared.items()
    }
    return Study(next(iter(compared)), fits, _FIRST_SEED, Measured("validation loss, nats per byte"))


def fit_program(program: Path, task: str, epochs: int | None, seed: int, folder: Path) -> Training:
    """Train a program in place of a task's attention, in a process with limits."""
    from optibench_benchmarks import create

    request = {"what": "train", "task": task, "config": dict(CONFIG), "epochs": epochs, "seed": seed}

    def fit() -> Training:
        answer = measure({**request, "program": str(program)}, Limits())
        if not answer.ok:
            return Training(error=f"{answer.reason}: {answer.error}")
        return Training.of(answer.values["value"], answer.values["info"], answer.values["curve"])

    return kept({**made_of(create(task)), **request, "program": program.read_text(encoding="utf-8")}, folder, fit)

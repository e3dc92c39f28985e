"""Training curves: the loss of a network over its training steps, from a run's ``log.jsonl``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from optibench_reports.data.results import ReportError
from optibench_reports.data.score_array import Floats
from optibench_reports.format.text import number, plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOWS = 50
"""The training loss is averaged over windows of a fiftieth of the steps, because single batches are noisy."""


@dataclass(frozen=True)
class TrainingLog:
    """The losses of a training run, by ascending step; nats per predicted token, as they were logged.

    Attributes:
        steps: Training steps with a loss, (n,).
        losses: The losses, (n,).
        validation_steps: Steps after which the network was validated, (m,); may be empty.
        validation_losses: The losses, (m,).
        seconds: Seconds of training at the last entry.
    """

    steps: Floats
    losses: Floats
    validation_steps: Floats
    validation_losses: Floats
    seconds: float


def read_log(path: Path) -> TrainingLog:
    """Read a ``log.jsonl``: a JSON object a line, with ``step`` and ``loss`` or ``validation_loss``.

    A resumed run logs some steps again: the later entry counts. Losses that are not finite are left out.

    Raises:
        ReportError: The file cannot be read, a line is no such object, or no step has a finite loss.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ReportError(f"Cannot read the training log {path}: {reason}; give a run's log.jsonl.") from error
    found: dict[str, dict[int, float]] = {"loss": {}, "validation_loss": {}}
    seconds = 0.0
    for position, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            step, seconds = int(entry["step"]), float(entry.get("seconds", seconds))
            for key, losses in found.items():
                if key in entry:
                    losses[step] = float(entry[key])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ReportError(
                f"{path}, line {position}: not an entry of a training log, which is a JSON object with a step and its "
                "loss; give a run's log.jsonl."
            ) from error
    steps, values = _sorted(found["loss"])
    if not len(steps):
        raise ReportError(f"{path} has no step with a finite loss: there is no training curve to draw.")
    return TrainingLog(steps, values, *_sorted(found["validation_loss"]), seconds)


def _sorted(losses: dict[int, float]) -> tuple[Floats, Floats]:
    steps = sorted(step for step, loss in losses.items() if math.isfinite(loss))
    return np.array(steps, dtype=float), np.array([losses[step] for step in steps], dtype=float)


def smoothed(log: TrainingLog) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean step, mean training loss, its lower and its upper quartile in at most ``WINDOWS`` windows, (w,) each."""
    parts = np.array_split(np.arange(len(log.steps)), min(WINDOWS, len(log.steps)))
    losses = [log.losses[part] for part in parts]
    return (
        np.array([log.steps[part].mean() for part in parts]),
        np.array([part.mean() for part in losses]),
        np.array([np.quantile(part, 0.25) for part in losses]),
        np.array([np.quantile(part, 0.75) for part in losses]),
    )


def caption(log: TrainingLog) -> str:
    """The figure's caption; plain text without a full stop."""
    last = int(max(log.steps[-1], *log.validation_steps[-1:]))
    words = (
        f"Training loss of OptiFormer over {plural(last, 'step')} ({number(log.seconds / 60)} minutes): "
        "mean and quartiles of the batches in windows of a fiftieth of the steps"
    )
    if not len(log.validation_steps):
        return words
    best = int(np.argmin(log.validation_losses))
    return (
        f"{words}; the validation loss, on data of its own, is lowest after step {int(log.validation_steps[best]):,}, "
        f"at {number(float(log.validation_losses[best]))}"
    )


def training_figure(log: TrainingLog) -> Figure:
    """Training and validation loss against the step."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from optibench_reports.figures.axes import COLUMN
    from optibench_reports.figures.style import BLUE, RC, VERMILION

    with rc_context(cast(Any, RC)):
        figure = Figure(figsize=(COLUMN, 2.3), layout="constrained")
        axis = figure.subplots()
        steps, mean, low, high = smoothed(log)
        axis.fill_between(steps, low, high, color=BLUE, alpha=0.15, linewidth=0)
        axis.plot(steps, mean, color=BLUE, label="training")
        if len(log.validation_steps):
            axis.plot(
                log.validation_steps,
                log.validation_losses,
                color=VERMILION,
                marker="o",
                markersize=3,
                markeredgecolor="white",
                markeredgewidth=0.3,
                label="validation",
            )
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.margins(x=0.02)
        axis.set_xlabel("training step")
        axis.set_ylabel("loss (nats per token)")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def training_curve(log: Path, path: Path) -> str:
    """Draw the training curve of a ``log.jsonl`` as PDF and PNG; ``path`` is without a suffix. Returns the caption.

    Raises:
        ReportError: As :func:`read_log`.
    """
    from optibench_reports.figures.axes import save

    found = read_log(log)
    save(training_figure(found), path)
    return caption(found)

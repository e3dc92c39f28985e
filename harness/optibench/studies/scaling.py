"""Scaling laws: trains networks, fits a power law of held-out loss against size or training, and draws it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench.errors import HarnessError

if TYPE_CHECKING:
    from optiformer.training.config import RunConfig

#: The quantities a fit may be against, with their labels in the figure and the table.
AXES = {"parameters": "parameters", "positions": "positions trained on", "minutes": "minutes of training"}

#: Settings of a training that its held-out batches depend on.
VALIDATED = ("seed", "batch_tokens", "validation_batches")


@dataclass(frozen=True)
class Point:
    """One trained configuration.

    Attributes:
        name: The configuration's name.
        parameters: Size of the network.
        positions: Positions (trials and candidates, or tokens) it was trained on.
        minutes: Training time on the machine that trained it.
        loss: Held-out loss, nats.
    """

    name: str
    parameters: int
    positions: int
    minutes: float
    loss: float


def measure(configs: Sequence[str]) -> list[Point]:
    """Train the configurations that are not trained yet, and read all results.

    Raises:
        HarnessError: A configuration is wrong, there are too few, or two are validated on different functions (then
            nothing is trained); or a training failed.
    """
    from optiformer.errors import ModelError
    from optiformer.files import CONFIG
    from optiformer.training.cache import train_cached
    from optiformer.training.config import RunConfig

    points = []
    try:
        runs = {name: RunConfig.load(name) for name in configs}
        _refuse_unlike(runs)
        for name in runs:
            info = json.loads((train_cached(name).checkpoint / CONFIG).read_text())["info"]
            minutes = float(info["training_minutes"])
            points.append(Point(name, info["parameters"], info["tokens"], minutes, info["validation_loss"]))
    except ModelError as error:
        raise HarnessError(str(error)) from error
    return points


def _refuse_unlike(runs: Mapping[str, RunConfig]) -> None:
    if len(runs) < 3:
        raise HarnessError(f"A fit needs at least 3 different configurations, not {', '.join(runs)}.")
    judged = {name: held_out(json.loads(json.dumps(asdict(run)))) for name, run in runs.items()}
    first = next(iter(runs))
    for name in runs:
        if judged[name] != judged[first]:
            raise HarnessError(
                f"{name} and {first} are validated on different functions, so their losses cannot be compared: give "
                "both the same prior, encoding, seed and batch size."
            )


def held_out(run: Mapping[str, Any]) -> list[Any]:
    """The settings that determine the functions a run is validated on."""
    from optiformer.surrogate.config import OF_THE_NETWORK

    surrogate = run["surrogate"]
    encoding = {key: value for key, value in surrogate.items() if key not in OF_THE_NETWORK}
    columns = max(surrogate["slots"], *surrogate["prior"]["dimensions"])
    return [run["encoding"], encoding, columns, run["data"], *(run["train"][key] for key in VALIDATED)]


def write(points: Sequence[Point], against: str, folder: Path) -> str:
    """Write the table, the fit and the figure; returns what to print.

    Args:
        points: At least 3.
        against: A key of :data:`AXES`.
        folder: The folder for ``scaling.md``, ``scaling.csv``, ``scaling.png`` and ``scaling.pdf``.

    Raises:
        ReportError: No fit to the points is possible.
    """
    import pandas as pd

    from optibench_reports.format.text import write_csv
    from optibench_reports.studies.scaling import power_law, scaling_figure

    x, loss = [getattr(point, against) for point in points], [point.loss for point in points]
    fit = power_law(x, loss)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(pd.DataFrame(points), folder / "scaling.csv")
    figure = scaling_figure(x, loss, fit, size=AXES[against], value="held-out loss (nats)")
    for suffix in ("png", "pdf"):
        figure.savefig(
            folder / f"scaling.{suffix}", dpi=200, metadata={"CreationDate": None} if suffix == "pdf" else {}
        )
    lines = [
        "| configuration | parameters | positions | minutes | held-out loss |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {p.name} | {p.parameters:,} | {p.positions:,} | {p.minutes:.1f} | {p.loss:.3f} |" for p in points]
    expected = ", ".join(f"{factor}x: {float(fit(factor * max(x))):.3f}" for factor in (10, 100))
    text = "\n".join(lines) + (
        f"\n\nLoss against {AXES[against]}: exponent {fit.slope:.4f} [{fit.low:.4f}, {fit.high:.4f}] (95%, "
        f"{fit.n} points, r2 {fit.r2:.2f}). Extrapolated from the largest point: {expected}. The fit has no "
        "irreducible term, so far extrapolations are too optimistic.\n"
    )
    (folder / "scaling.md").write_text(text)
    return text

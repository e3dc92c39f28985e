"""Variants trained with the same seeds: differences, their intervals and significance.

The unit of a grid's report is the task; here it is the seed, because there is one task. The question is whether a
difference between two variants would persist with other seeds. Pairs share their seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from scipy import stats

from optibench_reports.data.results import ReportError
from optibench_reports.data.score_array import Floats
from optibench_reports.format.text import markdown_escape, write_csv
from optibench_reports.stats.effect_sizes import PairedT, paired_t
from optibench_reports.stats.tests import holm

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("variant", "seed", "epoch", "value", "error")


@dataclass(frozen=True)
class Measured:
    """What a report says about the value of a training.

    Attributes:
        value: What it is, with its unit.
        step: Name of an epoch.
        direction: ``minimize`` or ``maximize``: what is best stands first.
        metrics: Further columns of the table of trainings, each with a table of its own.
    """

    value: str = "value"
    step: str = "epoch"
    direction: Literal["minimize", "maximize"] = "minimize"
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval by Student's t; NaN where there are too few values."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> Interval:
        """That of (n,) independent values."""
        n = len(values)
        mean = float(values.mean()) if n else math.nan
        half = float(stats.t.ppf(0.975, n - 1) * stats.sem(values)) if n > 1 else math.nan
        return cls(mean, mean - half, mean + half)

    def text(self, sign: str = "") -> str:
        """The mean and the interval; ``sign`` is ``+`` for differences."""
        return f"{self.mean:{sign}.4f} [{self.low:{sign}.4f}, {self.high:{sign}.4f}]"


@dataclass(frozen=True)
class Row:
    """One variant against the control.

    Attributes:
        variant: Its name.
        n: Seeds with a value.
        failed: Seeds without.
        value: Of the last epoch's values.
        difference: Of the differences from the control with the same seed; NaN for the control itself or with fewer
            than two pairs.
        test: The paired t test and Cohen's d of these differences.
        p_holm: Its p, corrected by Holm over all variants.
    """

    variant: str
    n: int
    failed: int
    value: Interval
    difference: Interval
    test: PairedT
    p_holm: float = math.nan


def compare(
    trained: pd.DataFrame, control: str, *, direction: Literal["minimize", "maximize"] = "minimize"
) -> list[Row]:
    """Compare every variant with one, the best first.

    Args:
        trained: One row for each epoch of each training, with :data:`COLUMNS`; a training that failed has no value.
        control: The variant that the others are compared with.
        direction: Of the values.

    Raises:
        ReportError: A column is missing, or the control has no values.
    """
    last = final(trained)
    if control not in last.index or last.loc[control].isna().all():
        raise ReportError(f"The control {control!r} has no trainings to compare with.")
    rows = []
    for variant in last.index:
        known = last.loc[variant].dropna().to_numpy(dtype=float)
        pairs = (last.loc[variant] - last.loc[control]).dropna().to_numpy(dtype=float)
        if variant == control or len(pairs) < 2:
            pairs = np.full(2, math.nan)  # no interval, no test
        failed = last.shape[1] - len(known)
        rows.append(Row(str(variant), len(known), failed, Interval.of(known), Interval.of(pairs), paired_t(pairs)))
    p = np.array([row.test.p for row in rows])
    tested = ~np.isnan(p)
    p[tested] = holm(p[tested]) if tested.any() else ()
    rows = [replace(row, p_holm=float(corrected)) for row, corrected in zip(rows, p, strict=True)]
    sign = 1 if direction == "minimize" else -1
    return sorted(rows, key=lambda row: (row.n == 0, sign * row.value.mean))


def final(trained: pd.DataFrame) -> pd.DataFrame:
    """The last epoch's values: a row for each variant, a column for each seed, NaN where a training failed.

    Raises:
        ReportError: A column is missing.
    """
    missing = [name for name in COLUMNS if name not in trained.columns]
    if missing:
        raise ReportError(f"The table of trainings has no column {', '.join(missing)}.")
    last = trained.sort_values("epoch").groupby(["variant", "seed"], sort=False).tail(1)
    wide = last.pivot(index="variant", columns="seed", values="value")
    return wide.loc[list(dict.fromkeys(trained["variant"]))]


def markdown(rows: list[Row]) -> str:
    """The comparison as a Markdown table."""
    lines = [
        "| variant | seeds | value | difference | t | p (Holm) | Cohen's d |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        seeds = f"{row.n}" + (f" ({row.failed} failed)" if row.failed else "")
        cells = [markdown_escape(row.variant), seeds, row.value.text() if row.n else "none", "", "", "", ""]
        if not math.isnan(row.difference.mean):
            cells[3] = row.difference.text("+")
        if not math.isnan(row.test.t):  # all seeds may have the same difference
            cells[4:] = [f"{row.test.t:.1f}", f"{row.p_holm:.2g}", f"{row.test.d:+.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write(trained: pd.DataFrame, out: Path, *, control: str, measured: Measured = Measured(), note: str = "") -> str:
    """Write the comparison: ``variants.md``, ``variants.csv``, ``box.png`` and ``curves.png``.

    Args:
        trained: As in :func:`compare`, with the metrics in the last row of each training.
        out: The folder; files of that name in it are replaced.
        control: The variant that the others are compared with.
        measured: What the report says about the value.
        note: Text below the tables.

    Returns:
        The Markdown.

    Raises:
        ReportError: See :func:`compare`.
    """
    rows = compare(trained, control, direction=measured.direction)
    order = {row.variant: place for place, row in enumerate(rows)}
    parts = [
        f"After the last {measured.step}, {measured.value}, with 95 % intervals over seeds; differences from "
        f"{control}, paired by seed.",
        markdown(rows),
    ]
    for metric in measured.metrics:
        found = compare(trained.assign(value=trained[metric]), control)
        parts += [f"{metric}:", markdown(sorted(found, key=lambda row: order[row.variant]))]
    if "parameters" in trained:
        sizes = dict.fromkeys(f"{size:,.0f}" for size in trained["parameters"].agg(["min", "max"]))
        parts.append(f"Networks of {' to '.join(sizes)} parameters.")
    parts += [note] if note else []
    text = "\n\n".join(parts)
    out.mkdir(parents=True, exist_ok=True)
    images = "\n\n![Values by variant, and differences](box.png)\n\n![Training curves](curves.png)\n"
    (out / "variants.md").write_text(text + images, encoding="utf-8")
    write_csv(trained, out / "variants.csv")
    from matplotlib import rc_context

    from optibench_reports.figures.style import RC

    with rc_context(cast(Any, RC)):
        _boxes(trained, rows, control, out / "box.png", measured.value)
        _curves(trained, [row.variant for row in rows if row.n], out / "curves.png", measured)
    return text


def _boxes(trained: pd.DataFrame, rows: Sequence[Row], control: str, path: Path, value: str) -> None:
    """Values, and the tested differences from the control with the same seed."""
    from matplotlib.figure import Figure

    from optibench_reports.figures.axes import short
    from optibench_reports.figures.style import BLUE

    last = final(trained)
    shown = [row for row in rows if row.n]
    figure = Figure(figsize=(8, 0.36 * len(shown) + 1.0), layout="constrained")
    absolute, differences = figure.subplots(1, 2, sharey=True)
    names = [short(row.variant, 44) for row in shown]
    absolute.boxplot([last.loc[row.variant].dropna() for row in shown], orientation="horizontal", tick_labels=names)
    differences.axvline(0, color="#888888", linewidth=0.8)
    for place, row in enumerate(shown, start=1):
        values = last.loc[row.variant]
        absolute.plot(values, [place] * len(values), "o", markersize=3, alpha=0.6, color="black")
        if math.isnan(row.difference.mean):
            continue
        pairs = values - last.loc[control]
        differences.plot(pairs, [place] * len(pairs), "o", markersize=3, alpha=0.6, color="black")
        differences.plot([row.difference.low, row.difference.high], [place, place], color=BLUE, linewidth=1.6)
        differences.plot(row.difference.mean, place, "D", markersize=5, color=BLUE, markeredgecolor="white")
    absolute.invert_yaxis()
    absolute.set_xlabel(value)
    differences.set_xlabel(f"difference from {short(control, 34)}")
    differences.set_title("by seed, their mean and its 95% interval")
    absolute.set_title("seeds")
    differences.tick_params(left=False)
    figure.savefig(path, dpi=150, metadata={"Software": None})


def _curves(trained: pd.DataFrame, order: list[str], path: Path, measured: Measured) -> None:
    """Means over seeds; the other figure shows how seeds differ."""
    from optibench_reports.figures.axes import framed, trace
    from optibench_reports.figures.style import styles

    looks = styles(order)
    figure, axes = framed(order, looks, width=7, height=3.4)
    axis = axes[0, 0]
    for place, variant in enumerate(order):
        known = trained[(trained["variant"] == variant) & trained["value"].notna()]
        mean = known.groupby("epoch")["value"].mean()
        trace(axis, mean.index.to_numpy(), mean.to_numpy(), looks[variant], offset=place)
    axis.set_xlabel(measured.step)
    axis.set_ylabel(f"{measured.value}, mean over seeds")
    figure.savefig(path, dpi=150, metadata={"Software": None})

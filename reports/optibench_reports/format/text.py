"""Numbers and names as text, and tables that know no output format."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

MISSING = "—"
MODEL_FROM = "model from"
MODEL_FROM_NOTE = (
    f"Model from: the trial from which a model, or a second generation, suggests; {MISSING} if it has neither, or does "
    "not say"
)
"""A column of tables, and what it means."""
SIMILAR = "≈"


@dataclass(frozen=True)
class Cell:
    """One cell of a table: plain text; ``bold`` for the best, ``similar`` for one not significantly worse."""

    text: str
    bold: bool = False
    similar: bool = False


@dataclass(frozen=True)
class Table:
    """A table as text, and its numbers.

    Attributes:
        name: File name without a suffix.
        title: One line.
        note: Explanation for the reader; may be empty.
        header: Column names.
        rows: As long as the header each.
        data: The same as tidy numbers, for the CSV file.
        labels: How many leading columns are text and left-aligned.
    """

    name: str
    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    data: pd.DataFrame
    labels: int = 1


def number(x: float) -> str:
    """About three significant digits: ``0.0106``, ``1.23``, ``4.1e-05``; a dash for NaN."""
    if math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "∞" if x > 0 else "-∞"
    style = _style(x)
    return "0" if x == 0 else format(x, style)


def times(ratio: float) -> str:
    """A ratio with two significant digits: ``0.013``, ``1.0``, ``45``, ``1,300``; a dash for NaN."""
    if math.isnan(ratio):
        return MISSING
    rounded = float(f"{ratio:.1e}")
    return f"{rounded:,.{max(0, 1 - math.floor(math.log10(rounded)))}f}"


def _style(x: float) -> str:
    size = abs(x)
    if size == 0:
        return ".4f"
    if size < 5e-4 or size >= 1e5:
        return ".1e"
    return ".4f" if size < 0.1 else ".3f" if size < 1 else ".2f" if size < 10 else ".1f" if size < 1000 else ".0f"


def plus_minus(x: float, half: float) -> str:
    """``0.0106 ± 0.0012``, both with the same decimals; without the second part where there is no interval."""
    if math.isnan(x) or math.isnan(half):
        return number(x)
    style = _style(x)
    if half > 0 and float(format(half, style)) == 0:
        return f"{number(x)} ± {half:.0e}"
    return f"{number(x)} ± {'0' if half == 0 else format(half, style)}"


def bracket(x: float, low: float, high: float) -> str:
    """``0.0106 [0.0049, 0.0171]``."""
    if math.isnan(x) or math.isnan(low):
        return number(x)
    return f"{number(x)} [{number(low)}, {number(high)}]"


def rank(x: float) -> str:
    """A mean rank with two decimals."""
    return MISSING if math.isnan(x) else f"{x:.2f}"


def p_value(p: float) -> str:
    """``0.023``, ``< 0.0001``."""
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.01 else f"{p:.3f}" if p < 0.9995 else "1"


def plural(n: int, noun: str) -> str:
    """``1 task``, ``3 tasks``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def join_names(names: list[str], most: int = 8) -> str:
    """``a, b and c``, cut after ``most`` names with the number of the others."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def shortened(text: str, most: int) -> str:
    """A text of at most ``most`` letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


# A bracket needs escaping only where it would start a link's target.
_SPECIAL = re.compile(r"([\\`*_|~#$]|\](?=[(\[:]))")


def markdown_escape(text: str) -> str:
    """Text that Markdown shows literally, on one line, also inside a table."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured Markdown table."""

    def show(cell: Cell) -> str:
        text = markdown_escape(cell.text)
        return f"**{text}**" if cell.bold else f"{text} {SIMILAR}" if cell.similar else text

    lines = [[markdown_escape(name) for name in table.header]]
    lines.append(["---" if column < table.labels else "---:" for column in range(len(table.header))])
    lines.extend([show(cell) for cell in row] for row in table.rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV; a text that a spreadsheet would run as a formula gets an apostrophe before it."""
    plain = frame.rename(columns=lambda name: _inert(str(name)))
    for place, kind in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            plain.isetitem(place, frame.iloc[:, place].astype(object).map(_inert).to_numpy())
    plain.to_csv(path, index=False, lineterminator="\n")


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

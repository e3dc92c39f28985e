"""Ticks of short logarithmic axes: plain numbers (3.85, 300k), as many as fit side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

_SUBDIVISIONS = ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LETTER = 0.68  # width of one in DejaVu Sans, in font sizes
_APART = 0.8  # between two labels, in font sizes


def words(value: float) -> str:
    """The number in few letters: ``3.85``, ``300k``, ``1.2M``, ``7B``, ``1e+18``."""
    for size, suffix in _SUFFIXES:
        if size <= value < 1000 * size:
            return f"{value / size:.6g}{suffix}"
    return f"{value:.6g}"


def power_ticks(axis: Axis, base: int = 10) -> None:
    """Label a logarithmic axis with powers (10⁻³) as plain text: matplotlib's own are formulas, slow to typeset."""

    def label(value: float, _: int | None) -> str:
        power = math.log(value, base)
        if abs(power - round(power)) > 1e-6:
            return words(value)
        return f"{base}{str(round(power)).translate(_SUPERSCRIPTS)}"

    axis.set_major_formatter(FuncFormatter(label))
    axis.set_minor_formatter(NullFormatter())


def plain_log_ticks(axis: Axis, length: float, font: float = 7.0) -> None:
    """Label a logarithmic axis, once the curves are drawn, with plain numbers that do not overlap.

    Matplotlib's own labels are powers of ten; on an axis of less than a decade they are ``4.05 x 10^0`` and collide.

    Args:
        axis: ``axes.xaxis`` or ``axes.yaxis``; its limits are fixed hereby.
        length: Of the axis, in points (1/72 inch), at least.
        font: Size of its labels in points.
    """
    low, high = sorted(axis.get_view_interval())
    horizontal = isinstance(axis, XAxis)
    axis.axes.set_autoscale_on(False)  # a tick outside would widen the view
    best: list[float] = []
    for ticks in _candidates(float(low), float(high)):
        labels = [words(tick) for tick in ticks]
        letters = max(map(len, labels), default=0) * _LETTER if horizontal else 1.2
        gap = font * (letters + _APART) / length * math.log(high / low)
        fit = all(math.log(b / a) >= gap for a, b in pairwise(ticks))
        if len(ticks) > len(best) and fit and len(set(labels)) == len(labels):
            best = ticks
    axis.set_major_locator(FixedLocator(best))
    axis.set_major_formatter(FixedFormatter([words(tick) for tick in best]))
    axis.set_minor_formatter(NullFormatter())


def _candidates(low: float, high: float) -> Iterator[list[float]]:
    """Ascending ticks between the limits: subdivided decades, every few decades, then equal steps."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    wanted = [[sub * 10.0**power for power in range(first, last + 1) for sub in subs] for subs in _SUBDIVISIONS]
    wanted += [[10.0**power for power in range(first, last + 1) if power % step == 0] for step in (2, 3, 5, 10, 50)]
    wanted += [list(MaxNLocator(nbins=n, steps=[1, 2, 5, 10]).tick_values(low, high)) for n in range(8, 0, -1)]
    for ticks in wanted:
        yield [float(tick) for tick in ticks if low <= tick <= high]

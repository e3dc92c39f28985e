"""The critical-difference diagram with Wilcoxon-Holm cliques."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from optibench_reports.figures.axes import COLUMN, marker_size, short
from optibench_reports.figures.style import Style
from optibench_reports.format.text import rank
from optibench_reports.stats.comparison import Aggregate, Comparison
from optibench_reports.tables.significance import significant

MAX_LETTERS = 16
"""Letters of a name that the diagram shows."""
LETTER = 0.05
"""Width of a letter of these names, in inches."""
ROOM = 0.24
"""Between the axis and the names, for the mean ranks, in inches."""


def cliques(found: Aggregate, tests: Comparison) -> list[tuple[int, int]]:
    """Largest groups of neighbours by mean rank of which no two differ significantly.

    Source: Demsar (2006), "Statistical comparisons of classifiers over multiple data sets", JMLR 7, with the pairwise
    signed-rank tests that Benavoli, Corani and Mangili (2016), "Should we really use post-hoc tests based on
    mean-ranks?", JMLR 17, advise instead of Nemenyi's.

    A pair that no bar joins need not differ (its neighbours may), so the table of pairs decides.

    Returns:
        (first, last) positions in the order of mean ranks, at least two optimizers each. A pair that was not tested
        (a family with a control) counts as different.
    """
    order = np.argsort(found.rank, kind="stable")
    place = {int(found.selection.optimizers[i]): position for position, i in enumerate(order)}
    same = {
        (min(place[pair.a], place[pair.b]), max(place[pair.a], place[pair.b]))
        for pair in tests.pairs
        if not significant(tests, pair.p_holm)
    }
    groups: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and all((i, last + 1) in same for i in range(first, last + 1)):
            last += 1
        if last > first and not any(start <= first and last <= end for start, end in groups):
            groups.append((first, last))
    return groups


def critical_difference(
    found: Aggregate, groups: Sequence[tuple[int, int]], optimizers: Sequence[str], looks: Mapping[str, Style]
) -> Figure:
    """Draw mean ranks on a line, names to both sides, cliques as bars."""
    order = np.argsort(found.rank, kind="stable")
    ranks, names = found.rank[order], [optimizers[found.selection.optimizers[i]] for i in order]
    k = len(names)
    left = (k + 1) // 2
    bars = 0.17 * len(groups)
    step = 0.2
    height = 0.45 + bars + step * left + 0.1
    figure = Figure(figsize=(COLUMN, height))
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.set_axis_off()
    axis.set_xlim(0, COLUMN)
    axis.set_ylim(height, 0)
    shown = [short(name, MAX_LETTERS) for name in names]
    # The axis gets the width between the names on both sides.
    start = LETTER * max(map(len, shown[:left])) + ROOM + 0.1
    end = COLUMN - LETTER * max(map(len, shown[left:])) - ROOM - 0.1

    def x(value: float) -> float:
        return start + (value - 1) / (k - 1) * (end - start)

    line = 0.34
    axis.plot([start, end], [line, line], color="black", linewidth=1)
    for tick in range(1, k + 1):
        axis.plot([x(tick), x(tick)], [line - 0.06, line], color="black", linewidth=0.8)
        if k <= 9 or tick % 2 == 1:
            axis.text(x(tick), line - 0.09, str(tick), ha="center", va="bottom", fontsize=7)
    for index, (first, last) in enumerate(groups):
        y = line + 0.13 + 0.17 * index
        axis.plot([x(ranks[first]) - 0.04, x(ranks[last]) + 0.04], [y, y], color="#333333", linewidth=3)
    for position, name in enumerate(names):
        row = position if position < left else k - 1 - position
        y = line + 0.18 + bars + step * row
        look = looks[name]
        edge = start - ROOM if position < left else end + ROOM
        axis.plot([x(ranks[position])] * 2 + [edge], [line, y, y], color=look.colour, linestyle=look.line, linewidth=1)
        axis.plot([x(ranks[position])], [line], marker=look.marker, color=look.colour, markersize=marker_size(look))
        side, other, outward = ("right", "left", -0.03) if position < left else ("left", "right", 0.03)
        axis.text(edge + outward, y, shown[position], ha=side, va="center", fontsize=6.5)
        # The mean rank is on its line, at the outer end, where no other line passes.
        axis.text(edge, y - 0.01, rank(ranks[position]), ha=other, va="bottom", fontsize=5.5)
    return figure

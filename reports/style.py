"""One colour, marker and line style per optimizer, the same in every figure of every report.

Colours are Okabe and Ito's (2008, "Color Universal Design"), without the yellow that vanishes on white, and a grey.
Known optimizers have fixed styles: one hue a method, so a colour alone never has to tell more than eight things apart.
A variant (``tpe:group=true``) keeps its method's hue; any other name takes a style that depends on the name, and moves
on only where that is taken.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GREY, BLACK, ORANGE, SKY = "#7f7f7f", "#000000", "#E69F00", "#56B4E9"
GREEN, BLUE, VERMILION, PURPLE = "#009E73", "#0072B2", "#D55E00", "#CC79A7"
SOLID, DASHED, DOTTED, DASHDOT = "-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2))

COLOURS = (SKY, BLACK, PURPLE, ORANGE, VERMILION, GREEN, BLUE, GREY)
LINES: tuple[Any, ...] = (SOLID, DASHED, DOTTED, DASHDOT)
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "h", "<", ">", "p", "*")


@dataclass(frozen=True)
class Style:
    """How an optimizer looks: a colour, a marker and a matplotlib line style."""

    colour: str
    marker: str
    line: Any


KNOWN = {
    "random": Style(GREY, "o", SOLID),
    "sobol": Style(GREY, "s", DASHED),
    "tpe": Style(BLUE, "^", SOLID),
    "tpe-univariate": Style(BLUE, "v", DASHED),
    "cmaes": Style(ORANGE, "D", SOLID),
    "gp-botorch": Style(GREEN, "P", SOLID),
    "gp-skopt": Style(GREEN, "X", DASHED),
    "gp-optuna": Style(GREEN, "h", DASHDOT),
    "smac-rf": Style(PURPLE, "<", SOLID),
    "smac-gp": Style(PURPLE, ">", DASHED),
    "optiformer": Style(VERMILION, "*", SOLID),
}


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A distinct style for each name (while there are styles left)."""
    result: dict[str, Style] = {}
    names = sorted(set(names), key=lambda name: (name not in KNOWN, name))
    for name in names:
        if name in KNOWN:
            result[name] = KNOWN[name]
            continue
        start = zlib.crc32(name.encode())
        parent = KNOWN.get(name.partition(":")[0])
        colours = (parent.colour,) if parent else COLOURS
        # Neighbouring numbers change everything at once: 8 colours, then 4 lines, 12 markers.
        choices = [
            Style(colours[i % len(colours)], MARKERS[i % len(MARKERS)], LINES[(i // len(colours)) % len(LINES)])
            for i in range(start, start + 96)
        ]
        taken = set(result.values())
        looks = {(style.colour, style.line) for style in taken}
        free = [style for style in choices if style not in taken]
        clear = [style for style in free if (style.colour, style.line) not in looks]
        result[name] = (clear or free or choices)[0]
    return result


RC = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "svg.hashsalt": "optibench",
    "path.simplify": True,
}
"""Legible at one column (3.4 inches); TrueType fonts in the PDF, as publishers ask."""

"""One colour, marker and line style per optimizer, the same in every figure of every report.

Hues are Okabe and Ito's (2008, "Color Universal Design"), without the yellow that vanishes on white, then Paul Tol's
"muted". Known optimizers have fixed styles: one hue per method, in a light, a plain and a dark shade, so that few
hues suffice. A variant (``tpe:group=true``) keeps its method's hue; any other name gets a style that depends on the
name, or the next one if it is taken.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GREY, BLACK, ORANGE, SKY = "#9a9a9a", "#000000", "#E69F00", "#56B4E9"
GREEN, BLUE, VERMILION, PURPLE = "#009E73", "#0072B2", "#D55E00", "#CC79A7"
INDIGO, OLIVE, WINE, SAND = "#332288", "#999933", "#882255", "#DDCC77"
SOLID, DASHED, DOTTED, DASHDOT = "-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2))

COLOURS = (BLACK, OLIVE, WINE, INDIGO, SAND, SKY, ORANGE, VERMILION)
LINES: tuple[Any, ...] = (SOLID, DASHED, DOTTED, DASHDOT)
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "h", "<", ">", "p", "*")
VARIANT_MARKERS = ("p", "d", "8", "H")


@dataclass(frozen=True)
class Style:
    """An optimizer's style: a colour, a marker and a matplotlib line style."""

    colour: str
    marker: str
    line: Any


KNOWN = {
    "random": Style(GREY, "o", SOLID),
    "sobol": Style("#555555", "s", DASHED),
    "tpe": Style(BLUE, "^", SOLID),
    "tpe-univariate": Style(SKY, "v", DASHED),
    "cmaes": Style(ORANGE, "D", SOLID),
    "gp-botorch": Style(GREEN, "P", SOLID),
    "gp-skopt": Style("#00543d", "X", DASHED),
    "gp-optuna": Style("#62c8a8", "h", DASHDOT),
    "smac-rf": Style(PURPLE, "<", SOLID),
    "smac-gp": Style("#8a4a70", ">", DASHED),
    "optiformer": Style(VERMILION, "*", SOLID),
}


def mix(colour: str, other: str, share: float = 0.45) -> str:
    """A colour with ``share`` of another one, both as ``#rrggbb``."""
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round((1 - share) * a + share * b) for a, b in pairs).hex()


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, 0 to 1. Source: W3C (2018), WCAG 2.1, "relative luminance"."""
    parts = [part / 255 for part in bytes.fromhex(colour[1:])]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def lighten(colour: str, ground: str, contrast: float = 4.5) -> str:
    """The colour, mixed with the least white for this contrast to a dark ``ground``.

    ``(L1 + 0.05) / (L2 + 0.05)`` of the luminances; WCAG 2.1 asks 3 of graphics (1.4.11), and thin lines deserve more.
    """
    for percent in range(0, 100, 5):
        lighter = mix(colour, "#ffffff", percent / 100)
        if (luminance(lighter) + 0.05) / (luminance(ground) + 0.05) >= contrast:
            return lighter
    return "#ffffff"


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
        colours = (mix(parent.colour, "#000000"),) if parent else COLOURS
        markers = VARIANT_MARKERS if parent else MARKERS
        # Neighbouring numbers change everything at once: 8 colours, then 4 lines, 12 markers.
        choices = [
            Style(colours[i % len(colours)], markers[i % len(markers)], LINES[(i // len(colours)) % len(LINES)])
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

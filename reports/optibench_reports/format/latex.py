"""Tables as booktabs LaTeX, safe for any name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from optibench_reports.format.text import Cell, Table

PART = 40
"""Rows on a page: a longer table is split, because LaTeX cannot scale a table that breaks across pages."""

STACKED = 125
"""Letters of a row that fit the width of a page in a readable size."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "−": r"$-$",
    "∞": r"$\infty$",
    "Δ": r"$\Delta$",
    "α": r"$\alpha$",
    "—": r"---",
    "×": r"$\times$",
}

_MINUS = re.compile(r"(?<![\w.)-])-(?=[.\d])")


def escape(text: str) -> str:
    """Text that LaTeX prints literally; letters without a glyph lose their accents or become ``?``."""
    result = []
    # A number's minus, not a hyphen at which a line may break.
    for character in _MINUS.sub("−", " ".join(text.split())):
        if character in _SPECIAL:
            result.append(_SPECIAL[character])
        elif character.isascii():
            result.append(character if character.isprintable() else "?")
        else:
            plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
            result.append("".join(_SPECIAL.get(letter, letter) for letter in plain) or "?")
    return "".join(result)


def _cell(cell: Cell, stacked: bool) -> str:
    text = escape(cell.text)
    estimate, interval, rest = text.partition(" [")
    if stacked and interval:
        estimate = rf"\textbf{{{estimate}}}" if cell.bold else estimate
        return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{estimate}\\[-2pt]{{\scriptsize [{rest}}}\end{{tabular}}"
    if cell.bold:
        return rf"\textbf{{{text}}}"
    return rf"{text}$^{{\approx}}$" if cell.similar else text


def width(table: Table) -> int:
    """Approximate letters of a row: the widest cell of each column, and two between columns."""
    rows = [table.header, *([cell.text for cell in row] for row in table.rows)]
    return sum(max(len(row[column]) for row in rows) + 2 for column in range(len(table.header)))


def to_latex(table: Table, *, environment: str = "table") -> str:
    """One table to ``\\input``, in parts of ``PART`` rows; needs the packages booktabs, graphicx and textcomp.

    In a table wider than ``STACKED`` letters each interval is below its estimate; otherwise the table would be
    illegible at the page's width.

    Args:
        table: What to write.
        environment: ``table``, or ``table*`` for one as wide as both columns of a page.
    """
    stacked = width(table) > STACKED
    parts = [table.rows[start : start + PART] for start in range(0, len(table.rows), PART)]
    lines = ["% needs \\usepackage{booktabs,graphicx,textcomp} and \\usepackage[T1]{fontenc}"]
    for index, rows in enumerate(parts):
        words = escape(f"{table.title}. {table.note}" if table.note else table.title)
        caption = rf"\caption{{{words}}}\label{{tab:{table.name.replace('_', '-')}}}"
        if index:
            caption = rf"\caption{{{escape(table.title)}, part {index + 1} of {len(parts)}}}"
        lines += [
            rf"\begin{{{environment}}}[htbp]\centering\small",
            caption,
            # Shrunk to the text's width if wider; never enlarged.
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{'l' * table.labels + 'r' * (len(table.header) - table.labels)}}}",
            r"\toprule",
            " & ".join(escape(name) for name in table.header) + r" \\",
            r"\midrule",
            *(" & ".join(_cell(cell, stacked) for cell in row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}}",
            rf"\end{{{environment}}}",
        ]
    return "\n".join(lines) + "\n"


def document(names: Sequence[str]) -> str:
    """A complete document that shows the named table files, to compile next to them."""
    inputs = "\n".join(rf"\input{{{name}}}" + "\n" + r"\clearpage" for name in names)
    return rf"""\documentclass[10pt]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage[utf8]{{inputenc}}
\usepackage[margin=1.5cm]{{geometry}}
\usepackage{{booktabs,graphicx,textcomp}}
\begin{{document}}
{inputs}
\end{{document}}
"""

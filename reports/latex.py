"""Tables as booktabs LaTeX, safe for any name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from reports.text import Cell, Table

LONG = 40
"""More rows than this go to a ``longtable``, which breaks over pages."""
WIDE = 6
"""More columns than this are scaled to the width of the text."""

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


def escape(text: str) -> str:
    """Text that LaTeX typesets as it is; letters it has no glyph for lose their accents or become ``?``."""
    result = []
    for character in " ".join(text.split()):
        if character in _SPECIAL:
            result.append(_SPECIAL[character])
        elif character.isascii():
            result.append(character if character.isprintable() else "?")
        else:
            plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
            result.append("".join(_SPECIAL.get(letter, letter) for letter in plain) or "?")
    return "".join(result)


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.bold:
        return rf"\textbf{{{text}}}"
    return rf"{text}$^{{\approx}}$" if cell.similar else text


def to_latex(table: Table) -> str:
    """One table to ``\\input``; needs the packages booktabs, graphicx, longtable and textcomp."""
    columns = "l" * table.labels + "r" * (len(table.header) - table.labels)
    caption = (
        rf"{escape(table.title)}{'.' if table.note and not table.title.endswith('.') else ''} {escape(table.note)}"
    )
    caption = rf"\caption{{{caption.strip()}}}\label{{tab:{table.name.replace('_', '-')}}}"
    header = " & ".join(escape(name) for name in table.header) + r" \\"
    body = [" & ".join(_cell(cell) for cell in row) + r" \\" for row in table.rows]
    packages = "% needs \\usepackage{booktabs,graphicx,longtable,textcomp} and \\usepackage[T1]{fontenc}\n"
    if len(table.rows) > LONG:
        lines = [
            r"\begingroup\tiny\setlength{\tabcolsep}{2pt}",
            rf"\begin{{longtable}}{{{columns}}}",
            caption + r"\\",
            r"\toprule",
            header,
            r"\midrule\endfirsthead",
            r"\toprule",
            header,
            r"\midrule\endhead",
            r"\bottomrule\endlastfoot",
            *body,
            r"\end{longtable}",
            r"\endgroup",
        ]
    else:
        wide = len(table.header) > WIDE
        lines = [
            r"\begin{table}[htbp]\centering\small",
            caption,
            *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            header,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}" + ("}" if wide else ""),
            r"\end{table}",
        ]
    return packages + "\n".join(lines) + "\n"


def document(names: Sequence[str]) -> str:
    """A complete document that shows the named table files, to compile next to them."""
    inputs = "\n".join(rf"\input{{{name}}}" + "\n" + r"\clearpage" for name in names)
    return rf"""\documentclass[10pt]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage[utf8]{{inputenc}}
\usepackage[margin=1.5cm]{{geometry}}
\usepackage{{booktabs,graphicx,longtable,textcomp}}
\begin{{document}}
{inputs}
\end{{document}}
"""

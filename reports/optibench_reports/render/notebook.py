"""A report as a notebook shows it: sentences, the table of ranks and the curves; HTML with nothing to run in it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pandas as pd

from optibench_reports.data.results import Results
from optibench_reports.stats.analysis import analyse
from optibench_reports.stats.anytime import curves
from optibench_reports.tables.regret import ranking, ranks_table
from optibench_reports.text.summary import sentences

CURVES = ("anytime_regret", "best_values", "anytime_rank")
"""The figures that are shown, those that there are."""
DPI = 110


def show(results: Results) -> str:
    """What a notebook shows of results of which no report is written.

    Raises:
        ReportError: See :func:`optibench_reports.stats.analysis.analyse`.
    """
    from matplotlib import rc_context

    from optibench_reports.figures.anytime import curve_figures
    from optibench_reports.figures.style import RC, styles

    analysis = analyse(results, at=None, draws=10_000, seed=0)
    names = [analysis.grid.optimizers[o] for o in ranking(analysis)]
    found = {}
    with rc_context(cast(Any, RC)):
        for name, figure, _ in curve_figures(analysis, curves(analysis), names, styles(analysis.grid.optimizers)):
            if name in CURVES:
                content = BytesIO()
                figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
                found[name] = content.getvalue()
    return fragment(sentences(analysis), short(ranks_table(analysis).data), found)


def short(ranks: pd.DataFrame) -> pd.DataFrame:
    """The table of ranks over all tasks as a data frame to look at: the best first."""
    return ranks.drop(columns="family").sort_values(["trials", "mean_rank", "mean_regret"], ignore_index=True)


def fragment(sentences: Sequence[str], table: pd.DataFrame, images: Mapping[str, bytes], foot: str = "") -> str:
    """HTML without scripts.

    Args:
        sentences: Plain text.
        table: Shown with its column names.
        images: PNG files by name.
        foot: A last line.
    """
    words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    shown = table.to_html(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}", border=0, justify="left")
    pictures = "".join(
        f'<img alt="{html.escape(name)}" style="max-width: 700px" '
        f'src="data:image/png;base64,{base64.b64encode(images[name]).decode()}">'
        for name in CURVES
        if name in images
    )
    return f"<div>{words}{shown}{pictures}{f'<p><code>{html.escape(foot)}</code></p>' if foot else ''}</div>"


def drawn(folder: Path) -> dict[str, bytes]:
    """The curves among a report's figures, those that are there."""
    return {name: path.read_bytes() for name in CURVES if (path := folder / f"{name}.png").exists()}

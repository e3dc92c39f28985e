"""Time of ask + tell: from the JSON of pytest-benchmark to a table and a figure; of Optuna studies to tables.

Quantiles are computed from the raw rounds, with linear interpolation (numpy's default; Hyndman and Fan 1996, type 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from optibench_reports.data.results import ReportError
from optibench_reports.format.latex import to_latex
from optibench_reports.format.text import (
    MISSING,
    Cell,
    Table,
    join_names,
    markdown_escape,
    number,
    plural,
    times,
    to_markdown,
    write_csv,
)
from optibench_reports.studies import study_latency
from optibench_reports.studies.latency_cases import BUSY, Latency, names_by_speed, read, read_content
from optibench_reports.studies.latency_figure import draw


def latency_table(found: Latency) -> Table:
    """Every case: p50, p95 and mean, ratios to Optuna's default TPE, and the cold start."""
    rows, data = [], []
    for case in found.cases:
        base = found.baseline(case)
        ratios = (np.nan, np.nan) if base is None else (case.mean / base.mean, case.p50 / base.p50)
        seconds = (case.p50, case.p95, case.mean)
        words = [*(number(1e3 * x) for x in seconds), *(times(x) for x in ratios), number(1e3 * case.cold)]
        sizes = [str(case.d), str(case.n), str(len(case.seconds))]
        rows.append((Cell(case.optimizer), *(Cell(word) for word in (*sizes, *words))))
        data.append((case.optimizer, case.d, case.n, len(case.seconds), *seconds, *ratios, case.cold, case.load))
    names = ("optimizer", "parameters", "past_trials", "rounds", "p50_seconds", "p95_seconds", "mean_seconds")
    return Table(
        name="latency",
        title="Time of one ask + tell",
        note=_note(found),
        header=("optimizer", "D", "n", "rounds", "p50 ms", "p95 ms", "mean ms", "mean / TPE", "p50 / TPE", "cold ms"),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=[*names, "mean_to_tpe", "p50_to_tpe", "cold_seconds", "load_average"]),
    )


def _note(found: Latency) -> str:
    cases = found.cases
    notes = [
        "D parameters, n past trials. Ratios: to Optuna's default TPE at the same D and n in the same run. Cold: "
        "making the optimizer, telling it n trials and its first ask"
    ]
    if found.machine:
        notes.append(f"Measured on {found.machine}")
    alone = [f"n={case.n}, D={case.d}" for case in cases if found.baseline(case) is None]
    if alone:
        notes.append(f"No ratio where TPE was not measured: {join_names(list(dict.fromkeys(alone)))}")
    few = sum(len(case.seconds) < 16 for case in cases)
    if few:
        notes.append(f"Fewer than 16 rounds, so that p95 is close to the slowest: {plural(few, 'case')}")
    load = max((case.load for case in cases if not np.isnan(case.load)), default=0.0)
    if load > BUSY:
        notes.append(f"The machine was busy, load average up to {load:.1f}: trust ratios more than times")
    return ". ".join(notes)


def ratio_table(found: Latency) -> Table:
    """Mean time as a multiple of Optuna's default TPE: optimizers by rows, D and n by columns."""
    places = list(dict.fromkeys((case.d, case.n) for case in found.cases))
    by_place = {(case.optimizer, case.d, case.n): case for case in found.cases}
    rows, data = [], []
    for name in names_by_speed(found):
        cells = [Cell(name)]
        for d, n in places:
            case = by_place.get((name, d, n))
            base = None if case is None else found.baseline(case)
            ratio = np.nan if case is None or base is None else case.mean / base.mean
            cells.append(Cell(times(ratio)))
            data.append((name, d, n, ratio))
        rows.append(tuple(cells))
    return Table(
        name="latency_ratio",
        title="Mean time of one ask + tell, as a multiple of Optuna's default TPE",
        note=f"D/n: parameters and past trials. {MISSING}: not measured",
        header=("optimizer", *(f"{d}/{n}" for d, n in places)),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=["optimizer", "parameters", "past_trials", "mean_to_tpe"]),
    )


def write(path: Path, out: Path) -> str:
    """Write ``latency.md``, the tables as CSV and booktabs LaTeX, and the figure as PDF and PNG into ``out``.

    Studies have tables only.

    Args:
        path: The JSON file of pytest-benchmark or of studies.
        out: A folder, made if needed; files of the same names are replaced.

    Returns:
        The tables as text for a terminal.

    Raises:
        ReportError: The file is not usable, or the folder cannot be written.
    """
    content, found = read_content(path), None
    if "studies" in content:
        tables = study_latency.tables(path, content)
    else:
        found = read(path)
        tables = [latency_table(found), ratio_table(found)]
    sections = [f"## {markdown_escape(t.title)}\n\n{markdown_escape(t.note)}.\n\n{to_markdown(t)}" for t in tables]
    picture = "![Mean time of one ask + tell against the number of past trials](latency.png)"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for table in tables:
            write_csv(table.data, out / f"{table.name}.csv")
            (out / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")
        if found is not None:
            draw(found, out / "latency")
            sections.insert(1, f"{picture}\n")
        (out / "latency.md").write_text("\n".join(["# Latency", "", "\n".join(sections)]), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"Cannot write to {out}: {error.strerror or error}; give another --out.") from error
    return "\n\n".join(_plain(table) for table in tables)


def _plain(table: Table) -> str:
    """Aligned columns for a terminal."""
    lines = [list(table.header), *([cell.text for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def align(line: Sequence[str]) -> str:
        places = enumerate(zip(line, widths, strict=True))
        return "  ".join(word.ljust(w) if c < table.labels else word.rjust(w) for c, (word, w) in places)

    body = [align(lines[0]), "  ".join("-" * width for width in widths), *map(align, lines[1:])]
    return "\n".join([table.title, "", *body, "", f"{table.note}."])

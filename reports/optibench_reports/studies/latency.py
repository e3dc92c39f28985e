"""Time of ask + tell: from the JSON of pytest-benchmark to a table and a figure.

Quantiles are computed from the raw rounds, with linear interpolation (numpy's default; Hyndman and Fan 1996, type 7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.results import ReportError
from optibench_reports.data.score_array import Floats
from optibench_reports.format.latex import to_latex
from optibench_reports.format.text import (
    MISSING,
    Cell,
    Table,
    listing,
    many,
    markdown_escape,
    number,
    to_markdown,
    write_csv,
)

BASELINE = "tpe"
"""Optuna's default TPE, to which ratios refer."""
BUSY = 1.5
"""A load average above this means that something else was running."""
_HOW = "save it with `make latency`, or with --benchmark-json or --benchmark-save-data of pytest"


@dataclass(frozen=True)
class Case:
    """One optimizer at one history length and number of parameters.

    Attributes:
        optimizer: Its label.
        n: Past trials.
        d: Parameters.
        seconds: Of each round of ask + tell, (R,).
        cold: Seconds of making it, telling it ``n`` trials and its first ask; NaN where that is not known.
        load: The machine's load average when the case began; NaN where that is not known.
    """

    optimizer: str
    n: int
    d: int
    seconds: Floats
    cold: float
    load: float

    @property
    def p50(self) -> float:
        return float(np.median(self.seconds))

    @property
    def p95(self) -> float:
        return float(np.percentile(self.seconds, 95))

    @property
    def mean(self) -> float:
        return float(self.seconds.mean())


@dataclass(frozen=True)
class Latency:
    """The cases of one file, sorted by parameters, past trials and mean, and what they were measured on, in words."""

    cases: tuple[Case, ...]
    machine: str

    def baseline(self, case: Case) -> Case | None:
        """Optuna's TPE at the same past trials and parameters; ``None`` where it was not measured."""
        same = (each for each in self.cases if (each.optimizer, each.n, each.d) == (BASELINE, case.n, case.d))
        return next(same, None)


def read(path: Path) -> Latency:
    """Read and check what pytest-benchmark saved; records of other benchmarks are ignored.

    Raises:
        ReportError: One sentence that says what is wrong with the file.
    """
    content = _content(path)
    cases = [_case(path, record) for record in content["benchmarks"] if _is_latency(record)]
    if not cases:
        raise ReportError(f"{path} has no record of an optimizer's latency: {_HOW}")
    cases.sort(key=lambda case: (case.d, case.n, case.mean, case.optimizer))
    places = [(case.optimizer, case.n, case.d) for case in cases]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ReportError(f"{path} has {twice[0]} at n={twice[1]}, D={twice[2]} more than once: save one run in a file")
    if BASELINE not in {case.optimizer for case in cases}:
        raise ReportError(
            f"{path} has no {BASELINE!r} (Optuna's default TPE), to which every time is compared: measure it in the "
            "same run"
        )
    return Latency(tuple(cases), _machine(content))


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{path} cannot be read ({error.strerror}): {_HOW}") from error
    except ValueError as error:  # JSON's and UTF-8's are kinds of it
        raise ReportError(f"{path} is not JSON: {_HOW}") from error
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise ReportError(f"{path} was not written by pytest-benchmark: {_HOW}")
    return content


def _is_latency(record: Any) -> bool:
    return isinstance(record, dict) and {"optimizer", "n", "d"} <= set(record.get("extra_info") or {})


def _case(path: Path, record: Mapping[str, Any]) -> Case:
    info = record["extra_info"]
    name = f"{info['optimizer']} at n={info['n']}, D={info['d']}"
    raw = (record.get("stats") or {}).get("data")
    if not raw:
        raise ReportError(f"{path} has no raw data of {name}, without which there is no p95: {_HOW}")
    try:
        seconds = np.array(raw, dtype=float)
        known = {key: float(np.nan if info.get(key) is None else info[key]) for key in ("cold_seconds", "load_average")}
        case = Case(str(info["optimizer"]), int(info["n"]), int(info["d"]), seconds, *known.values())
    except (TypeError, ValueError) as error:
        raise ReportError(f"{path} has something else than numbers for {name}: measure it again") from error
    if seconds.ndim != 1 or not np.isfinite(seconds).all() or not (seconds > 0).all() or min(case.n, case.d) < 1:
        raise ReportError(f"{path} has a time or a size that is not positive for {name}: measure it again")
    return case


def _machine(content: Mapping[str, Any]) -> str:
    """Processor, Python and date, as far as the file says."""
    machine = content.get("machine_info") or {}
    cpu = machine.get("cpu") or {}
    words = [
        str(cpu.get("brand_raw") or machine.get("processor") or machine.get("machine") or ""),
        many(int(cpu["count"]), "core") if cpu.get("count") else "",
        f"Python {machine['python_version']}" if machine.get("python_version") else "",
        str(content.get("datetime") or "")[:10],
    ]
    return ", ".join(word for word in words if word)


def latency_table(found: Latency) -> Table:
    """Every case: p50, p95 and mean, ratios to Optuna's default TPE, and the cold start."""
    rows, data = [], []
    for case in found.cases:
        base = found.baseline(case)
        ratios = (np.nan, np.nan) if base is None else (case.mean / base.mean, case.p50 / base.p50)
        times = (case.p50, case.p95, case.mean)
        words = [*(number(1e3 * x) for x in times), *(_times(x) for x in ratios), number(1e3 * case.cold)]
        sizes = [str(case.d), str(case.n), str(len(case.seconds))]
        rows.append((Cell(case.optimizer), *(Cell(word) for word in (*sizes, *words))))
        data.append((case.optimizer, case.d, case.n, len(case.seconds), *times, *ratios, case.cold, case.load))
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
        notes.append(f"No ratio where TPE was not measured: {listing(list(dict.fromkeys(alone)))}")
    few = sum(len(case.seconds) < 16 for case in cases)
    if few:
        notes.append(f"Fewer than 16 rounds, so that p95 is close to the slowest: {many(few, 'case')}")
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
            cells.append(Cell(_times(ratio)))
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


def names_by_speed(found: Latency) -> list[str]:
    """Optimizers, the fastest first: by the geometric mean of their mean times."""
    means: dict[str, list[float]] = {}
    for case in found.cases:
        means.setdefault(case.optimizer, []).append(np.log(case.mean))
    return sorted(means, key=lambda name: (float(np.mean(means[name])), name))


def _times(ratio: float) -> str:
    """A ratio with two significant digits: ``0.013``, ``1.0``, ``45``, ``1,300``."""
    if np.isnan(ratio):
        return MISSING
    rounded = float(f"{ratio:.1e}")
    return f"{rounded:,.{max(0, 1 - int(np.floor(np.log10(rounded))))}f}"


def write(path: Path, out: Path) -> str:
    """Write ``latency.md``, the tables as CSV and booktabs LaTeX, and the figure as PDF and PNG into ``out``.

    Args:
        path: The JSON file.
        out: A folder, made if needed; files of the same names are replaced.

    Returns:
        The tables as text for a terminal.

    Raises:
        ReportError: The file is not usable, or the folder cannot be written.
    """
    from optibench_reports.studies.latency_figure import draw

    found = read(Path(path))
    tables = [latency_table(found), ratio_table(found)]
    sections = [f"## {markdown_escape(t.title)}\n\n{markdown_escape(t.note)}.\n\n{to_markdown(t)}" for t in tables]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for table in tables:
            write_csv(table.data, out / f"{table.name}.csv")
            (out / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")
        draw(found, out / "latency")
        picture = "![Mean time of one ask + tell against the number of past trials](latency.png)"
        text = "\n".join(["# Latency", "", sections[0], picture, "", sections[1]])
        (out / "latency.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"cannot write to {out}: {error.strerror or error}; give another --out") from error
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

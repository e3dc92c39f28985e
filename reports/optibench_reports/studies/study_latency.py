"""Time of a suggestion in an Optuna study, by sampler and storage: from the JSON of ``make latency`` to tables.

A ratio to Optuna's default TPE is the median of the ratios in the same round, in which the samplers took turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optibench_reports.data.results import ReportError
from optibench_reports.data.score_array import Floats
from optibench_reports.format.text import MISSING, Cell, Table, number, times
from optibench_reports.studies.latency_cases import BUSY, machine

BASELINE = "TPESampler"
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Row:
    """One sampler in studies with one storage, history length and number of parameters.

    Attributes:
        sampler: Its name.
        place: Storage, parameters and past trials.
        wall: Seconds of each suggestion, (R,).
        cpu: Processor seconds of each suggestion, (R,).
        over_limit: The limit in processor seconds if a suggestion was stopped at it, else NaN.
        load: The machine's load average when the row began; NaN if unknown.
    """

    sampler: str
    place: Place
    wall: Floats
    cpu: Floats
    over_limit: float
    load: float


def tables(path: Path, content: Mapping[str, Any]) -> list[Table]:
    """All rows, and the ratios to Optuna's default TPE.

    Raises:
        ReportError: One sentence that says what is wrong with the file.
    """
    rows = [_row(path, record) for record in content["studies"]]
    storages = list(dict.fromkeys(row.place[0] for row in rows))
    rows.sort(key=lambda row: (storages.index(row.place[0]), row.place))
    places = [(row.sampler, row.place) for row in rows]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ReportError(f"{path} has {twice[0]} at {_words(twice[1])} more than once: save one run in a file.")
    bases = {row.place: row for row in rows if row.sampler == BASELINE}
    if not bases:
        raise ReportError(f"{path} has no {BASELINE}, to which every time is compared: measure it in the same run.")
    return [_all(rows, bases, machine(content)), _ratios(rows, bases)]


def _row(path: Path, record: Mapping[str, Any]) -> Row:
    try:
        place = str(record["storage"]), int(record["d"]), int(record["n"])
        wall, cpu = (np.array(record[f"{clock}_seconds"], dtype=float) for clock in ("wall", "cpu"))
        limit, load = (float(np.nan if record[key] is None else record[key]) for key in ("over_limit", "load_average"))
        row = Row(str(record["sampler"]), place, wall, cpu, limit, load)
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} has a damaged row: measure it again with `make latency`.") from error
    usable = wall.ndim == 1 and wall.shape == cpu.shape and (len(wall) > 0 or limit > 0)
    if not usable or not np.isfinite([wall, cpu]).all() or not (wall > 0).all() or not (cpu >= 0).all():
        raise ReportError(f"{path} has no usable times of {row.sampler} at {_words(place)}: measure it again.")
    return row


def _words(place: Place) -> str:
    storage, d, n = place
    return f"{storage}, D={d}, n={n}"


def _ratio(row: Row, base: Row | None, clock: str) -> tuple[float, str]:
    """A ratio to TPE, and the same as text; of a sampler over the limit it is the least possible one."""
    if base is None or not len(base.wall):
        return np.nan, MISSING
    own, theirs = getattr(row, clock), getattr(base, clock)
    if np.isnan(row.over_limit):
        shared = min(len(own), len(theirs))
        ratio = float(np.median(own[:shared] / theirs[:shared]))
        return ratio, times(ratio)
    return np.nan, f"> {times(row.over_limit / float(np.median(theirs)))}"


def _all(rows: Sequence[Row], bases: Mapping[Place, Row], machine: str) -> Table:
    cells, data = [], []
    for row in rows:
        over = not np.isnan(row.over_limit)
        low, middle, high = np.full(3, np.nan) if over else np.quantile(row.wall, (0.25, 0.5, 0.75))
        cpu = np.nan if over else float(np.median(row.cpu))
        (wall_ratio, wall_text), (cpu_ratio, cpu_text) = (_ratio(row, bases.get(row.place), c) for c in ("wall", "cpu"))
        wall_ms, cpu_ms = (f"> {number(1e3 * row.over_limit)}" if over else number(1e3 * x) for x in (middle, cpu))
        spread = MISSING if over else f"{number(1e3 * low)} to {number(1e3 * high)}"
        storage, d, n = row.place
        words = (storage, str(d), str(n), str(len(row.wall)), wall_ms, spread, cpu_ms, wall_text, cpu_text)
        cells.append((Cell(row.sampler), *map(Cell, words)))
        seconds = (middle, low, high, cpu)
        data.append((row.sampler, *row.place, len(row.wall), *seconds, row.over_limit, wall_ratio, cpu_ratio, row.load))
    names = ("sampler", "storage", "parameters", "past_trials", "rounds", "wall_p50_seconds", "wall_p25_seconds")
    more = ("wall_p75_seconds", "cpu_p50_seconds", "over_limit_seconds", "wall_to_tpe", "cpu_to_tpe", "load_average")
    notes = [
        "D parameters, n past trials; median of the rounds, and their middle half. Ratios: median over the rounds of "
        "the ratio to Optuna's default TPE in the same round. >: a suggestion was stopped at this CPU time"
    ]
    if machine:
        notes.append(f"Measured on {machine}")
    load = max((row.load for row in rows if not np.isnan(row.load)), default=0.0)
    if load > BUSY:
        notes.append(f"The machine was busy, load average up to {load:.1f}: trust ratios of CPU time most")
    header = ("sampler", "storage", "D", "n", "rounds", "wall ms", "middle half", "CPU ms", "wall / TPE", "CPU / TPE")
    frame = pd.DataFrame(data, columns=[*names, *more])
    return Table(
        "studies", "Time of one suggestion in an Optuna study", ". ".join(notes), header, tuple(cells), frame, 2
    )


def _ratios(rows: Sequence[Row], bases: Mapping[Place, Row]) -> Table:
    """CPU time as a multiple of TPE's: samplers and storages by rows, D and n by columns."""
    sizes = sorted({row.place[1:] for row in rows})
    by_place = {(row.sampler, row.place): row for row in rows}
    cells, data = [], []
    for sampler in dict.fromkeys(row.sampler for row in rows):
        for storage in dict.fromkeys(row.place[0] for row in rows):
            line = [Cell(sampler), Cell(storage)]
            for d, n in sizes:
                row = by_place.get((sampler, (storage, d, n)))
                ratio, text = (np.nan, MISSING) if row is None else _ratio(row, bases.get(row.place), "cpu")
                if row is not None and not np.isnan(row.over_limit):
                    text = f"> {number(row.over_limit)} s"
                line.append(Cell(text))
                data.append((sampler, storage, d, n, ratio))
            cells.append(tuple(line))
    return Table(
        name="studies_ratio",
        title="CPU time of one suggestion in an Optuna study, as a multiple of TPE's",
        note=f"D/n: parameters and past trials. {MISSING}: not measured. >: stopped at this CPU time",
        header=("sampler", "storage", *(f"{d}/{n}" for d, n in sizes)),
        rows=tuple(cells),
        data=pd.DataFrame(data, columns=["sampler", "storage", "parameters", "past_trials", "cpu_to_tpe"]),
        labels=2,
    )

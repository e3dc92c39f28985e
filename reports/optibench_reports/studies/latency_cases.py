"""The file that `make latency` saves, as cases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optibench_reports.data.results import ReportError
from optibench_reports.data.score_array import Floats
from optibench_reports.format.text import plural

BASELINE = "tpe"
BUSY = 1.5
"""A load average above this means that other processes were running."""
_HOW = "save it with `make latency`, or with --benchmark-json or --benchmark-save-data of pytest."


@dataclass(frozen=True)
class Case:
    """One optimizer at one history length and number of parameters.

    Attributes:
        optimizer: Its label.
        n: Past trials.
        d: Parameters.
        seconds: Seconds of each round of ask + tell, (R,).
        cold: Seconds of its construction, the tell of ``n`` trials and the first ask; NaN if unknown.
        load: The machine's load average when the case began; NaN if unknown.
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
    """The cases of one file, sorted by parameters, past trials and mean, and a description of the machine."""

    cases: tuple[Case, ...]
    machine: str

    def baseline(self, case: Case) -> Case | None:
        """Optuna's TPE at the same past trials and parameters; ``None`` if it was not measured."""
        same = (each for each in self.cases if (each.optimizer, each.n, each.d) == (BASELINE, case.n, case.d))
        return next(same, None)


def read(path: Path) -> Latency:
    """Read and check a file of pytest-benchmark; records of other benchmarks are ignored.

    Raises:
        ReportError: One sentence that says what is wrong with the file.
    """
    content = read_content(path)
    if "benchmarks" not in content:
        raise ReportError(f"{path} was not written by pytest-benchmark: {_HOW}")
    cases = [_case(path, record) for record in content["benchmarks"] if _is_latency(record)]
    if not cases:
        raise ReportError(f"{path} has no record of an optimizer's latency: {_HOW}")
    cases.sort(key=lambda case: (case.d, case.n, case.mean, case.optimizer))
    places = [(case.optimizer, case.n, case.d) for case in cases]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ReportError(
            f"{path} has {twice[0]} at n={twice[1]}, D={twice[2]} more than once: save one run in a file."
        )
    if BASELINE not in {case.optimizer for case in cases}:
        raise ReportError(
            f"{path} has no {BASELINE!r} (Optuna's default TPE), to which every time is compared: measure it in the "
            "same run."
        )
    return Latency(tuple(cases), machine(content))


def read_content(path: Path) -> dict[str, Any]:
    """Read a file of pytest-benchmark, with a list ``benchmarks``, or of studies, with a list ``studies``.

    Raises:
        ReportError: The file cannot be read or is neither.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{path} cannot be read ({error.strerror}): {_HOW}") from error
    except ValueError as error:  # JSON's and UTF-8's errors are ValueErrors
        raise ReportError(f"{path} is not JSON: {_HOW}") from error
    if not isinstance(content, dict) or not any(
        isinstance(content.get(key), list) for key in ("benchmarks", "studies")
    ):
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
        raise ReportError(f"{path} has something else than numbers for {name}: measure it again.") from error
    if seconds.ndim != 1 or not np.isfinite(seconds).all() or not (seconds > 0).all() or min(case.n, case.d) < 1:
        raise ReportError(f"{path} has a time or a size that is not positive for {name}: measure it again.")
    return case


def machine(content: Mapping[str, Any]) -> str:
    """Processor, Python and date, if the file has them."""
    info = content.get("machine_info") or {}
    cpu = info.get("cpu") or {}
    words = [
        str(cpu.get("brand_raw") or info.get("processor") or info.get("machine") or ""),
        plural(int(cpu["count"]), "core") if cpu.get("count") else "",
        f"Python {info['python_version']}" if info.get("python_version") else "",
        str(content.get("datetime") or "")[:10],
    ]
    return ", ".join(word for word in words if word)


def names_by_speed(found: Latency) -> list[str]:
    """Optimizers, the fastest first: by the geometric mean of their mean times."""
    means: dict[str, list[float]] = {}
    for case in found.cases:
        means.setdefault(case.optimizer, []).append(np.log(case.mean))
    return sorted(means, key=lambda name: (float(np.mean(means[name])), name))

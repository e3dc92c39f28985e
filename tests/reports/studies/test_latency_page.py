"""The tables of docs/how-to/latency.md are those of docs/latency-studies.json."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "how-to" / "latency.md").read_text(encoding="utf-8")
STUDIES = {
    (study["storage"], study["d"], study["n"], study["sampler"]): study
    for study in json.loads((DOCS / "latency-studies.json").read_text(encoding="utf-8"))["studies"]
}


def shown(storage: str, d: int, n: int, sampler: str) -> str:
    study = STUDIES[storage, d, n, sampler]
    if study["over_limit"]:
        return f"> {1e3 * study['over_limit']:,.0f}"
    milliseconds = 1e3 * statistics.median(study["cpu_seconds"])
    return f"{milliseconds:,.0f}" if milliseconds >= 1000 else f"{float(f'{milliseconds:.3g}'):g}"


def times(storage: str, d: int, n: int, rival: str) -> float:
    ours, theirs = (STUDIES[storage, d, n, name]["cpu_seconds"] for name in ("OptiFormerSampler", rival))
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))  # a slow rival has fewer rounds


@pytest.mark.parametrize("sampler", ["TPESampler", "OptiFormerSampler", "GPSampler"])
@pytest.mark.parametrize("d", [2, 7, 20, 100])
def test_a_row_in_memory(d: int, sampler: str) -> None:
    cells = " | ".join(shown("memory", d, n, sampler) for n in (10, 50, 100, 200, 1000))
    assert f"| {d} | `{sampler}` | {cells} |" in PAGE


@pytest.mark.parametrize("storage", ["memory", "journal", "sqlite"])
@pytest.mark.parametrize("d", [7, 20])
def test_a_row_in_another_storage(storage: str, d: int) -> None:
    cells = " | ".join(shown(storage, d, 100, name) for name in ("TPESampler", "OptiFormerSampler", "GPSampler"))
    assert f"| {storage}, {d} | {cells} |" in PAGE


def test_what_the_page_concludes() -> None:
    few = (10, 50, 100, 200)
    for d, words in ((2, "3.6 to 3.9"), (7, "2.2 to 2.6"), (20, "1.2 to 1.5")):
        found = [times("memory", d, n, "TPESampler") for n in few]
        assert f"{min(found):.1f} to {max(found):.1f}" == words
        assert words in PAGE
    assert all(times("memory", 100, n, "TPESampler") < 1 for n in (*few, 1000))
    rival = [times("memory", d, n, "GPSampler") for d in (2, 7, 20, 100) for n in (50, 100, 200)]
    assert 1 / 30 < min(rival) < max(rival) < 1 / 5

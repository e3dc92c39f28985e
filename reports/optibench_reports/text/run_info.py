"""A few lines on the run: the grid, its references and the provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optibench_reports.stats.analysis import Analysis

MAX_RUNS = 12
"""Runs with a line of their own, the last ones."""
MAX_LETTERS = 700
"""Letters shown of a provenance value; the run's provenance.json has all of it."""


def facts(analysis: Analysis) -> list[tuple[str, str]]:
    """Names and values, as plain text."""
    grid = analysis.grid
    planned, finished = int((grid.planned > 0).sum()), int((grid.finished > 0).sum())
    families = sorted(set(grid.families))
    sources = sorted({str(reference.get("source", "unknown")) for reference in analysis.references.values()})
    return [
        ("optimizers", f"{len(grid.optimizers)}: {', '.join(grid.optimizers)}"),
        (
            "tasks",
            f"{len(grid.tasks)} in {len(families)} {'family' if len(families) == 1 else 'families'}: "
            f"{', '.join(families)}",
        ),
        ("cells", f"{finished:,} of {planned:,} planned"),
        ("trials", f"{len(grid.trial):,}, at most {grid.longest} in a cell"),
        ("references", "; ".join(sources) or "none"),
        ("bootstrap", f"{analysis.draws} draws, seed {analysis.seed}"),
        *_provenance(analysis.provenance),
    ]


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """One line a key; of a list of runs (a grid that was resumed), every distinct value of each key.

    The table of times has ``first_model_trials``.
    """
    lines = []
    for name, value in provenance.items():
        if name == "first_model_trials":
            continue
        if name == "optimizer_packages" and isinstance(value, Mapping):
            lines.append((name, _cut(_packages(value))))
        elif isinstance(value, Sequence) and value and all(isinstance(item, Mapping) for item in value):
            lines.append((name, str(len(value))))
            known = [run for run in value if "id" in run]
            lines += [(f"run {run['id']}", _cut(_run(run))) for run in known[-MAX_RUNS:]]
            value = [{key: item for key, item in run.items() if key not in ("id", "cells")} for run in value]
            for key in dict.fromkeys(key for item in value for key in item):
                distinct = dict.fromkeys(_line(key, item[key]) for item in value if key in item)
                lines.append((key, _cut("; ".join(distinct))))
        else:
            lines.append((name, _cut(_line(name, value))))
    return [(str(name).replace("_", " "), text) for name, text in lines if text]


def _run(run: Mapping[str, Any]) -> str:
    """What tells one run from others: when, where, by which code and command, and how many cells it made."""
    where = " with ".join(str(run[key]) for key in ("cpu", "vector_instructions") if run.get(key))
    parts = (
        _line("started_at", run.get("started_at")),
        f"{run.get('cells', 0):,} cells",
        run.get("git_revision"),
        where,
    )
    return ", ".join(str(part) for part in (*parts, run.get("command")) if part)


def _packages(by_optimizer: Mapping[str, Any]) -> str:
    """Every package of any optimizer once, with its versions."""
    versions: dict[str, dict[str, None]] = {}
    for found in by_optimizer.values():
        for each in found if isinstance(found, (list, tuple)) else [found]:
            for package, version in each.items():
                versions.setdefault(str(package), {})[str(version)] = None
    return ", ".join(f"{package} {' and '.join(versions[package])}" for package in sorted(versions, key=str.lower))


def _line(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_line(str(key), item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_line(name, item) for item in value)
    if name.endswith("_at") and isinstance(value, (int, float)):
        return f"{datetime.fromtimestamp(int(value), UTC):%Y-%m-%d %H:%M:%S} UTC"
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"

"""A part of a grid's results: some optimizers, some tasks."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from optibench_reports.data.merge import BY_OPTIMIZER, restricted
from optibench_reports.data.results import ReportError, Results
from optibench_reports.format.text import join_names


def select(results: Results, *, optimizers: Sequence[str] = (), tasks: Sequence[str] = ()) -> Results:
    """The trials of some optimizers on some tasks, to be reported as if nothing else had been run.

    Args:
        results: All of them.
        optimizers: Names or globs; none means all.
        tasks: Names or globs; none means all.

    Raises:
        ReportError: A name or glob matches nothing, or there are no trials of these optimizers on these tasks.
    """
    if tasks:
        results = restricted(results, _matching(tasks, sorted(map(str, results.trials["task"].unique())), "task"))
    if optimizers:
        known = sorted(map(str, results.trials["optimizer"].unique()))
        chosen = _matching(optimizers, known, "optimizer")
        provenance = dict(results.provenance)
        for key in BY_OPTIMIZER:
            if provenance.get(key):
                provenance[key] = {name: entry for name, entry in provenance[key].items() if name in chosen}
        results = replace(
            results,
            trials=results.trials[results.trials["optimizer"].astype(str).isin(chosen)],
            planned=results.planned[results.planned["optimizer"].astype(str).isin(chosen)],
            provenance=provenance,
        )
    return results


def _matching(patterns: Sequence[str], known: Sequence[str], kind: str) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in known if name == pattern or fnmatchcase(name, pattern)}
        if not matches:
            close = difflib.get_close_matches(pattern, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {join_names(list(known))}."
            raise ReportError(f"No {kind} of these results is called {pattern!r}: {hint}")
        found |= matches
    return found

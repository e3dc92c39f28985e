"""From a table of trials to statistics, tables and figures.

A report is a pure function of the stored trials: the same input gives the same bytes. Nothing heavy is imported until
:func:`write` or :class:`Results` is used.

Example:
    >>> report = reports.write(reports.Results(trials, tasks, planned, provenance), Path("out"))  # doctest: +SKIP
    >>> print(report.summary)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.grids import Agreement, agreement, compare_grids, merge
    from reports.results import ReportError, Results
    from reports.write import Report, write

__all__ = ["Agreement", "Report", "ReportError", "Results", "agreement", "compare_grids", "merge", "write"]

_HOMES = {
    **dict.fromkeys(("Report", "write"), "write"),
    **dict.fromkeys(("ReportError", "Results"), "results"),
    **dict.fromkeys(("Agreement", "agreement", "compare_grids", "merge"), "grids"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reports' has no attribute {name!r}")
    from importlib import import_module

    # Importing the submodule `reports.write` binds the module under that name: put the function there, for good.
    for public, home in _HOMES.items():
        globals()[public] = getattr(import_module(f"reports.{home}"), public)
    return globals()[name]

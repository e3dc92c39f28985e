"""From a table of trials to statistics, tables and figures.

A report is a pure function of the stored trials: the same input gives the same bytes. Nothing heavy is imported until
:func:`write` or :class:`Results` is used.

Example:
    >>> results = optibench_reports.Results(trials, tasks, planned, provenance)  # doctest: +SKIP
    >>> report = optibench_reports.write(results, Path("out"))  # doctest: +SKIP
    >>> print(report.summary)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optibench_reports.data.merge import Agreement, agreement, compare_grids, merge
    from optibench_reports.data.results import ReportError, Results
    from optibench_reports.render.report import Report, write

__all__ = ["Agreement", "Report", "ReportError", "Results", "agreement", "compare_grids", "merge", "write"]

_HOMES = {
    **dict.fromkeys(("Report", "write"), "render.report"),
    **dict.fromkeys(("ReportError", "Results"), "data.results"),
    **dict.fromkeys(("Agreement", "agreement", "compare_grids", "merge"), "data.merge"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

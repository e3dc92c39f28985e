"""Shared by all tests: selection, required data, and the summary of tests that cannot run."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import pytest

from optibench_benchmarks import MissingDataError, UnknownBenchmarkError, data
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_optimizers import UnknownOptimizerError
from optibench_optimizers.conformance.suite import OptimizerConformance


@functools.cache
def _here() -> frozenset[str]:
    return frozenset(status.dataset.name for status in data.datasets() if status.state == "present")


@functools.cache
def _inapplicable(cls: type) -> frozenset[str]:
    """The tests of a conformance suite that do not apply to the class's optimizer or task."""
    try:
        if issubclass(cls, OptimizerConformance):
            return frozenset(cls().inapplicable())
        if issubclass(cls, BenchmarkConformance):
            return frozenset(cls().inapplicable(cls().create()))
    except (MissingDataError, UnknownBenchmarkError, UnknownOptimizerError):
        pass  # without its data, or registered by a fixture: its tests find out
    return frozenset()


#: The files that take longest come first, so that no process is left alone with one of them (`--no-loadscope-reorder`).
LONG = (
    "runs/test_run",
    "spec/test_limits",
    "store/test_changed",
    "store/test_resume",
    "runs/test_training",
    "results/test_reports",
    "executors/test_survivors",
    "store/test_claim",
    "optimizers/test_conformance",
    "cell/test_boundary",
    "runs/test_paper",
    "optimizers/test_repeatable",
    "runs/test_plugin_example",
    "cell/test_replay",
    "external/test_external_definitions",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect measurements without `--benchmark-only`, and inapplicable tests of a conformance suite.

    Long files come first.
    """
    measuring = bool(config.getoption("benchmark_only"))

    def belongs(item: Any) -> bool:
        if ("benchmark" in item.fixturenames) != measuring:
            return False
        return item.cls is None or item.originalname not in _inapplicable(item.cls)

    kept, left = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        (kept if belongs(item) else left).append(item)
    config.hook.pytest_deselected(items=left)
    places = {name: place for place, name in enumerate(LONG)}
    items[:] = sorted(kept, key=lambda item: places.get("/".join(item.path.with_suffix("").parts[-2:]), len(LONG)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.data(name, ...)`: the test needs these data sets."""
    missing = {str(name) for mark in item.iter_markers("data") for name in mark.args} - _here()
    if missing:
        pytest.skip(f"needs data: optibench data fetch {' '.join(sorted(missing))}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The number of tests that could not run, with reasons."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    if reasons:
        terminalreporter.section(f"{reasons.total()} tests cannot run here")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:4}  {reason}")

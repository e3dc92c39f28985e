"""Named sets of tasks, read from ``suites.yaml``.

The file maps a suite's name to a ``summary`` and its ``patterns`` for :func:`optibench_benchmarks.registry.expand`
(task names, globs, other suites, ``!`` for exclusions): a list, or a mapping from each pattern to the reason for it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from optibench_benchmarks.base import BenchmarkError


@functools.cache
def _read() -> Mapping[str, Mapping[str, Any]]:
    import yaml

    content: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
        resources.files("optibench_benchmarks").joinpath("suites.yaml").read_text(encoding="utf-8")
    )
    for name, suite in content.items():
        if set(suite) != {"summary", "patterns"} or not suite["patterns"]:
            raise BenchmarkError(
                f"Suite {name!r} in benchmarks/optibench_benchmarks/suites.yaml needs a summary "
                "and patterns, nothing else."
            )
    return content


def load() -> dict[str, Sequence[str]]:
    """Every suite's patterns by the suite's name, in the file's order."""
    return {name: list(suite["patterns"]) for name, suite in _read().items()}


def summaries() -> dict[str, str]:
    """One line on each suite by its name."""
    return {name: suite["summary"] for name, suite in _read().items()}

"""Tasks that are kept for one look: drawn by a hash of their names before any optimizer ran on them (:mod:`.draw`).

Gates, tuning and choices of settings use other tasks only, so globs leave kept tasks out. They run where a grid or a
suite spells out their names.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any


@functools.cache
def read() -> Mapping[str, Any]:
    """The contents of ``kept.yaml``; do not change them."""
    import yaml

    text = resources.files("optibench_benchmarks.kept").joinpath("kept.yaml").read_text(encoding="utf-8")
    content: Mapping[str, Any] = yaml.safe_load(text)
    return content


@functools.cache
def names() -> Sequence[str]:
    """Every kept task, also those whose family is not there yet."""
    return tuple(name for groups in read()["tasks"].values() for tasks in groups.values() for name in tasks)


def is_kept(name: str) -> bool:
    """Whether a task, or a variant of it with suffixes, is kept."""
    return name.partition("+")[0] in names()

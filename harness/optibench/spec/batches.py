"""Batch sizes: how many configurations an optimizer proposes at a time, before it is told what came of any of them.

An optimizer with batches of four is another one in the tables, ``tpe (batch 4)``; with batches of one it is ``tpe``,
and its cells are those of a grid that knows no batches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from optibench.errors import HarnessError

MOST = 1000
"""The largest batch."""
_LABEL = re.compile(r"(.*) \(batch (\d{1,4})\)", re.DOTALL)


def parse(value: Any, where: str) -> tuple[int, ...]:
    """Read one size (``4``), several (``1,4``) or a YAML list of them.

    Raises:
        HarnessError: One is no whole number from 1 to :data:`MOST`.
    """
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    words = ["" if isinstance(item, bool) else str(item).strip() for item in items]
    if not words or not all(re.fullmatch(r"\d{1,4}", word) and 1 <= int(word) <= MOST for word in words):
        raise HarnessError(
            f"{where}: `batch_size` is a whole number from 1 to {MOST}, or a list of them like 1,4, not {value!r}."
        )
    return tuple(dict.fromkeys(int(word) for word in words))


def expand(optimizers: Sequence[str], sizes: Sequence[int]) -> tuple[str, ...]:
    """Every optimizer with every batch size, by its label."""
    return tuple(dict.fromkeys(label(name, size) for name in optimizers for size in sizes))


def label(name: str, size: int) -> str:
    """An optimizer's label; one that has a batch size of its own keeps it."""
    return name if size == 1 or split(name)[1] > 1 else f"{name} (batch {size})"


def split(name: str) -> tuple[str, int]:
    """A label's optimizer, with its settings, and its batch size."""
    match = _LABEL.fullmatch(name)
    return (match[1], max(1, int(match[2]))) if match else (name, 1)

"""Batch sizes: how many configurations an optimizer proposes at a time, before it is told what came of any of them.

An optimizer with batches of four is another one in the tables, ``tpe (batch 4)``; with batches of one it is ``tpe``,
and its cells are those of a grid that knows no batches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from optibench.options import Form, text

MAX_SIZE = 1000
"""The largest batch."""
_LABEL = re.compile(r"(.*) \(batch (\d{1,4})\)", re.DOTALL)
Size = Annotated[int, Meta(ge=1, le=MAX_SIZE)]


def _read(written: int | str | list[int | str]) -> tuple[int, ...]:
    items = written.split(",") if isinstance(written, str) else written if isinstance(written, list) else [written]
    words = [item.strip() if isinstance(item, str) else item for item in items]
    return tuple(dict.fromkeys(msgspec.convert(words, list[Size], strict=False)))


SIZES = Form(
    f"a whole number from 1 to {MAX_SIZE}, or a list of them like 1,4",
    Size | text(r"^\d+(\s*,\s*\d+)*$") | Annotated[list[Size | str], Meta(min_length=1)],
    _read,
)


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

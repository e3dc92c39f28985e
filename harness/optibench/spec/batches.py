"""Batch sizes: how many configurations an optimizer proposes at a time before it is told any of their outcomes.

In the tables, an optimizer with batches of four is a separate one, ``tpe (batch 4)``. With batches of one it is
``tpe``, and its cells are the same as in a grid without batches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from optibench.options import Form, text

MAX_BATCH = 1000
"""The largest batch."""
_LABEL = re.compile(r"(.*) \(batch (\d{1,4})\)", re.DOTALL)
Size = Annotated[int, Meta(ge=1, le=MAX_BATCH)]


def _read(written: int | str | list[int | str]) -> tuple[int, ...]:
    items = written.split(",") if isinstance(written, str) else written if isinstance(written, list) else [written]
    words = [item.strip() if isinstance(item, str) else item for item in items]
    return tuple(dict.fromkeys(msgspec.convert(words, list[Size], strict=False)))


SIZES = Form(
    f"a whole number from 1 to {MAX_BATCH}, or a list of them like 1,4",
    Size | text(r"^\d+(\s*,\s*\d+)*$") | Annotated[list[Size | str], Meta(min_length=1)],
    _read,
)


def expand(optimizers: Sequence[str], sizes: Sequence[int]) -> tuple[str, ...]:
    """Every optimizer with every batch size, by its label."""
    return tuple(dict.fromkeys(label(name, size) for name in optimizers for size in sizes))


def label(name: str, size: int) -> str:
    """The label of an optimizer with a batch size; a name that already has one keeps it."""
    return name if size == 1 or split(name)[1] > 1 else f"{name} (batch {size})"


def split(name: str) -> tuple[str, int]:
    """The optimizer (with its settings) and the batch size of a label."""
    match = _LABEL.fullmatch(name)
    return (match[1], max(1, int(match[2]))) if match else (name, 1)

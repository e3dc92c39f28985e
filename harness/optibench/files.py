"""Atomic writes: a file is complete or does not exist, and a failed write leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it replaces ``path`` at the end, or is removed on an error."""
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it is complete or does not exist.

    Raises:
        OSError: The disk is full, or the folder cannot be written; nothing is left behind.
    """
    with replacing(path) as part, part.open("wb", buffering=0) as file:  # closing must not write again
        rest = memoryview(content)
        while rest:  # a disk that fills up takes a part and raises an error for the rest
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())

"""Paths as users write them, with ``~`` for the home folder. Nothing here accesses files."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with a leading ``~`` or ``~user`` replaced; unchanged if there is no such user."""
    return Path(expanded_text(str(path)))


def expanded_text(text: str) -> str:
    """The same for a text that may be a path; everything else in it stays, such as the slashes of an address."""
    return os.path.expanduser(text)  # noqa: PTH111  # Path.expanduser raises for an unknown user

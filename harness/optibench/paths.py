"""Paths as a user writes them, with ``~`` for the home folder. Nothing here looks at a file."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with a leading ``~`` or ``~user`` replaced; unchanged where there is no such user."""
    return Path(expanded_text(str(path)))


def expanded_text(text: str) -> str:
    """The same for a text that may be a path: all else in it stays, such as the slashes of an address."""
    return os.path.expanduser(text)  # noqa: PTH111  # which raises for an unknown user

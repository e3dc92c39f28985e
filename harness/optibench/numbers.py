"""Numbers as users type them."""

from __future__ import annotations

import re


def whole(text: str) -> int | None:
    """The number that a text of up to 18 plain digits means; ``None`` for any other text (``²``, ``1_000``, ``-1``)."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None

"""One past trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One past trial: the active parameters' values and the value to minimize.

    ``None``: it failed, and what it would have been is not known. Infinite: it is behind all others, as a pruned one.
    """

    config: Mapping[str, Any]
    value: float | None

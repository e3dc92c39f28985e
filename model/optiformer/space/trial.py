"""One past trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Shares of a subsampled history: the best trials (of a sequence), and the maximum for failures.
BEST_SHARE, FAILED_SHARE = 0.6, 0.2


@dataclass(frozen=True)
class Trial:
    """One past trial.

    Attributes:
        config: Values of the active parameters.
        value: Value to minimize; ``None`` for a failed trial, infinite for a pruned one, which ranks last.
        values: All values to minimize, if there are several objectives.
        constraints: Constraints, fulfilled where they are at most 0; NaN for one that was not measured.
    """

    config: Mapping[str, Any]
    value: float | None
    values: tuple[float, ...] = ()
    constraints: tuple[float, ...] = ()

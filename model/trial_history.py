"""Past and pending trials as matrices, and which of a long history to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.tokenizer import Trial
from model.unit_space import Array

Rows = NDArray[np.int64]
Locate = Callable[[Mapping[str, Any]], tuple[Array, NDArray[np.bool_]]]
#: Of a context that is too long, the share that is the best trials and the share that may be failures.
BEST_SHARE, FAILED_SHARE = 0.6, 0.2


@dataclass(eq=False)
class History:
    """Trials and pending configurations as matrices; pending ones come last and count as the median."""

    positions: Array
    active: NDArray[np.bool_]
    values: Array
    failed: NDArray[np.bool_]
    n_told: int
    seen: set[bytes]

    @classmethod
    def of(cls, position: Locate, trials: Sequence[Trial], pending: Sequence[Mapping[str, Any]]) -> History:
        d = len(position({})[0])
        values = np.array([np.nan if t.value is None else float(t.value) for t in trials])
        found = [position(t.config) for t in trials]
        positions = np.array([p for p, _ in found]).reshape(-1, d)
        active = np.array([a for _, a in found], dtype=bool).reshape(-1, d)
        failed = ~np.isfinite(values)
        history = cls(positions, active, values, failed, len(trials), set(keys(positions, active)))
        for config in pending:
            history.add_pending(*position(config))
        return history

    @property
    def n_succeeded(self) -> int:
        return int((~self.failed[: self.n_told]).sum())

    def add_pending(self, position: Array, active: NDArray[np.bool_]) -> None:
        self.positions = np.concatenate([self.positions, position[None]])
        self.active = np.concatenate([self.active, active[None]])
        self.values, self.failed = np.append(self.values, np.nan), np.append(self.failed, False)
        self.seen.update(keys(position[None], active[None]))

    def scores(self) -> Array:
        """One finite value each: failures the worst success, pending ones the median; all 0 without a success."""
        told = self.values[: self.n_told][~self.failed[: self.n_told]]
        if not len(told):
            return np.zeros(len(self.values))
        filled = np.where(self.failed, told.max(), np.median(told))
        return np.where(np.isfinite(self.values), self.values, filled)


def keys(positions: Array, active: NDArray[np.bool_]) -> list[bytes]:
    """Equal for configurations that differ by less than about a millionth of every range."""
    rounded = np.where(active, np.rint(positions * 1e6), -1).astype(np.int64)
    return [row.tobytes() for row in rounded]


def thin(scores: Array, failed: NDArray[np.bool_], most: int) -> Rows:
    """Which trials to show of a history of any length, at most ``most``, in their own order."""
    if len(scores) <= most:
        return np.arange(len(scores))
    worked, broken = np.flatnonzero(~failed), np.flatnonzero(failed)
    room = most - min(len(broken), max(int(FAILED_SHARE * most), most - len(worked)))
    order = worked[np.argsort(scores[worked], kind="stable")]
    best = order[: int(BEST_SHARE * room)]
    rest = order[len(best) :]
    spread = rest[np.linspace(0, len(rest) - 1, min(room - len(best), len(rest))).round().astype(int)]
    recent = broken[len(broken) - (most - len(best) - len(spread)) :] if most > len(best) + len(spread) else broken[:0]
    return np.sort(np.concatenate([best, spread, recent]))

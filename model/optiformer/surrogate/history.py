"""Past trials as matrices, and which of a long history to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optiformer.space.trial import Trial
from optiformer.space.unit_space import Array
from optiformer.surrogate.features import WILD

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Locate = Callable[[Mapping[str, Any]], tuple[Array, Mask]]
#: Of a context that is too long, the share that is the best trials and the share that may be failures.
BEST_SHARE, FAILED_SHARE = 0.6, 0.2
#: So many first trials tell what a usual value is, and what is so many times as far from the best one is dreadful.
EARLY, DREADFUL = 10, 100.0


@dataclass(eq=False)
class History:
    """Trials as matrices, and what is being evaluated.

    Attributes:
        position: Values in [0, 1], (n, D).
        active: Which parameters a trial has, (n, D).
        value: Values to minimize, (n,); infinite ones, and those of failed trials, are the worst other one.
        failed: Which trials failed, or have a dreadful value, (n,).
        running: Positions of pending configurations, (r, D).
        running_active: Which parameters they have, (r, D).
        weight: What each of them counts, from 0 to 1, (r,).
        n_succeeded: How many trials have a finite value.
        seen: Keys of all of them.
    """

    position: Array
    active: Mask
    value: Array
    failed: Mask
    running: Array
    running_active: Mask
    weight: Array
    n_succeeded: int
    seen: set[bytes]

    @classmethod
    def of(
        cls,
        locate: Locate,
        trials: Sequence[Trial],
        pending: Sequence[Mapping[str, Any]] = (),
        weights: Sequence[float] | None = None,
    ) -> History:
        position, active = _rows(locate, [trial.config for trial in trials])
        running, running_active = _rows(locate, pending)
        raw = np.array([np.nan if trial.value is None else float(trial.value) for trial in trials])
        failed = np.isnan(raw) | (raw == -np.inf) | _dreadful(raw)
        finite = np.isfinite(raw) & ~failed
        value = np.where(finite, raw, raw[finite].max() if finite.any() else 0.0)
        seen = {*keys(position, active), *keys(running, running_active)}
        weight = np.ones(len(running)) if weights is None else np.asarray(weights, dtype=float)
        return cls(position, active, value, failed, running, running_active, weight, int(finite.sum()), seen)


def _dreadful(raw: Array) -> Mask:
    """Which values are so far behind that they say no more than a failure does, (n,).

    Those more than :data:`DREADFUL` times as far from the best one as the median of the first trials is: a loss that
    diverged, a penalty. None where the first trials span many orders of magnitude, for then that is the scale.
    """
    early = raw[np.isfinite(raw)][:EARLY]
    if len(early) < 3:
        return np.zeros(len(raw), dtype=bool)
    low, middle, high = np.quantile(early, (0.25, 0.5, 0.75)) - early.min()
    usual = middle > 0 and high < WILD * low
    return np.asarray(np.isfinite(raw) & (raw - early.min() > DREADFUL * middle) & usual)


def _rows(locate: Locate, configs: Sequence[Mapping[str, Any]]) -> tuple[Array, Mask]:
    found, d = [locate(config) for config in configs], len(locate({})[0])
    return (
        np.array([position for position, _ in found]).reshape(-1, d),
        np.array([active for _, active in found], dtype=bool).reshape(-1, d),
    )


def keys(positions: Array, active: Mask) -> list[bytes]:
    """Equal for configurations that differ by less than about a millionth of every range."""
    rounded = np.where(active, np.rint(positions * 1e6), -1).astype(np.int64)
    return [row.tobytes() for row in rounded]


def thin(scores: Array, failed: Mask, most: int) -> Rows:
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

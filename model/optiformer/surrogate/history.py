"""Past trials as matrices, and subsampling of long histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optiformer.space.trial import BEST_SHARE, FAILED_SHARE, Trial
from optiformer.space.unit_space import Array
from optiformer.surrogate.features import MIN_LOG_RANGE

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Locate = Callable[[Mapping[str, Any]], tuple[Array, Mask]]
#: Number of first trials whose median is the reference, and the ratio to it above which a value is an outlier.
N_REFERENCE, OUTLIER_RATIO = 10, 100.0


@dataclass(eq=False)
class History:
    """Trials and pending configurations as matrices.

    Attributes:
        position: Values in [0, 1], (n, D).
        active: Which parameters a trial has, (n, D).
        value: Values to minimize, (n,); infinite values and failed trials have the worst finite one.
        failed: Which trials failed or are outliers, (n,).
        pending: Positions of pending configurations, (r, D).
        pending_active: Which parameters they have, (r, D).
        weight: Their weights from 0 to 1, (r,).
        n_succeeded: Number of trials that neither failed nor are outliers.
        seen: Keys of past and pending configurations.
    """

    position: Array
    active: Mask
    value: Array
    failed: Mask
    pending: Array
    pending_active: Mask
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
        pending_position, pending_active = _rows(locate, pending)
        raw = np.array([np.nan if trial.value is None else float(trial.value) for trial in trials])
        failed = np.isnan(raw) | (raw == -np.inf) | _outliers(raw)
        finite = np.isfinite(raw) & ~failed
        value = np.where(finite, raw, raw[finite].max() if finite.any() else 0.0)
        seen = {*keys(position, active), *keys(pending_position, pending_active)}
        weight = np.ones(len(pending_position)) if weights is None else np.asarray(weights, dtype=float)
        return cls(position, active, value, failed, pending_position, pending_active, weight, int(finite.sum()), seen)


def _outliers(raw: Array) -> Mask:
    """Values to treat as failures, (n,): a diverged loss, a penalty.

    Their distance from the best value is more than :data:`OUTLIER_RATIO` times that of the first trials' median. There
    are none if the first trials already span many orders of magnitude.
    """
    first = raw[np.isfinite(raw)][:N_REFERENCE]
    if len(first) < 3:
        return np.zeros(len(raw), dtype=bool)
    low, middle, high = np.quantile(first, (0.25, 0.5, 0.75)) - first.min()
    usual = middle > 0 and high < MIN_LOG_RANGE * low
    return np.asarray(np.isfinite(raw) & (raw - first.min() > OUTLIER_RATIO * middle) & usual)


def _rows(locate: Locate, configs: Sequence[Mapping[str, Any]]) -> tuple[Array, Mask]:
    found, d = [locate(config) for config in configs], len(locate({})[0])
    return (
        np.array([position for position, _ in found]).reshape(-1, d),
        np.array([active for _, active in found], dtype=bool).reshape(-1, d),
    )


def keys(positions: Array, active: Mask) -> list[bytes]:
    """Hashable keys, equal if positions agree to about a millionth of every range."""
    rounded = np.where(active, np.rint(positions * 1e6), -1).astype(np.int64)
    return [row.tobytes() for row in rounded]


def subsample(scores: Array, failed: Mask, most: int) -> Rows:
    """Rows of at most ``most`` trials, in order: the best, the latest failures, and the others evenly by rank."""
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

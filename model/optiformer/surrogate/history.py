"""Past trials as matrices, and subsampling of long histories."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optiformer.space.trial import FAILED_SHARE, Trial
from optiformer.space.unit_space import Array
from optiformer.surrogate.features import MIN_LOG_RANGE, quantiles
from optiformer.surrogate.goals import Goals

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: Shares of a subsampled history: the best trials and, of the others, the latest.
BEST_SHARE, LATEST_SHARE = 0.5, 0.2
Locate = Callable[[Mapping[str, Any]], tuple[Array, Mask]]
#: Number of first trials whose median is the reference, and the ratio to it above which a value is an outlier.
N_REFERENCE, OUTLIER_RATIO = 10, 100.0


@dataclass(frozen=True, eq=False)
class Located:
    """Trials with their positions, each computed once as a study grows.

    Attributes:
        trials: The trials.
        position: Values in [0, 1], (n, D).
        active: Which parameters a trial has, (n, D).
        seen: Their keys.
    """

    trials: tuple[Trial, ...]
    position: Array
    active: Mask
    seen: frozenset[bytes]

    @classmethod
    def of(cls, locate: Locate, configs: Sequence[Mapping[str, Any]], trials: Sequence[Trial] = ()) -> Located:
        """Positions of configurations, or of trials that have them."""
        found, d = [locate(config) for config in configs], len(locate({})[0])
        position = np.array([position for position, _ in found]).reshape(-1, d)
        active = np.array([active for _, active in found], dtype=bool).reshape(-1, d)
        return cls(tuple(trials), position, active, frozenset(keys(position, active)))

    def updated(self, locate: Locate, trials: Sequence[Trial]) -> Located:
        """The positions of ``trials``; only those of new ones are computed if the known trials come first."""
        n = len(self.trials)
        if n > len(trials) or not all(map(operator.is_, self.trials, trials)):
            return Located.of(locate, [trial.config for trial in trials], trials)
        if n == len(trials):
            return self
        new = Located.of(locate, [trial.config for trial in trials[n:]], trials[n:])
        return Located(
            self.trials + new.trials,
            np.concatenate([self.position, new.position]),
            np.concatenate([self.active, new.active]),
            self.seen | new.seen,
        )


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
        goals: Several objectives or constraints, by which ``value`` ranks the trials; ``None`` if there is one value.
    """

    position: Array
    active: Mask
    value: Array
    failed: Mask
    pending: Array
    pending_active: Mask
    weight: Array
    n_succeeded: int
    seen: frozenset[bytes]
    goals: Goals | None = None

    @classmethod
    def of(cls, observed: Located, pending: Located, weights: Sequence[float] | None = None) -> History:
        """The history of trials, and pending configurations with their weights, 1 by default."""
        goals = Goals.of(observed.trials)
        if goals is None:
            raw = np.array([np.nan if trial.value is None else float(trial.value) for trial in observed.trials])
        else:
            raw = goals.ranking()
            goals = goals if goals.measured.any() else None
        failed = np.isnan(raw) | (raw == -np.inf)
        if goals is None:
            failed |= _outliers(raw)
        finite = np.isfinite(raw) & ~failed
        value = np.where(finite, raw, raw[finite].max() if finite.any() else 0.0)
        weight = np.ones(len(pending.position)) if weights is None else np.asarray(weights, dtype=float)
        return cls(
            observed.position,
            observed.active,
            value,
            failed,
            pending.position,
            pending.active,
            weight,
            int(finite.sum()),
            observed.seen | pending.seen,
            goals,
        )


def _outliers(raw: Array) -> Mask:
    """Values to treat as failures, (n,): a diverged loss, a penalty.

    Their distance from the best value is more than :data:`OUTLIER_RATIO` times that of the first trials' median. There
    are none if the first trials already span many orders of magnitude.
    """
    first = raw[np.isfinite(raw)][:N_REFERENCE]
    if len(first) < 3:
        return np.zeros(len(raw), dtype=bool)
    low, middle, high = quantiles(first, (0.25, 0.5, 0.75)) - first.min()
    usual = middle > 0 and high < MIN_LOG_RANGE * low
    return np.asarray(np.isfinite(raw) & (raw - first.min() > OUTLIER_RATIO * middle) & usual)


def keys(positions: Array, active: Mask) -> list[bytes]:
    """Hashable keys, equal if positions agree to about a millionth of every range."""
    rounded = np.where(active, np.rint(positions * 1e6), -1).astype(np.int64)
    return [row.tobytes() for row in rounded]


def subsample(scores: Array, failed: Mask, most: int) -> Rows:
    """Rows of at most ``most`` trials, in order: the best, the latest, the latest failures, others evenly by rank."""
    if len(scores) <= most:
        return np.arange(len(scores))
    worked, broken = np.flatnonzero(~failed), np.flatnonzero(failed)
    room = most - min(len(broken), max(int(FAILED_SHARE * most), most - len(worked)))
    order = worked[np.argsort(scores[worked], kind="stable")]
    best = order[: int(BEST_SHARE * room)]
    latest = np.setdiff1d(worked, best)[-int(LATEST_SHARE * room) :] if room >= 1 / LATEST_SHARE else worked[:0]
    rest = order[len(best) :][~np.isin(order[len(best) :], latest)]
    few = min(room - len(best) - len(latest), len(rest))
    spread = rest[np.linspace(0, len(rest) - 1, few).round().astype(int)]
    known = np.concatenate([best, latest, spread])
    return np.sort(
        np.concatenate([known, broken[len(broken) - (most - len(known)) :] if most > len(known) else broken[:0]])
    )

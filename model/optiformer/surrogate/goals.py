"""Several objectives and constraints of a history, as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optiformer.gp.fronts import dominating
from optiformer.gp.kernels import Array, Mask
from optiformer.space.trial import Trial
from optiformer.surrogate.features import quantiles


@dataclass(frozen=True, eq=False)
class Goals:
    """What trials measured.

    Attributes:
        values: Objectives to minimize, (n, M), finite; those of failed trials are arbitrary.
        constraints: Constraints, fulfilled where they are at most 0, (n, K). One that a complete trial did not measure
            counts as fulfilled: it has the largest fulfilled value. One that a pruned trial did not measure is NaN.
        failed: Which trials failed, (n,).
        pruned: Which trials have an infinite value, if there is one objective, (n,). They are not feasible.
    """

    values: Array
    constraints: Array
    failed: Mask
    pruned: Mask

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> Goals | None:
        """Those of trials; ``None`` if all have at most one value and no constraint."""
        n_constraints = max((len(trial.constraints) for trial in trials), default=0)
        n_values = max((len(trial.values) for trial in trials), default=0)
        if n_constraints == 0 and n_values < 2:
            return None
        no_values, no_constraints = (math.nan,) * max(n_values, 1), (math.nan,) * n_constraints
        values, constraints = np.array([no_values] * len(trials)), np.array([no_constraints] * len(trials))
        complete = [row for row, trial in enumerate(trials) if trial.value is not None]
        if complete:
            worked = [trials[row] for row in complete]
            values[complete] = [trial.values if n_values > 1 else (trial.value,) for trial in worked]
            constraints[complete] = [
                (*trial.constraints, *no_constraints[len(trial.constraints) :]) for trial in worked
            ]
        failed = (np.isnan(values) | (values == -np.inf)).any(1)
        pruned = (values == np.inf).any(1) & (n_values < 2)
        measured = _measured(constraints)
        measured[pruned[:, None] & np.isnan(constraints)] = np.nan
        return cls(_finite(values), measured, failed, pruned)

    @property
    def infeasible(self) -> Mask:
        """Trials that break a constraint or are pruned, (n,)."""
        return np.asarray(((self.constraints > 0).any(1) | self.pruned) & ~self.failed)

    @property
    def feasible(self) -> Mask:
        """Complete trials that fulfil all constraints, (n,)."""
        return ~self.infeasible & ~self.failed

    @property
    def measured(self) -> Mask:
        """Complete trials with all constraints, (n,)."""
        return ~self.failed & ~self.pruned & ~np.isnan(self.constraints).any(1)

    def violation(self) -> Array:
        """Sum over the constraints of their excess above 0, each in units of its median excess, (n,)."""
        excess = np.fmax(self.constraints, 0)
        units = [quantiles(column[column > 0], (0.5,))[0] if (column > 0).any() else 1.0 for column in excess.T]
        return np.asarray((excess / np.array(units)).sum(1))

    def ranking(self) -> Array:
        """Numbers that rank the trials, lower is better, (n,); infinite for pruned ones, NaN for failed ones.

        Feasible trials have their value, or with several objectives the number of feasible ones that dominate them; the
        violation ranks infeasible ones behind. If none is feasible, it is the violation alone.
        """
        violation, feasible = self.violation(), self.feasible
        found = violation
        if feasible.any():
            found = self.values[:, 0].copy()
            if self.values.shape[1] > 1:
                found[feasible] = dominating(self.values[feasible])
            worst, span = found[feasible].max(), np.ptp(found[feasible]) or 1.0
            found = np.where(feasible, found, worst + span * (1 + violation))
        return np.where(self.failed, np.nan, np.where(self.pruned, np.inf, found))


def _finite(values: Array) -> Array:
    """Values whose infinite or missing ones are the worst finite one of their column."""
    worst = np.max(values, 0, where=np.isfinite(values), initial=-np.inf)
    return np.where(np.isfinite(values), values, np.where(np.isfinite(worst), worst, 0.0))


def _measured(constraints: Array) -> Array:
    """Constraints without NaN and infinite values."""
    finite = np.isfinite(constraints)
    fulfilled = np.max(constraints, 0, where=finite & (constraints <= 0), initial=-np.inf)
    extreme = 1 + np.abs(constraints).max(0, where=finite, initial=0.0)
    filled = np.where(np.isnan(constraints), np.where(np.isfinite(fulfilled), fulfilled, 0.0), constraints)
    return np.clip(filled, -extreme, extreme)

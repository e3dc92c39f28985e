"""The history that a surrogate is conditioned on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optiformer.gp.kernels import Array, Mask


@dataclass(frozen=True, eq=False)
class Observed:
    """Observed trials as matrices.

    Attributes:
        position: Values in [0, 1], (n, S).
        active: Which parameters a trial has, (n, S).
        value: Finite values to minimize, (n,); arbitrary for failed trials.
        failed: Which trials failed, (n,); not all.
        infeasible: Which others break a constraint, (n,), not all of them; ``None`` without constraints.
    """

    position: Array
    active: Mask
    value: Array
    failed: Mask
    infeasible: Mask | None = None

    @property
    def feasible(self) -> Mask:
        """Trials that improvements refer to, (n,)."""
        return ~self.failed if self.infeasible is None else ~self.failed & ~self.infeasible

    @property
    def by_preference(self) -> Array:
        """Values that rank infeasible trials behind feasible ones, (n,)."""
        return self.value if self.infeasible is None else self.value + self.infeasible * (1 + np.ptp(self.value))

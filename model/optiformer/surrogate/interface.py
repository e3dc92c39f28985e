"""Interface between search and surrogate: condition on a history, then predict candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from optiformer.gp.acquisition import Acquisition
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Kinds
from optiformer.surrogate.gp_surrogate import GPSurrogate
from optiformer.surrogate.observed import Observed


class ConditionedSurrogate(Protocol):
    """A surrogate conditioned on one history."""

    @property
    def expected_improvement(self) -> Acquisition:
        """Expected improvement under a plain GP."""
        ...

    def probability_of_improvement(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """Probability that candidates (m, S) improve by a margin in units of the distance from best to median, (m,)."""
        ...

    def prior_correlation(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """Prior correlations of the function values at configurations (m, S) and at others (n, S), (m, n)."""
        ...

    def prior_correlation_rows(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """A function from a row to the prior correlations of that configuration with all (m, S), (m,)."""
        ...


class Surrogate(Protocol):
    """A trained network, or what stands in its place."""

    @property
    def gp(self) -> GPSurrogate:
        """The plain GP: that of each objective and constraint, if there are several."""
        ...

    def condition(self, kinds: Kinds, observed: Observed, *, evaluations: int) -> ConditionedSurrogate:
        """Condition on a history; ``evaluations`` of the marginal likelihood fit the plain GP to it."""
        ...

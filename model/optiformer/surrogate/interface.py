"""Interface between search and surrogate: condition on a history, then predict candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from optiformer.gp.expected_improvement import ExpectedImprovement
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.posterior import Kinds


@dataclass(frozen=True, eq=False)
class Observed:
    """Observed trials as matrices.

    Attributes:
        position: Values in [0, 1], (n, S).
        active: Which parameters a trial has, (n, S).
        value: Finite values to minimize, (n,); arbitrary for failed trials.
        failed: Which trials failed, (n,); not all.
    """

    position: Array
    active: Mask
    value: Array
    failed: Mask


class ConditionedSurrogate(Protocol):
    """A surrogate conditioned on one history."""

    @property
    def expected_improvement(self) -> ExpectedImprovement:
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

    def condition(self, kinds: Kinds, observed: Observed, *, evaluations: int) -> ConditionedSurrogate:
        """Condition on a history; ``evaluations`` of the marginal likelihood fit the plain GP to it."""
        ...

"""What the search asks of a network: condition on a history, then say what it believes about candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from optiformer.gp.improvement import ProcessImprovement
from optiformer.gp.kernels import Array, Mask
from optiformer.gp.processes import Kinds


@dataclass(frozen=True, eq=False)
class Told:
    """A history as matrices.

    Attributes:
        position: Values in [0, 1], (n, S).
        active: Which parameters a trial has, (n, S).
        value: Finite values to minimize, (n,); of a failed trial any number.
        failed: Which trials failed, (n,); not all.
    """

    position: Array
    active: Mask
    value: Array
    failed: Mask


class Belief(Protocol):
    """What a network makes of one history."""

    @property
    def improvement(self) -> ProcessImprovement | None:
        """What one of its Gaussian processes alone expects to gain, if it has any."""
        ...

    def improving(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """The probability that candidates (m, S) improve by a margin in gaps between best and median, (m,)."""
        ...

    def related(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """How the function's values at configurations (m, S) correlate with those at others (n, S): (m, n)."""
        ...

    def alike(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """As :meth:`related`, of candidates with one of them, given its row: (m,)."""
        ...


class Surrogate(Protocol):
    """A trained network.

    Attributes:
        slots: How many parameters it sees at most.
        has_processes: Whether its beliefs have an ``improvement``.
    """

    @property
    def slots(self) -> int: ...
    @property
    def has_processes(self) -> bool: ...

    def condition(self, kinds: Kinds, told: Told, *, evaluations: int) -> Belief:
        """Read a history; ``evaluations`` of the marginal likelihood fit the processes to it."""
        ...

"""An adapter's memory of the trials: values, failures and pending configurations."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from optibench_optimizers.base import Observation, Optimizer, Suggestion

T = TypeVar("T")

HUGE = 1e100
"""Models see values clipped to this bound, so that their squares stay finite."""


def succeeded(observation: Observation) -> bool:
    """Whether there is a value to learn from; infinity and NaN count as failures, whatever the state says."""
    return observation.state == "ok" and math.isfinite(observation.value)


def objectives(observation: Observation) -> tuple[float, ...] | None:
    """The objectives to learn from, of a feasible or infeasible trial; ``None`` of a failed one."""
    if observation.values and observation.state in ("ok", "infeasible"):
        numbers = (*observation.values, *observation.constraints)
        return observation.values if all(map(math.isfinite, numbers)) else None
    return (float(observation.value),) if succeeded(observation) else None


def key(config: Mapping[str, Any], fidelity: Mapping[str, Any] | None = None) -> Hashable:
    """Equal for equal configurations at equal fidelities, whatever the order of their parameters."""
    return frozenset(config.items()), frozenset((fidelity or {}).items())


class Pending(Generic[T]):
    """Pending configurations: a library's own handle for each, oldest first."""

    def __init__(self) -> None:
        self._handles: defaultdict[Hashable, deque[T]] = defaultdict(deque)

    def add(self, config: Mapping[str, Any], handle: T, fidelity: Mapping[str, Any] | None = None) -> None:
        self._handles[key(config, fidelity)].append(handle)

    def waiting(self) -> list[T]:
        """The handles of all pending configurations."""
        return [handle for handles in self._handles.values() for handle in handles]

    def pop(self, config: Mapping[str, Any], fidelity: Mapping[str, Any] | None = None) -> T | None:
        """The oldest handle of that configuration; ``None`` if it is not pending."""
        pending = key(config, fidelity)
        handles = self._handles.get(pending)
        if handles is None:
            return None
        handle = handles.popleft()
        if not handles:
            del self._handles[pending]
        return handle


class PendingOptimizer(Optimizer):
    """An optimizer that remembers its pending suggestions, each with a handle of the library."""

    _pending: Pending[Any]

    def withdraw(self, suggestions: Sequence[Suggestion]) -> None:
        for suggestion in suggestions:
            self._pending.pop(suggestion.config, suggestion.fidelity)


class Values:
    """The observed values, in order, where a failed trial counts as the worst success so far.

    Leaving failures out would make a deterministic acquisition function propose the same failing point for ever.
    While nothing has succeeded, failures count as 0.
    """

    def __init__(self) -> None:
        self._values: list[float | None] = []
        self.worst = -math.inf
        self.best = math.inf

    def __len__(self) -> int:
        return len(self._values)

    @property
    def any_succeeded(self) -> bool:
        return math.isfinite(self.best)

    def add(self, observation: Observation) -> None:
        if succeeded(observation):
            value = min(max(float(observation.value), -HUGE), HUGE)
            self.worst = max(self.worst, value)
            self.best = min(self.best, value)
            self._values.append(value)
        else:
            self._values.append(None)

    def imputed(self) -> list[float]:
        """One finite value a trial."""
        penalty = self.worst if self.any_succeeded else 0.0
        return [penalty if value is None else value for value in self._values]

"""Batch selection with local penalization, and the queue that serves the batch to later asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optiformer.space.trial import Trial

Config = dict[str, Any]
Array = NDArray[np.float64]


@dataclass(eq=False)
class ProposalQueue:
    """Proposals for the next asks, and the history they were selected for."""

    history: list[Trial]
    configs: list[Config]

    def next(self, trials: Sequence[Trial], pending: Sequence[Mapping[str, Any]]) -> Config | None:
        """The next proposal that is neither tried nor pending; ``None`` if ``trials`` do not continue the history."""
        if not self.configs or list(trials[: len(self.history)]) != self.history:
            return None
        since = [trial.config for trial in trials[len(self.history) :]]
        while self.configs:
            config = self.configs.pop(0)
            if config not in since and config not in pending:
                return config
        return None


def select_batch(
    gains: Array,
    schedule: Sequence[int],
    correlation_row: Callable[[int], Array],
    allowed: Callable[[int], bool] | None = None,
    left: Array | None = None,
) -> list[int]:
    """Greedily select candidates to be evaluated together.

    Observing a point whose function value has prior correlation ``r`` with a candidate's reduces the candidate's
    posterior standard deviation by the factor ``sqrt(1 - r^2)``; its acquisition value is multiplied by the same
    factor. This is local penalization (González et al., 2016) with the GP's conditional deviation as the penalty.

    Args:
        gains: Values of the candidates under each acquisition function, (m, A).
        schedule: Index of the acquisition function that makes each selection.
        correlation_row: Prior correlations of one candidate's function value with all, (m,), by its row.
        allowed: Whether a candidate may be selected; all may by default.
        left: Factors by which pending configurations reduce the deviations, (m,); 1 by default.

    Returns:
        Rows in the order of selection, at most ``len(schedule)``.
    """
    gains = gains - gains.min(0, initial=np.inf)
    left, chosen = np.ones(len(gains)) if left is None else left, list[int]()
    open_ = np.ones(len(gains), dtype=bool)
    for acquisition in schedule:
        while open_.any():
            row = int(np.where(open_, gains[:, acquisition] * left, -1.0).argmax())
            open_[row] = False
            if allowed is None or allowed(row):
                chosen.append(row)
                if len(chosen) < len(schedule):
                    left = left * np.sqrt(1 - correlation_row(row).clip(-1, 1) ** 2)
                break
    return chosen

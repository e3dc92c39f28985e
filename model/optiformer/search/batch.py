"""Proposals made ahead: which of the scored candidates, and how long they hold."""

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
class Plan:
    """Configurations to propose next, and the history that they were made from."""

    history: list[Trial]
    configs: list[Config]

    def next(self, trials: Sequence[Trial], running: Sequence[Mapping[str, Any]]) -> Config | None:
        """The next configuration that is neither tried nor running; none if the history is not this one's sequel."""
        if not self.configs or list(trials[: len(self.history)]) != self.history:
            return None
        since = [trial.config for trial in trials[len(self.history) :]]
        while self.configs:
            config = self.configs.pop(0)
            if config not in since and config not in running:
                return config
        return None


def diverse(
    gains: Array,
    turns: Sequence[int],
    alike: Callable[[int], Array],
    allowed: Callable[[int], bool] | None = None,
    left: Array | None = None,
) -> list[int]:
    """Candidates to propose one after another without being told between what the former ones were worth.

    Having tried a point whose function value correlates by ``r`` with a candidate's leaves the candidate the share
    ``sqrt(1 - r^2)`` of its deviation; its gain is discounted by that share (the idea of local penalization, González
    et al., 2016, with a Gaussian process's own conditional deviation as penalty).

    Args:
        gains: Of the candidates by each acquisition function, (m, A).
        turns: Which acquisition function chooses, first to last.
        alike: Correlations of one candidate's function value with all others', (m,).
        allowed: Whether a candidate may be proposed; all may unless told.
        left: The shares of their deviations that pending configurations leave the candidates, (m,); all unless told.

    Returns:
        Rows, at most as many as there are turns.
    """
    gains = gains - gains.min(0, initial=np.inf)
    left, chosen = np.ones(len(gains)) if left is None else left, list[int]()
    open_ = np.ones(len(gains), dtype=bool)
    for turn in turns:
        while open_.any():
            row = int(np.where(open_, gains[:, turn] * left, -1.0).argmax())
            open_[row] = False
            if allowed is None or allowed(row):
                chosen.append(row)
                if len(chosen) < len(turns):
                    left = left * np.sqrt(1 - alike(row).clip(-1, 1) ** 2)
                break
    return chosen

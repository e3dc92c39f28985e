"""The training data of SMAC's models: costs without infinite logarithms, and a constant lie for pending trials.

SMAC's run history includes pending trials, so that it proposes nothing twice, but its models are trained on finished
trials only: without a lie for the others, the points of a batch crowd around one place.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from smac.facade.abstract_facade import AbstractFacade
from smac.runhistory.dataclasses import TrialKey, TrialValue
from smac.runhistory.encoder import RunHistoryEncoder, RunHistoryLogScaledEncoder
from smac.runhistory.enumerations import StatusType

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LyingEncoder(RunHistoryEncoder):
    """SMAC's encoder, for which a running trial has the median cost (constant liar; Ginsbourger et al., 2010).

    The median is over the finished trials of the fidelity on which the model is trained; running trials of other
    fidelities are left out, as finished ones are. Without a finished trial there is no lie.
    """

    def _get_considered_trials(self, budget_subset: list[Any] | None = None) -> dict[TrialKey, TrialValue]:
        found = super()._get_considered_trials(budget_subset)
        if found:
            lie = np.median([value.cost for value in found.values()], axis=0).tolist()  # of several costs, each one's
            for key, value in self.runhistory.items():
                if value.status == StatusType.RUNNING and (budget_subset is None or key.budget in budget_subset):
                    found[key] = replace(value, cost=lie)
        return found


class FiniteLogEncoder(LyingEncoder, RunHistoryLogScaledEncoder):
    """SMAC's log scale without minus infinity.

    SMAC lowers the minimum by 1e-10 before it takes logarithms, which vanishes beside values of a million or more: if
    the best value is a tie, it then takes the logarithm of 0, and its forest refuses to train. The smallest relative
    difference of a double replaces that 0.
    """

    def transform_response_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = super().transform_response_values(values)
        scaled[np.isneginf(scaled)] = math.log(np.finfo(np.float64).eps)
        return scaled


class Retraining:
    """Makes SMAC retrain for every ask while trials are pending, and once more afterwards.

    SMAC retrains after a number of proposals, and only if there are more trials than before; it does not notice new
    lies, nor lies that became values. This does nothing if no trial is ever pending.

    Args:
        facade: A SMAC facade whose encoder is a :class:`LyingEncoder`.
    """

    def __init__(self, facade: AbstractFacade) -> None:
        self._intensifier = facade.intensifier
        self._tries = self._intensifier.config_selector._max_new_config_tries
        self._lied = False

    def before_ask(self, *, waiting: bool) -> None:
        """Call before each ask; ``waiting`` says whether any trial is pending."""
        if waiting or self._lied:
            selector = self._intensifier.config_selector
            selector._previous_entries = -1  # no valid number of trials: SMAC retrains when it next needs candidates
            selector._max_new_config_tries = self._tries  # each restart adds the number of trials to it
            self._intensifier.config_selector = selector  # restarts with the rest of its initial design
        self._lied = waiting

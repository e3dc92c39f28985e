"""What SMAC's models are shown: costs without infinite logarithms, and of what is still out a constant lie.

SMAC keeps in its run history what it has proposed and not been told, so that it proposes nothing twice, but its models
are trained on finished trials only: without an account of the others, the points of a batch crowd around one place.
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

    The median is that of the finished trials which the model is trained on, those of one fidelity; running trials of
    other fidelities are left out, as finished ones are. Without a finished trial there is no lie either.
    """

    def _get_considered_trials(self, budget_subset: list[Any] | None = None) -> dict[TrialKey, TrialValue]:
        found = super()._get_considered_trials(budget_subset)
        if found:
            lie = float(np.median([value.cost for value in found.values()]))
            for key, value in self.runhistory.items():
                if value.status == StatusType.RUNNING and (budget_subset is None or key.budget in budget_subset):
                    found[key] = replace(value, cost=lie)
        return found


class FiniteLogEncoder(LyingEncoder, RunHistoryLogScaledEncoder):
    """SMAC's log scale without its minus infinity.

    SMAC lowers the minimum by 1e-10 before it takes logarithms, which is nothing beside values of a million and more:
    where the best value is a tie, it then takes the logarithm of 0 and its forest refuses to train. The smallest
    relative difference that a double holds stands in for that 0.
    """

    def transform_response_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = super().transform_response_values(values)
        scaled[np.isneginf(scaled)] = math.log(np.finfo(np.float64).eps)
        return scaled


class Retraining:
    """Has SMAC train anew for every ask while something is out, and once more when nothing is any longer.

    SMAC trains after every so many proposals, and then only if there are more trials than before; neither notices what
    lies say, nor that a lie became a value. While nothing is ever out, this does nothing.

    Args:
        facade: A SMAC facade whose encoder is a :class:`LyingEncoder`.
    """

    def __init__(self, facade: AbstractFacade) -> None:
        self._intensifier = facade.intensifier
        self._tries = self._intensifier.config_selector._max_new_config_tries
        self._lied = False

    def before_ask(self, *, waiting: bool) -> None:
        """To be called before each ask; ``waiting`` says whether anything is out."""
        if waiting or self._lied:
            selector = self._intensifier.config_selector
            selector._previous_entries = -1  # not the number of any trials: SMAC trains when it next wants candidates
            selector._max_new_config_tries = self._tries  # each beginning adds to it the number of trials
            self._intensifier.config_selector = selector  # it begins again, with what its initial design has left
        self._lied = waiting

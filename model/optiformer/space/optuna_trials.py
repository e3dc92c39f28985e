"""Trials of an Optuna study as the model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from optiformer.space.trial import Trial

Distributions = dict[str, BaseDistribution]


@dataclass(frozen=True)
class Reading:
    """How finished trials become the model's.

    Attributes:
        space: The search space.
        signs: -1 for each objective that is maximized, else 1.
        constraints: Names of the constraints.
    """

    space: Distributions
    signs: tuple[float, ...]
    constraints: tuple[str, ...]

    def trial(self, past: FrozenTrial) -> Trial:
        """The trial with categories by index; without parameters if one lies outside the space."""
        config, measured = internal(past.params, self.space), past.constraints
        limits = tuple(float(measured.get(name, np.nan)) for name in self.constraints)
        if len(self.signs) == 1:
            return Trial(config, value_of(past, self.signs[0]), constraints=limits)
        if past.state != TrialState.COMPLETE or past.values is None:
            return Trial(config, None)
        values = tuple(sign * float(value) for sign, value in zip(self.signs, past.values, strict=True))
        return Trial(config, values[0], values, limits)


def value_of(trial: FrozenTrial, sign: float) -> float | None:
    """The value to minimize: infinite for pruned trials, ``None`` for failed ones."""
    if trial.state == TrialState.PRUNED:
        return np.inf
    return sign * float(trial.value) if trial.state == TrialState.COMPLETE and trial.value is not None else None


def internal(params: Mapping[str, Any], space: Distributions) -> dict[str, Any]:
    """A trial's parameters, categories by index; empty if one lies outside the current space."""
    config: dict[str, Any] = {}
    for name, distribution in space.items():
        if name not in params:
            continue
        try:
            number = distribution.to_internal_repr(params[name])
        except ValueError:
            return {}  # the parameter had different choices
        if not distribution._contains(number):
            return {}
        config[name] = int(number) if isinstance(distribution, CategoricalDistribution) else params[name]
    return config


def external(value: Any, distribution: BaseDistribution) -> Any:
    """The value of a parameter as Optuna has it, from the index of a category or a number."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[value]
    return distribution.to_external_repr(float(value))

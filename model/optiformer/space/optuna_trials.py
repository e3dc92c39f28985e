"""Trials of an Optuna study as the model's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
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


def covering(trials: Iterable[FrozenTrial]) -> Distributions:
    """All parameters of these trials, each with a distribution that covers its ranges in all of them.

    Of a parameter that changed its kind, scale or choices, it is the latest one.
    """
    space: Distributions = {}
    for past in trials:
        for name, latest in past.distributions.items():
            space[name] = _hull(space.get(name, latest), latest)
    return space


def _hull(known: BaseDistribution, latest: BaseDistribution) -> BaseDistribution:
    if known == latest:
        return latest
    try:
        check_distribution_compatibility(known, latest)
    except ValueError:
        return latest
    if isinstance(known, FloatDistribution) and isinstance(latest, FloatDistribution):
        return FloatDistribution(min(known.low, latest.low), max(known.high, latest.high), log=latest.log)
    if isinstance(known, IntDistribution) and isinstance(latest, IntDistribution):
        low, high = min(known.low, latest.low), max(known.high, latest.high)
        step = 1 if latest.log else math.gcd(known.step, latest.step, known.low - latest.low)
        return IntDistribution(low, high, log=latest.log, step=step)
    return latest


def external(value: Any, distribution: BaseDistribution) -> Any:
    """The value of a parameter as Optuna has it, from the index of a category or a number."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[value]
    return distribution.to_external_repr(float(value))

"""Probability that a configuration fails, by Bayesian averaging of simple models.

Trials fail at random (memory, preemption) or because of their configuration. Each model predicts a failure rate: the
same everywhere; local in all parameters or in one numeric parameter, at several widths; or shared by configurations
that agree in one or two discrete parameters. Models are weighted by their leave-one-out likelihood times a prior. If
the trials nearby, as measured by the objective's kernels, failed more often than the average predicts, their rate is
used instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from optiformer.gp.kernels import MISMATCH_SQ, Array, Mask, squared_distances
from optiformer.gp.posterior import Kinds

#: Widths of neighbourhoods, in units of the square root of the number of parameters.
WIDTHS = (0.05, 0.1, 0.2, 0.4)
#: Widths of neighbourhoods in one numeric parameter.
WIDTHS_1D = (0.03, 0.1)
#: Prior weights: a constant rate; local in all parameters; in one numeric one; one discrete parameter; two.
PRIOR = (0.96, 0.01, 0.01, 0.01, 0.01)
#: Maximum number of values of a discrete parameter, and maximum number of discrete parameters considered in pairs.
MAX_DISCRETE, MAX_PAIRED = 16, 10
#: Weight of the constant rate in a local rate, in trials.
RATE_TRIALS = 1.0
#: Weight of the averaged rate in the rate nearby, in trials.
NEARBY_TRIALS = 0.3
Similarity = Callable[[Array, Mask, Array, Mask], Array]


class FailureModel:
    """Failure probabilities learned from one history.

    Args:
        kinds: Types of the parameters.
        position: The trials' values in [0, 1], (n, S).
        active: Which parameters they have, (n, S).
        failed: Which of them failed, (n,).
    """

    def __init__(self, kinds: Kinds, position: Array, active: Mask, failed: Mask) -> None:
        self._position, self._active, self._failed = position, active, failed.astype(float)
        n, total = len(failed), self._failed.sum()
        self._rate = (total + 0.5) / (n + 1)
        others = (total - self._failed + 0.5) / n
        groups = [[], [_local(kinds, width) for width in WIDTHS], _local_1d(kinds), *_discrete(kinds)]
        self._models: list[Similarity] = [model for group in groups for model in group]
        evidence = [_evidence(others, self._failed)]
        for model in self._models:
            weight = model(position, active, position, active)
            np.fill_diagonal(weight, 0)
            predicted = (RATE_TRIALS * others + weight @ self._failed) / (RATE_TRIALS + weight.sum(1))
            evidence.append(_evidence(predicted, self._failed))
        priors = [PRIOR[0], *(share / len(group) for share, group in zip(PRIOR, groups, strict=True) for _ in group)]
        self._weights = np.exp(np.array(evidence) - max(evidence)) * np.array(priors)
        self._weights /= self._weights.sum()

    def probability(self, position: Array, active: Mask, prior_correlation: Array) -> Array:
        """Failure probabilities of configurations (m, S), (m,).

        Args:
            position: Their values in [0, 1].
            active: Which parameters they have.
            prior_correlation: Prior correlations of the objective there with that at the trials, (m, n).
        """
        found = np.full(len(position), self._weights[0] * self._rate)
        for share, model in zip(self._weights[1:], self._models, strict=True):
            if share > 1e-3:
                weight = model(position, active, self._position, self._active)
                found += share * (RATE_TRIALS * self._rate + weight @ self._failed) / (RATE_TRIALS + weight.sum(1))
            else:
                found += share * self._rate
        near = np.square(prior_correlation.clip(0, 1))
        nearby = (NEARBY_TRIALS * found + near @ self._failed) / (NEARBY_TRIALS + near.sum(1))
        return np.asarray(np.maximum(found, nearby))


def _evidence(predicted: Array, failed: Array) -> float:
    right = np.where(failed > 0, predicted, 1 - predicted)
    return float(np.log(np.maximum(right, 1e-12)).sum())


def _local(kinds: Kinds, width: float) -> Similarity:
    scale = 2 * width**2 * len(kinds)

    def similarity(a: Array, a_active: Mask, b: Array, b_active: Mask) -> Array:
        numbers = ~kinds.categorical
        square = squared_distances(np.where(a_active, a, 0.5)[:, numbers], np.where(b_active, b, 0.5)[:, numbers])
        for column in range(len(kinds)):
            other = a_active[:, None, column] != b_active[None, :, column]
            if kinds.categorical[column]:
                other |= ~_same(kinds, column, a, b) & a_active[:, None, column] & b_active[None, :, column]
            if other.any():
                square += MISMATCH_SQ * other
        return np.exp(-square / scale)

    return similarity


def _local_1d(kinds: Kinds) -> list[Similarity]:
    """Models local in one numeric parameter."""

    def near(column: int, width: float) -> Similarity:
        def similarity(a: Array, a_active: Mask, b: Array, b_active: Mask) -> Array:
            found = np.exp(-0.5 * np.square((a[:, None, column] - b[None, :, column]) / width))
            both = a_active[:, None, column] & b_active[None, :, column]
            return np.where(both, found, ~a_active[:, None, column] & ~b_active[None, :, column])

        return similarity

    return [near(column, width) for column in np.flatnonzero(~kinds.categorical).tolist() for width in WIDTHS_1D]


def _discrete(kinds: Kinds) -> tuple[list[Similarity], list[Similarity]]:
    """Models of one discrete parameter, and of two."""
    few = [column for column in range(len(kinds)) if 1 < kinds.levels[column] <= MAX_DISCRETE]

    def agreeing(columns: tuple[int, ...]) -> Similarity:
        def similarity(a: Array, a_active: Mask, b: Array, b_active: Mask) -> Array:
            found = np.ones((len(a), len(b)), dtype=bool)
            for column in columns:
                both = a_active[:, None, column] & b_active[None, :, column]
                neither = ~a_active[:, None, column] & ~b_active[None, :, column]
                found &= (both & _same(kinds, column, a, b)) | neither
            return found.astype(float)

        return similarity

    pairs = itertools.combinations(few[:MAX_PAIRED], 2)
    return [agreeing((column,)) for column in few], [agreeing(pair) for pair in pairs]


def _same(kinds: Kinds, column: int, a: Array, b: Array) -> Mask:
    """Whether values of a discrete parameter are equal, (len(a), len(b))."""
    cells = kinds.levels[column]
    return np.asarray(np.floor(a[:, None, column] * cells) == np.floor(b[None, :, column] * cells))

"""How likely a configuration fails, from which trials failed.

Trials fail for reasons of their own (memory, preemption) as well as because of their configuration. So several beliefs
are weighed by how well each foretells every trial from the others: a rate that is the same everywhere; rates that hold
in a neighbourhood of some width, of all parameters or of one number; and rates that hold where one or two discrete
parameters have the same values. Where the trials nearby, as the objective's kernels measure it, failed more often than
that, their rate counts: where all have failed so far, another one is not worth much, whatever the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from optiformer.gp.kernels import APART, Array, Mask, squared_distances
from optiformer.gp.processes import Kinds

#: Widths of neighbourhoods, in units of the square root of the number of parameters.
WIDTHS = (0.05, 0.1, 0.2, 0.4)
#: Widths of neighbourhoods in one number alone.
ALONE = (0.03, 0.1)
#: How much is expected of each belief beforehand: a constant rate, neighbourhoods, those in one number, one discrete
#: parameter, two.
PRIOR = (0.96, 0.01, 0.01, 0.01, 0.01)
#: A discrete parameter of more values than this is a number here; so many at most are looked at in pairs.
FEW, PAIRED = 16, 10
#: What the constant rate weighs in a local one, in trials.
BELIEF = 1.0
#: What the beliefs together weigh in the rate nearby, in trials.
NEARBY = 0.3
Alike = Callable[[Array, Mask, Array, Mask], Array]


class FailureModel:
    """Learned from one history.

    Args:
        kinds: The parameters.
        position: The trials' values in [0, 1], (n, S).
        active: Which parameters they have, (n, S).
        failed: Which of them failed, (n,).
    """

    def __init__(self, kinds: Kinds, position: Array, active: Mask, failed: Mask) -> None:
        self._position, self._active, self._failed = position, active, failed.astype(float)
        n, total = len(failed), self._failed.sum()
        self._rate = (total + 0.5) / (n + 1)
        others = (total - self._failed + 0.5) / n
        groups = [[], [_near(kinds, width) for width in WIDTHS], _alone(kinds), *_discrete(kinds)]
        self._beliefs: list[Alike] = [belief for group in groups for belief in group]
        evidence = [_evidence(others, self._failed)]
        for belief in self._beliefs:
            weight = belief(position, active, position, active)
            np.fill_diagonal(weight, 0)
            foretold = (BELIEF * others + weight @ self._failed) / (BELIEF + weight.sum(1))
            evidence.append(_evidence(foretold, self._failed))
        priors = [PRIOR[0], *(share / len(group) for share, group in zip(PRIOR, groups, strict=True) for _ in group)]
        self._weights = np.exp(np.array(evidence) - max(evidence)) * np.array(priors)
        self._weights /= self._weights.sum()

    def probability(self, position: Array, active: Mask, related: Array) -> Array:
        """Of failing, of configurations (m, S), (m,).

        Args:
            position: Their values in [0, 1].
            active: Which parameters they have.
            related: How the objective there correlates with that at the trials, (m, n).
        """
        found = np.full(len(position), self._weights[0] * self._rate)
        for share, belief in zip(self._weights[1:], self._beliefs, strict=True):
            if share > 1e-3:
                weight = belief(position, active, self._position, self._active)
                found += share * (BELIEF * self._rate + weight @ self._failed) / (BELIEF + weight.sum(1))
            else:
                found += share * self._rate
        near = np.square(related.clip(0, 1))
        nearby = (NEARBY * found + near @ self._failed) / (NEARBY + near.sum(1))
        return np.asarray(np.maximum(found, nearby))


def _evidence(foretold: Array, failed: Array) -> float:
    right = np.where(failed > 0, foretold, 1 - foretold)
    return float(np.log(np.maximum(right, 1e-12)).sum())


def _near(kinds: Kinds, width: float) -> Alike:
    scale = 2 * width**2 * len(kinds)

    def alike(a: Array, a_active: Mask, b: Array, b_active: Mask) -> Array:
        numbers = ~kinds.categorical
        square = squared_distances(np.where(a_active, a, 0.5)[:, numbers], np.where(b_active, b, 0.5)[:, numbers])
        for column in range(len(kinds)):
            other = a_active[:, None, column] != b_active[None, :, column]
            if kinds.categorical[column]:
                other |= ~_same(kinds, column, a, b) & a_active[:, None, column] & b_active[None, :, column]
            if other.any():
                square += APART * other
        return np.exp(-square / scale)

    return alike


def _alone(kinds: Kinds) -> list[Alike]:
    """Beliefs of one number."""

    def near(column: int, width: float) -> Alike:
        def alike(a: Array, a_active: Mask, b: Array, b_active: Mask) -> Array:
            found = np.exp(-0.5 * np.square((a[:, None, column] - b[None, :, column]) / width))
            both = a_active[:, None, column] & b_active[None, :, column]
            return np.where(both, found, ~a_active[:, None, column] & ~b_active[None, :, column])

        return alike

    return [near(column, width) for column in np.flatnonzero(~kinds.categorical).tolist() for width in ALONE]


def _discrete(kinds: Kinds) -> tuple[list[Alike], list[Alike]]:
    """Beliefs of one discrete parameter, and of two."""
    few = [column for column in range(len(kinds)) if 1 < kinds.levels[column] <= FEW]

    def agreeing(columns: tuple[int, ...]) -> Alike:
        def alike(a: Array, a_active: Mask, b: Array, b_active: Mask) -> Array:
            found = np.ones((len(a), len(b)), dtype=bool)
            for column in columns:
                both = a_active[:, None, column] & b_active[None, :, column]
                neither = ~a_active[:, None, column] & ~b_active[None, :, column]
                found &= (both & _same(kinds, column, a, b)) | neither
            return found.astype(float)

        return alike

    pairs = itertools.combinations(few[:PAIRED], 2)
    return [agreeing((column,)) for column in few], [agreeing(pair) for pair in pairs]


def _same(kinds: Kinds, column: int, a: Array, b: Array) -> Mask:
    """Whether a discrete parameter's values are the same, (len(a), len(b))."""
    cells = kinds.levels[column]
    return np.asarray(np.floor(a[:, None, column] * cells) == np.floor(b[None, :, column] * cells))

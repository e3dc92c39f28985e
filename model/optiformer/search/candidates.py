"""Candidate generators.

All take a :class:`SearchState` and a random generator and return positions (m, D), which the proposer snaps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SearchState:
    """What generators may use.

    Attributes:
        positions: Past trials that did not fail, (n, D).
        values: Their values, (n,).
        levels: See :class:`~optiformer.space.unit_space.UnitSpace`.
        categorical: See :class:`~optiformer.space.unit_space.UnitSpace`.
    """

    positions: Array
    values: Array
    levels: Array
    categorical: NDArray[np.bool_]


def sobol(state: SearchState, n: int, rng: np.random.Generator) -> Array:
    """A Sobol' sequence over all parameters, shifted at random modulo 1 (Cranley & Patterson, 1976)."""
    net = _sobol_net(len(state.levels), max(0, int(np.ceil(np.log2(max(n, 1))))))
    return np.asarray((net[:n] + rng.random(len(state.levels))) % 1.0)


@functools.lru_cache(maxsize=32)
def _sobol_net(d: int, log_n: int) -> Array:
    from scipy.stats import qmc

    return np.asarray(qmc.Sobol(d=d, scramble=False).random_base2(log_n))


def design(levels: Array, categorical: NDArray[np.bool_], seed: Sequence[int], number: int) -> Array:
    """One point of a study's initial design, (1, D): the middle, then a scrambled Sobol' sequence (Owen, 1998).

    The middle has the first choice of every categorical, which is often the default.
    """
    if number == 0:
        return np.where(categorical, 0.5 / np.maximum(levels, 1), 0.5)[None]
    from scipy.stats import qmc

    sequence = qmc.Sobol(d=len(levels), scramble=True, rng=np.random.default_rng([*seed]))
    if number > 1:
        sequence.fast_forward(number - 1)
    return np.asarray(sequence.random(1))


def elites(state: SearchState, n: int, rng: np.random.Generator) -> Array:
    """Draws from the best quarter of the trials, the rank proportional to the square of a uniform number."""
    order = np.argsort(state.values, kind="stable")
    reach = max(1, int(np.ceil(0.25 * len(order))))
    rank = np.minimum((rng.random(n) ** 2 * reach).astype(int), len(order) - 1)
    return np.asarray(state.positions[order[rank]])


def perturbed_elites(state: SearchState, n: int, rng: np.random.Generator) -> Array:
    """Elites with Gaussian steps of scales from 0.003 to 0.4."""
    return perturb(state, elites(state, n, rng), scales(n, rng, 0.003, 0.4), rng)


def crossed_elites(state: SearchState, n: int, rng: np.random.Generator) -> Array:
    """Uniform crossover of two elites, then small Gaussian steps."""
    between = np.where(rng.random((n, len(state.levels))) < 0.5, elites(state, n, rng), elites(state, n, rng))
    return perturb(state, between, scales(n, rng, 0.003, 0.1), rng)


def boundary_points(state: SearchState, n: int, rng: np.random.Generator) -> Array:
    """Elites with a quarter of the parameters moved to a bound."""
    centre = elites(state, n, rng)
    moved = rng.random(centre.shape) < 0.25
    return np.where(moved, np.rint(rng.random(centre.shape)), centre)


def scales(n: int, rng: np.random.Generator, low: float, high: float) -> Array:
    """Log-uniform step sizes, (n, 1)."""
    return np.exp(rng.uniform(np.log(low), np.log(high), (n, 1)))


def perturb(state: SearchState, centres: Array, scale: Array, rng: np.random.Generator) -> Array:
    """Gaussian steps in a random subset of the parameters, at least one; categories are resampled.

    Args:
        state: The search state.
        centres: (m, D).
        scale: Standard deviations, (m, 1); at least .8 of a cell on a grid.
        rng: Random numbers.
    """
    m, d = centres.shape
    moves = rng.random((m, d)) < rng.uniform(0.15, 1.0, (m, 1))
    moves[np.arange(m), rng.integers(d, size=m)] = True
    cell = np.where(state.levels > 0, 1 / np.maximum(state.levels, 1), 0.0)
    stepped = (centres + np.maximum(scale, 0.8 * cell) * rng.standard_normal((m, d))).clip(0.0, 1.0)
    redrawn = np.where(rng.random((m, d)) < 0.35, rng.random((m, d)), centres)
    return np.where(moves, np.where(state.categorical, redrawn, stepped), centres)

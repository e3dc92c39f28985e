"""Candidate generators: small functions from what is known to positions worth scoring, to be composed.

All take a :class:`Pool` and a random generator and return raw positions (m, D), which the proposer snaps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pool:
    """What generators may know.

    Attributes:
        positions: Past trials that did not fail, (n, D).
        values: Their values, (n,).
        levels: See :class:`~optiformer.space.unit_space.UnitSpace`.
        categorical: See :class:`~optiformer.space.unit_space.UnitSpace`.
        shown: Columns that the network sees; the others keep an elite's values in local candidates.
    """

    positions: Array
    values: Array
    levels: Array
    categorical: NDArray[np.bool_]
    shown: NDArray[np.int64]


def sobol(pool: Pool, n: int, rng: np.random.Generator) -> Array:
    """A Sobol' sequence over all parameters, shifted at random modulo 1 (Cranley & Patterson, 1976)."""
    net = _sobol_net(len(pool.levels), max(0, int(np.ceil(np.log2(max(n, 1))))))
    return np.asarray((net[:n] + rng.random(len(pool.levels))) % 1.0)


@functools.lru_cache(maxsize=32)
def _sobol_net(d: int, log_n: int) -> Array:
    from scipy.stats import qmc

    return np.asarray(qmc.Sobol(d=d, scramble=False).random_base2(log_n))


def design(levels: Array, categorical: NDArray[np.bool_], seed: Sequence[int], number: int) -> Array:
    """A study's first design, one row at a time, (1, D): the middle, then a scrambled Sobol' sequence (Owen, 1998).

    The middle has every first choice, which is often what people take for granted.
    """
    if number == 0:
        return np.where(categorical, 0.5 / np.maximum(levels, 1), 0.5)[None]
    from scipy.stats import qmc

    sequence = qmc.Sobol(d=len(levels), scramble=True, rng=np.random.default_rng([*seed]))
    if number > 1:
        sequence.fast_forward(number - 1)
    return np.asarray(sequence.random(1))


def elites(pool: Pool, n: int, rng: np.random.Generator) -> Array:
    """The better trials, the best one most often: ranks fall with the square of a uniform number."""
    order = np.argsort(pool.values, kind="stable")
    reach = max(1, int(np.ceil(0.25 * len(order))))
    rank = np.minimum((rng.random(n) ** 2 * reach).astype(int), len(order) - 1)
    return np.asarray(pool.positions[order[rank]])


def perturbed_elites(pool: Pool, n: int, rng: np.random.Generator) -> Array:
    """Elites moved at scales from 0.003 to 0.4."""
    return perturb(pool, elites(pool, n, rng), scales(n, rng, 0.003, 0.4), rng)


def crossed_elites(pool: Pool, n: int, rng: np.random.Generator) -> Array:
    """Each parameter from one of two elites, then moved a little."""
    between = np.where(rng.random((n, len(pool.levels))) < 0.5, elites(pool, n, rng), elites(pool, n, rng))
    return perturb(pool, between, scales(n, rng, 0.003, 0.1), rng)


def walls(pool: Pool, n: int, rng: np.random.Generator) -> Array:
    """Elites with some parameters at an end of their range."""
    centre = elites(pool, n, rng)
    moved = (rng.random(centre.shape) < 0.25) & np.isin(np.arange(centre.shape[1]), pool.shown)
    return np.where(moved, np.rint(rng.random(centre.shape)), centre)


def scales(n: int, rng: np.random.Generator, low: float, high: float) -> Array:
    """Log-uniform step sizes, (n, 1)."""
    return np.exp(rng.uniform(np.log(low), np.log(high), (n, 1)))


def perturb(pool: Pool, centres: Array, scale: Array, rng: np.random.Generator) -> Array:
    """Gaussian steps in a random share of the shown parameters, at least one; categories are drawn anew.

    Args:
        pool: What is known.
        centres: (m, D).
        scale: Standard deviations, (m, 1); never less than .8 of a cell on a grid.
        rng: Random numbers.
    """
    m, d = centres.shape
    moves = rng.random((m, d)) < rng.uniform(0.15, 1.0, (m, 1))
    moves[np.arange(m), pool.shown[rng.integers(len(pool.shown), size=m)]] = True
    hidden = np.ones(d, dtype=bool)
    hidden[pool.shown] = False
    moves[:, hidden] = False
    cell = np.where(pool.levels > 0, 1 / np.maximum(pool.levels, 1), 0.0)
    stepped = (centres + np.maximum(scale, 0.8 * cell) * rng.standard_normal((m, d))).clip(0.0, 1.0)
    redrawn = np.where(rng.random((m, d)) < 0.35, rng.random((m, d)), centres)
    return np.where(moves, np.where(pool.categorical, redrawn, stepped), centres)

"""A synthetic tuning problem: a function of the prior behind a typed, possibly conditional search space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layout:
    """Types of a problem's parameters, parents before children.

    Attributes:
        levels: Number of values, 0 if continuous; shape (D,).
        categorical: Whether values are unordered; shape (D,).
        parents: Index of each parameter's parent, -1 for none; shape (D,).
        active_levels: Number of the parent's first levels at which a parameter is active; shape (D,).
    """

    levels: NDArray[np.int64]
    categorical: NDArray[np.bool_]
    parents: NDArray[np.int64]
    active_levels: NDArray[np.int64]

    @property
    def dimensions(self) -> int:
        """Number of parameters."""
        return len(self.levels)

    def snap(self, positions: Array) -> Array:
        """Move positions (N, D) to the centres of the cells of discrete parameters."""
        discrete = self.levels > 0
        if not discrete.any():
            return positions
        levels = np.maximum(self.levels, 1)
        cells = (np.minimum((positions * levels).astype(np.int64), levels - 1) + 0.5) / levels
        return np.where(discrete, cells, positions)

    def active(self, positions: Array) -> NDArray[np.bool_]:
        """Which parameters are active at snapped positions, (N, D)."""
        active = np.ones(positions.shape, dtype=bool)
        for child in np.flatnonzero(self.parents >= 0):
            parent = self.parents[child]
            level = (positions[:, parent] * self.levels[parent]).astype(np.int64)
            active[:, child] = active[:, parent] & (level < self.active_levels[child])
        return active


@dataclass(frozen=True, eq=False)
class Warp:
    """Monotone output warp: ``exp`` stretches bad values, ``tanh`` and ``clip`` flatten them."""

    kind: str
    strength: float

    def __call__(self, z: Array) -> Array:
        """Warped values, shape kept."""
        if self.kind == "exp":
            return np.asarray(np.exp(np.clip(self.strength * z, -30, 30)) / self.strength)
        if self.kind == "tanh":
            return np.asarray(np.tanh(self.strength * z))
        if self.kind == "clip":
            return np.asarray(np.minimum(z, self.strength))
        return z


@dataclass(frozen=True, eq=False)
class SyntheticProblem:
    """A function behind a typed space, standardised on random points.

    Attributes:
        family: Family of the function.
        layout: Types of the parameters.
        function: The function on the unit cube.
        tables: For each categorical parameter, the coordinate of each choice; ``None`` for the others.
        mean: Subtracted from the function's output.
        scale: Divides the result.
        warp: Applied last.
        noise: Standard deviation of the observation noise.
        f_best: Best noise-free value among random points.
        f_ref: Median noise-free value of random points.
    """

    family: str
    layout: Layout
    function: Callable[[Array], Array]
    tables: tuple[Array | None, ...]
    mean: float = 0.0
    scale: float = 1.0
    warp: Warp = Warp("none", 1.0)
    noise: float = 0.0
    f_best: float = 0.0
    f_ref: float = 1.0

    def __call__(self, positions: Array) -> Array:
        """Noise-free values at positions, (N, D) -> (N,); inactive parameters have no effect."""
        x = self.layout.snap(positions)
        active = self.layout.active(x) if (self.layout.parents >= 0).any() else None
        for index, table in enumerate(self.tables):
            if table is not None:
                x = x.copy()
                x[:, index] = table[np.minimum((x[:, index] * len(table)).astype(np.int64), len(table) - 1)]
        if active is not None:
            x = np.where(active, x, 0.5)
        return self.warp((self.function(x) - self.mean) / self.scale)

    def regret(self, value: float) -> float:
        """Normalised regret of a noise-free value: 0 at the best known value, 1 at the median of random points."""
        return max(value - self.f_best, 0.0) / max(self.f_ref - self.f_best, 1e-12)

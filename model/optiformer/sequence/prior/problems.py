"""Prior over synthetic functions, spaces, output warps and noise for the sequence network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from optiformer.sequence.prior.audit import is_separable_bowl
from optiformer.sequence.prior.gp import sample_gp
from optiformer.sequence.prior.problem import Layout, SyntheticProblem, Warp
from optiformer.sequence.prior.symbolic import sample_symbolic
from optiformer.settings import Range, Share, check, require

Array = NDArray[np.float64]
Dimensions = Annotated[int, Range(1, 1000)]


@dataclass(frozen=True)
class PriorConfig:
    """The prior's settings.

    Attributes:
        gp: Share of Gaussian processes.
        symbolic: Share of expressions.
        mixed: Share of sums of the two.
        dimensions: Numbers of parameters, sampled uniformly.
        discrete: Probability of discrete parameters.
        conditional: Probability of conditional parameters if there are discrete ones.
        noisy: Probability of observation noise.
        warped: Probability of an output warp.
    """

    gp: Share = 0.65
    symbolic: Share = 0.2
    mixed: Share = 0.15
    dimensions: tuple[Dimensions, ...] = (1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7, 8, 8, 9, 10, 12, 14)
    discrete: Share = 0.6
    conditional: Share = 0.35
    noisy: Share = 0.4
    warped: Share = 0.5

    def __post_init__(self) -> None:
        check(self)
        total = self.gp + self.symbolic + self.mixed
        require(abs(total - 1) <= 1e-9, f"gp, symbolic and mixed must sum to 1, not {total:g}.")
        require(bool(self.dimensions), "dimensions must be one number or more.")


def sample_problem(
    rng: np.random.Generator, config: PriorConfig, rejected: Counter[str] | None = None
) -> SyntheticProblem:
    """Sample a problem; degenerate and evaluation functions are rejected and counted in ``rejected``."""
    rejected = Counter() if rejected is None else rejected
    while True:
        with np.errstate(all="ignore"):
            problem, flaw = _draw(rng, config)
        if not flaw:
            return problem
        rejected[flaw] += 1


def _draw(rng: np.random.Generator, config: PriorConfig) -> tuple[SyntheticProblem, str]:
    """One sample and its flaw (empty if none)."""
    dimensions = int(rng.choice(config.dimensions))
    layout = sample_layout(rng, dimensions, config)
    tables = tuple(
        rng.permutation((np.arange(n) + rng.random(n)) / n) if categorical else None
        for n, categorical in zip(layout.levels, layout.categorical, strict=True)
    )
    family = str(rng.choice(["gp", "symbolic", "mixed"], p=[config.gp, config.symbolic, config.mixed]))
    function = _sample_function(rng, family, dimensions)
    problem = SyntheticProblem(family, layout, function, tables)
    probes = rng.random((512, dimensions))
    values = problem(probes)
    flaw = find_flaw(values) or ("evaluation function" if is_separable_bowl(function, dimensions) else "")
    if flaw:
        return problem, flaw
    warp = _sample_warp(rng) if rng.random() < config.warped else Warp("none", 1.0)
    problem = replace(problem, mean=float(values.mean()), scale=float(values.std()), warp=warp)
    warped = problem(probes)
    noise = float(np.exp(rng.uniform(np.log(0.005), np.log(0.3)))) if rng.random() < config.noisy else 0.0
    best, ref = float(warped.min()), float(np.median(warped))
    return replace(problem, noise=noise * float(warped.std()), f_best=best, f_ref=ref), find_flaw(warped)


def find_flaw(values: Array) -> str:
    """Flaw of a function, judged by its values at random points; empty if none."""
    if not np.isfinite(values).all():
        return "not finite"
    spread = values.std()
    if spread < 1e-6 * max(1.0, np.abs(values).max()) or spread > 1e9:
        return "constant"
    # Half of the points tie, or one outlier has nearly all the variance.
    if (values == np.median(values)).mean() > 0.5 or (np.abs(values - values.mean()) > 0.05 * spread).mean() < 0.1:
        return "nearly constant"
    return ""


def _sample_function(rng: np.random.Generator, family: str, dimensions: int) -> Callable[[Array], Array]:
    if family == "gp":
        return sample_gp(rng, dimensions)
    if family == "symbolic":
        return sample_symbolic(rng, dimensions)
    return WeightedSum(sample_gp(rng, dimensions), sample_symbolic(rng, dimensions), float(rng.uniform(0.2, 1.5)))


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """``a(x) + weight * tanh(b(x))``: the bounded second part cannot drown the first."""

    a: Callable[[Array], Array]
    b: Callable[[Array], Array]
    weight: float

    def __call__(self, x: Array) -> Array:
        """Values at points of the unit cube, (N, D) -> (N,)."""
        return self.a(x) + self.weight * np.tanh(self.b(x))


def sample_layout(rng: np.random.Generator, dimensions: int, config: PriorConfig) -> Layout:
    """Draw the parameters' types."""
    levels = np.zeros(dimensions, dtype=np.int64)
    categorical = np.zeros(dimensions, dtype=bool)
    parents = np.full(dimensions, -1, dtype=np.int64)
    active_levels = np.zeros(dimensions, dtype=np.int64)
    if rng.random() < config.discrete:
        share = rng.choice([0.2, 0.5, 1.0], p=[0.5, 0.3, 0.2])
        discrete = rng.random(dimensions) < share
        counts = np.round(np.exp(rng.uniform(np.log(2), np.log(40), dimensions))).astype(np.int64)
        categorical = discrete & (rng.random(dimensions) < 0.35)
        counts = np.where(categorical, rng.integers(2, 7, dimensions), counts)
        levels = np.where(discrete, counts, 0)
        candidates = np.flatnonzero(discrete[:-1] & (levels[:-1] <= 6))
        if len(candidates) and rng.random() < config.conditional:
            parent = int(rng.choice(candidates))
            children = parent + 1 + np.flatnonzero(rng.random(dimensions - parent - 1) < 0.5)
            parents[children] = parent
            active_levels[children] = rng.integers(1, levels[parent], len(children))
    return Layout(levels, categorical, parents, active_levels)


def _sample_warp(rng: np.random.Generator) -> Warp:
    kind = str(rng.choice(["exp", "tanh", "clip"], p=[0.5, 0.25, 0.25]))
    ranges = {"exp": (0.3, 2.0), "tanh": (0.5, 2.0), "clip": (0.1, 1.5)}
    return Warp(kind, float(rng.uniform(*ranges[kind])))

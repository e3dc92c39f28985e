"""Mixture of all function families on random spaces, with output warping, noise and crashes.

Values are to be minimized and standardised over the space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from optiformer.surrogate.config import FunctionPriorConfig
from optiformer.surrogate.prior.gaussian_process import gaussian_process
from optiformer.surrogate.prior.perceptrons import perceptron
from optiformer.surrogate.prior.random_source import Function, RandomSource, quantile
from optiformer.surrogate.prior.spaces import SpaceBatch, sample_spaces
from optiformer.surrogate.prior.symbolic import symbolic
from optiformer.surrogate.prior.trees import trees
from optiformer.surrogate.prior.valleys import valleys

N_PROBES = 192
MAX_NOISE = 0.3
FAMILIES = {"gp": gaussian_process, "mlp": perceptron, "trees": trees, "valleys": valleys, "symbolic": symbolic}
#: R^2 of a separable parabola above which a function gets ripples, so that Sphere is not in the prior.
BOWL = 0.995


@dataclass(frozen=True, eq=False)
class ProblemBatch:
    """B functions with their spaces, noise and failures.

    Attributes:
        space: Their search spaces.
        function: Maps snapped positions (B, m, S) to noise-free values (B, m).
        noise: Standard deviation of the observations, (B, 1).
        step: Step of which observations are multiples, (B, 1); 0 for none.
        lost: Probability that a trial fails at random, (B, 1).
        diverged: Probability that an observation is far worse than all others, (B, 1); ``None`` for 0.
        fails: Maps positions to whether a trial fails there, (B, m) bool.
        probes: Uniform positions, (B, N_PROBES, S).
        values: Their noise-free values, (B, N_PROBES).
    """

    space: SpaceBatch
    function: Function
    noise: torch.Tensor
    step: torch.Tensor
    lost: torch.Tensor
    diverged: torch.Tensor | None
    fails: Function
    probes: torch.Tensor
    values: torch.Tensor

    def observed(self, draw: RandomSource, values: torch.Tensor) -> torch.Tensor:
        """Observations of noise-free values, (B, m)."""
        seen = values + self.noise * draw.normal(*values.shape)
        stepped = (seen / self.step.clamp(min=1e-9)).round() * self.step
        seen = torch.where(self.step > 0, stepped, seen)
        if self.diverged is None:
            return seen
        far = seen.amax(1, keepdim=True) + draw.log_uniform(*values.shape, low=10, high=1e6)
        return torch.where(draw.uniform(*values.shape) < self.diverged, far, seen)


def sample_problems(draw: RandomSource, config: FunctionPriorConfig, n: int, slots: int) -> ProblemBatch:
    """Draw ``n`` problems."""
    space = sample_spaces(draw, config, n, slots)
    probes = space.snap(draw.uniform(n, N_PROBES, slots))
    raw = _families(draw, config, space, n)
    centred = _standardised(raw, probes)
    rippled = _without_bowls(draw, centred, space, probes)
    warped = output_warp(draw, rippled, probes, n)
    flattened = _plateau(draw, config, warped, probes, n) if config.plateaus else warped
    function = _standardised(flattened, probes)
    noise = draw.log_uniform(n, 1, low=0.003, high=MAX_NOISE) * draw.chance(n, 1, of=config.noisy)
    fails = _crashes(draw, config, space, probes)
    step = draw.log_uniform(n, 1, low=0.005, high=0.5) * draw.chance(n, 1, of=config.stepped)
    lost = draw.log_uniform(n, 1, low=0.02, high=0.4) * draw.chance(n, 1, of=config.lost)
    diverged = None
    if config.diverged:
        diverged = draw.log_uniform(n, 1, low=0.01, high=0.1) * draw.chance(n, 1, of=config.diverged)
    return ProblemBatch(space, function, noise, step, lost, diverged, fails, probes, function(probes))


def _families(draw: RandomSource, config: FunctionPriorConfig, space: SpaceBatch, n: int) -> Function:
    """Functions of all families in consecutive rows; spaces are independent of rows, so no shuffling is needed."""
    kinds = draw.kind([getattr(config, name) for name in FAMILIES], n).sort().values
    parts = []
    for number, sample in enumerate(FAMILIES.values()):
        rows = (kinds == number).nonzero().squeeze(1)
        if len(rows):
            parts.append((rows, sample(draw, space.relevant[rows])))

    def function(position: torch.Tensor) -> torch.Tensor:
        z = space.coordinates(position, space.active(position))
        return torch.cat([part(z[rows]) for rows, part in parts])

    return function


def _standardised(function: Function, probes: torch.Tensor) -> Function:
    values = function(probes)
    mean, std = values.mean(1, keepdim=True), values.std(1, keepdim=True).clamp(min=1e-6)

    def standardised(position: torch.Tensor) -> torch.Tensor:
        return (function(position) - mean) / std

    return standardised


def _without_bowls(draw: RandomSource, function: Function, space: SpaceBatch, probes: torch.Tensor) -> Function:
    """Add ripples to sums of parabolas such as Sphere, ellipsoids and their shifted copies."""
    z = space.coordinates(probes, space.active(probes)) * space.relevant[:, None]
    basis = torch.cat([torch.ones_like(z[..., :1]), z, z.square()], -1)
    y = function(probes)[..., None]
    # In double precision: two levels of a grid make a parameter and its square collinear.
    exact = basis.double()
    ridge = 1e-4 * torch.eye(basis.shape[-1], device=draw.device, dtype=torch.float64)
    fit = exact @ torch.linalg.solve(exact.transpose(1, 2) @ exact + ridge, exact.transpose(1, 2) @ y.double())
    rest = (y - fit).square().mean((1, 2))
    continuous = (space.kinds.levels == 0) | ~space.relevant
    bowl = (rest < 1 - BOWL) & continuous.any(1)
    omega = draw.normal(len(z), z.shape[2], 1) * 9.0 * space.relevant[..., None]
    phase, size = draw.uniform(len(z), 1, high=6.28), draw.uniform(len(z), 1, low=0.25, high=0.6) * bowl[:, None]

    def rippled(position: torch.Tensor) -> torch.Tensor:
        inner = space.coordinates(position, space.active(position))
        ripples: torch.Tensor = size * torch.cos((inner @ omega).squeeze(-1) + phase)
        return function(position) + ripples

    return rippled


def output_warp(draw: RandomSource, function: Function, probes: torch.Tensor, n: int) -> Function:
    """Monotone output warps in both directions: long tails, flat floors, saturation, clipping."""
    kind = draw.kind((0.38, 0.17, 0.1, 0.08, 0.07, 0.1, 0.1), n)[:, None]
    a = draw.log_uniform(n, 1, low=0.3, high=1.6)
    flip = torch.where(draw.chance(n, 1, of=0.5), -1.0, 1.0)
    values = function(probes) * flip
    low = values.quantile(0.15, dim=1, keepdim=True)
    high = quantile(values, draw.uniform(n, 1, low=0.5, high=0.95))
    cut = draw.chance(n, 1, of=0.25)

    def warped(position: torch.Tensor) -> torch.Tensor:
        y = function(position) * flip
        warped = [
            y,
            (a * y.clamp(max=6)).exp(),
            (a * y).tanh(),
            (a * y.clamp(-6, 6)).sinh(),
            y.sign() * y.abs().sqrt(),
            torch.where(cut, y.clamp(min=low), y.clamp(max=high)),
            torch.nn.functional.softplus(3 * a * y),
        ]
        stacked = torch.stack(warped, -1)
        chosen = stacked.gather(-1, kind[..., None].expand(-1, y.shape[1], 1)).squeeze(-1)
        return torch.as_tensor(chosen * flip)

    return warped


def _plateau(
    draw: RandomSource, config: FunctionPriorConfig, function: Function, probes: torch.Tensor, n: int
) -> Function:
    """Clip some functions at their worst level in three to nine tenths of the space."""
    on = draw.chance(n, 1, of=config.plateaus)
    level = quantile(function(probes), draw.uniform(n, 1, low=0.1, high=0.7))
    level = torch.where(on, level, torch.full_like(level, torch.inf))

    def flattened(position: torch.Tensor) -> torch.Tensor:
        return torch.minimum(function(position), level)

    return flattened


def _crashes(draw: RandomSource, config: FunctionPriorConfig, space: SpaceBatch, probes: torch.Tensor) -> Function:
    """Failures beyond a hyperplane that cuts off one to four tenths of the space, in some functions."""
    n, slots = space.kinds.present.shape
    direction = draw.normal(n, slots, 1) * space.relevant[..., None] * draw.chance(n, slots, 1, of=0.5)
    on = draw.chance(n, 1, of=config.crashes) & (direction.abs().sum(1) > 0)

    def side(position: torch.Tensor) -> torch.Tensor:
        return (space.coordinates(position, space.active(position)) @ direction).squeeze(-1)

    edge = quantile(side(probes), draw.uniform(n, 1, low=0.6, high=0.9))

    def fails(position: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor((side(position) > edge) & on)

    return fails

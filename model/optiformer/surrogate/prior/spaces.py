"""Batches of random search spaces: numeric, grid and categorical parameters, conditions, irrelevant parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from optiformer.surrogate.config import FunctionPriorConfig
from optiformer.surrogate.network.features import SlotKinds
from optiformer.surrogate.prior.random_source import RandomSource

#: Maximum number of levels of a categorical or a parent.
MAX_LEVELS = 64
GRIDS = (2, 3, 3, 4, 4, 5, 5, 6, 8, 10, 10, 12, 16, 20, 32, 64, 200, 1000)
#: Upper bounds of log-scaled integers.
COUNTS = (8, 16, 16, 24, 32, 32, 50, 64, 100, 128, 256, 1000)
CATEGORIES = (2, 2, 3, 3, 4, 5, 5, 6, 8, 10)
#: Probabilities that a parameter is categorical and a grid, by kind of space: continuous, mixed, grid, choices.
SPACE_KINDS = ((0.0, 0.0), (0.2, 0.3), (0.05, 0.9), (0.9, 0.05))
SPACE_SHARES = (0.42, 0.26, 0.2, 0.12)
#: Value of inactive parameters in the functions; any constant would do.
IMPUTED = 0.5


@dataclass(frozen=True, eq=False)
class SpaceBatch:
    """B search spaces of up to S parameters.

    Attributes:
        kinds: Types of the slots.
        top: Upper bound of log-scaled integers from 1, 0 for other parameters, (B, S).
        relevant: Whether the functions depend on a parameter, (B, S) bool.
        embedding: Coordinates of a categorical's choices in the functions, in [0, 1], (B, S, MAX_LEVELS).
        child: Whether a parameter is a child of the root parent, (B, S) bool.
        parent: The root parent's slot, (B,).
        shown_at: The parent's levels at which its children are active, (B, S, MAX_LEVELS) bool.
        grandchild: Whether a parameter also has a child as its parent, (B, S) bool.
        second: That child's slot, (B,).
        cut: Position of the second parent above which its children are active, (B,).
    """

    kinds: SlotKinds
    top: torch.Tensor
    relevant: torch.Tensor
    embedding: torch.Tensor
    child: torch.Tensor
    parent: torch.Tensor
    shown_at: torch.Tensor
    grandchild: torch.Tensor
    second: torch.Tensor
    cut: torch.Tensor

    def snap(self, position: torch.Tensor) -> torch.Tensor:
        """Positions in [0, 1], discrete ones at the centre of their cell, absent ones at 0, (B, m, S)."""
        levels = self.kinds.levels[:, None]
        cells = levels.clamp(min=1)
        centre = (torch.minimum((position * cells).floor(), cells - 1) + 0.5) / cells
        # The outer edges of a log-scaled integer's first and last cell are at 0 and 1.
        low, high = math.log(0.5), (self.top[:, None] + 0.5).log()
        whole = (low + position * (high - low)).exp().round().clamp(min=1)
        whole = (torch.minimum(whole, self.top[:, None].clamp(min=1)).log() - low) / (high - low)
        centre = torch.where(self.top[:, None] > 0, whole, centre)
        discrete = (levels > 0) | (self.top[:, None] > 0)
        return torch.where(discrete, centre, position) * self.kinds.present[:, None]

    def active(self, position: torch.Tensor) -> torch.Tensor:
        """Which parameters are active, (B, m, S) bool; ``position`` is snapped."""
        m = position.shape[1]
        rows = torch.arange(len(position), device=position.device)
        index = (position[rows, :, self.parent] * self.kinds.levels[rows, self.parent][:, None]).long()
        index = index.clamp(max=MAX_LEVELS - 1)
        chosen = self.shown_at.gather(2, index[:, None].expand(-1, position.shape[2], -1)).transpose(1, 2)
        active = (~self.child[:, None] | chosen) & self.kinds.present[:, None]
        above = (position[rows, :, self.second] > self.cut[:, None]) & active[rows, :, self.second]
        return active & (~self.grandchild[:, None] | above.view(-1, m, 1))

    def coordinates(self, position: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """Inputs of the functions, (B, m, S): choices embedded in [0, 1], inactive parameters at :data:`IMPUTED`."""
        index = (position * self.kinds.levels[:, None]).long().clamp(max=MAX_LEVELS - 1)
        placed = self.embedding.gather(2, index.transpose(1, 2)).transpose(1, 2)
        z = torch.where(self.kinds.categorical[:, None], placed, position)
        return torch.where(active, z, IMPUTED)


def sample_spaces(draw: RandomSource, config: FunctionPriorConfig, n: int, slots: int) -> SpaceBatch:
    """Draw ``n`` search spaces; the parameters fill the first slots."""
    dimensions = draw.among(config.dimensions, n)
    present = torch.arange(slots, device=draw.device)[None] < dimensions[:, None]
    chances = torch.tensor(SPACE_KINDS, device=draw.device)[draw.kind(SPACE_SHARES, n)]
    u = draw.uniform(n, slots)
    categorical = (u < chances[:, :1]) & present
    grid = (u >= chances[:, :1]) & (u < chances.sum(1, keepdim=True)) & present
    levels = torch.where(categorical, draw.among(CATEGORIES, n, slots), draw.among(GRIDS, n, slots)).float()
    levels = levels * (categorical | grid)
    relevant = present & ~draw.chance(n, slots, of=config.unused)
    relevant[:, 0] |= ~relevant.any(1)
    kinds = SlotKinds(present, categorical, levels)
    # Drawn only if needed, so that other settings' random streams are unchanged.
    counts = draw.chance(n, slots, of=config.counts) if config.counts else torch.zeros_like(present)
    top = draw.among(COUNTS, n, slots) if config.counts else torch.zeros_like(levels)
    top = top * (counts & present & (levels == 0))
    return SpaceBatch(
        kinds, top.float(), relevant, draw.uniform(n, slots, MAX_LEVELS), **_conditions(draw, kinds, config.conditional)
    )


def _conditions(draw: RandomSource, kinds: SlotKinds, probability: float) -> dict[str, torch.Tensor]:
    n, slots = kinds.present.shape
    possible = (kinds.levels > 1) & (kinds.levels <= 6)
    parent = (possible * draw.uniform(n, slots)).argmax(1)
    has = possible.any(1) & draw.chance(n, of=probability)
    slot = torch.arange(slots, device=draw.device)
    share = draw.uniform(n, 1, low=0.3, high=0.9)
    child = (draw.uniform(n, slots) < share) & has[:, None] & (slot[None] != parent[:, None]) & kinds.present
    shown_at = draw.chance(n, slots, MAX_LEVELS, of=0.5)
    # Each child is active at one or more of the parent's levels.
    one = (draw.uniform(n, slots) * kinds.levels.gather(1, parent[:, None]).clamp(1, MAX_LEVELS)).long()
    shown_at = shown_at.scatter(2, one[..., None], True)
    second = (child * draw.uniform(n, slots)).argmax(1)
    nested = child.any(1) & draw.chance(n, of=0.3)
    grandchild = child & nested[:, None] & draw.chance(n, slots, of=0.4) & (slot[None] != second[:, None])
    return {
        "child": child,
        "parent": parent,
        "shown_at": shown_at,
        "grandchild": grandchild,
        "second": second,
        "cut": draw.uniform(n, low=0.2, high=0.8),
    }

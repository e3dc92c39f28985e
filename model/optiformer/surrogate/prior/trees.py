"""Sums of oblivious decision trees: steps, plateaus and interactions, with hard or soft edges."""

from __future__ import annotations

import torch

from optiformer.surrogate.prior.random_source import Function, RandomSource

N_TREES, DEPTH = 12, 4


def trees(draw: RandomSource, relevant: torch.Tensor) -> Function:
    """Draw one ensemble per row of ``relevant`` (b, S)."""
    b, slots = relevant.shape
    importance = (draw.normal(b, slots)).exp() * relevant
    split = torch.multinomial(importance, N_TREES * DEPTH, replacement=True, generator=draw.generator)
    threshold = draw.uniform(b, 1, N_TREES * DEPTH)
    width = draw.log_uniform(b, 1, 1, low=0.01, high=0.2)
    soft = draw.chance(b, 1, 1, of=0.4)
    leaves = draw.normal(b, 1, N_TREES, 2**DEPTH)
    # From one dominant tree to many equal ones.
    decay = draw.uniform(b, 1, 1, 1, low=0.5, high=1.0)
    leaves = leaves * decay ** torch.arange(N_TREES, device=draw.device)[None, None, :, None]

    def function(z: torch.Tensor) -> torch.Tensor:
        m = z.shape[1]
        seen = z.gather(2, split[:, None].expand(-1, m, -1))
        right = torch.where(soft, torch.sigmoid((seen - threshold) / width), (seen > threshold).float())
        right = right.view(b, m, N_TREES, DEPTH)
        reach = torch.ones(b, m, N_TREES, 1, device=z.device)
        for level in range(DEPTH):
            edge = right[..., level : level + 1]
            reach = torch.cat([reach * (1 - edge), reach * edge], -1)
        return (reach * leaves).sum((-1, -2))

    return function

"""Valleys typical of hyperparameters: one good region, asymmetric slopes, cliffs, saturation, coupled parameters."""

from __future__ import annotations

import torch

from optiformer.surrogate.prior.gaussian_process import gaussian_process
from optiformer.surrogate.prior.random_source import Function, RandomSource


def valleys(draw: RandomSource, relevant: torch.Tensor) -> Function:
    """Draw one valley per row of ``relevant`` (b, S)."""
    b, slots = relevant.shape
    # Optima inside the cube and beyond its boundary (monotone parameters).
    centre = torch.where(
        draw.chance(b, slots, of=0.25), draw.among((-0.15, 0.0, 1.0, 1.15), b, slots), draw.uniform(b, slots)
    )[:, None]
    importance = ((1.2 * draw.normal(b, slots)).exp() * relevant)[:, None]
    importance = importance / importance.sum(-1, keepdim=True).clamp(min=1e-6)
    slope = draw.log_uniform(b, 2, slots, low=0.4, high=4.0)
    power = draw.uniform(b, 1, slots, low=0.7, high=3.2)
    ceiling = draw.log_uniform(b, 1, slots, low=0.15, high=5.0)
    partner = draw.integer(b, slots, below=slots) % relevant.sum(1, keepdim=True).clamp(min=1)
    coupling = draw.normal(b, 1, slots) * 0.5 * draw.chance(b, 1, slots, of=0.35)
    coupling = coupling * relevant.gather(1, partner)[:, None]
    cliff = draw.uniform(b, 2, slots)
    jump = draw.log_uniform(b, 2, slots, low=0.05, high=1.5) * draw.chance(b, 2, slots, of=0.06) * relevant[:, None]
    product = draw.chance(b, 1, of=0.35)
    rough = gaussian_process(draw, relevant)
    roughness = draw.log_uniform(b, 1, low=0.01, high=0.4)

    def function(z: torch.Tensor) -> torch.Tensor:
        other = z.gather(2, partner[:, None].expand(-1, z.shape[1], -1))
        offset = z - centre - coupling * (other - 0.5)
        height = (offset.abs() * torch.where(offset < 0, slope[:, :1], slope[:, 1:])) ** power
        height = ceiling * (1 - (-height / ceiling).exp())
        total = torch.where(product, -torch.exp(-(3 * importance * height).sum(-1)), (importance * height).sum(-1))
        over = (z > cliff[:, :1]) * jump[:, :1] + (z < cliff[:, 1:]) * jump[:, 1:] * 0.5
        return total + 0.3 * over.sum(-1) + 0.3 * roughness * rough(z)

    return function

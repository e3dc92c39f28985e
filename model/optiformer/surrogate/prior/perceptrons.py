"""Random multilayer perceptrons: long-range, non-stationary functions unlike a stationary GP's."""

from __future__ import annotations

import torch

from optiformer.surrogate.prior.random_source import Function, RandomSource

WIDTH = 24


def perceptron(draw: RandomSource, relevant: torch.Tensor) -> Function:
    """Draw one network per row of ``relevant`` (b, S): two or three layers of tanh, ReLU, sine or bump units."""
    b, slots = relevant.shape
    gain = draw.log_uniform(b, 1, 1, low=0.7, high=4.0)
    importance = (0.7 * draw.normal(b, slots, 1)).exp() * relevant[..., None]
    first = draw.normal(b, slots, WIDTH) * importance * gain / relevant.sum(1).float().sqrt()[:, None, None]
    second = draw.normal(b, WIDTH, WIDTH) * draw.log_uniform(b, 1, 1, low=0.7, high=2.5) / WIDTH**0.5
    last = draw.normal(b, WIDTH, 1) / WIDTH**0.5
    shift, shift2 = draw.normal(b, 1, WIDTH), draw.normal(b, 1, WIDTH) * 0.5
    unit = draw.kind((0.35, 0.3, 0.2, 0.15), b)[:, None, None]
    deep = draw.chance(b, 1, 1, of=0.6)

    def activate(h: torch.Tensor) -> torch.Tensor:
        warp = torch.where(unit == 0, h.tanh(), h.relu())
        wave = torch.where(unit == 2, h.sin(), (-h.square()).exp())
        chosen: torch.Tensor = torch.where(unit < 2, warp, wave)
        return chosen

    def function(z: torch.Tensor) -> torch.Tensor:
        h = activate((2 * z - 1) @ first + shift)
        h = torch.where(deep, activate(h @ second + shift2), h)
        values: torch.Tensor = (h @ last).squeeze(-1)
        return values

    return function

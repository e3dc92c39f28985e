"""Random expressions of a few parameters: oscillations, poles, ridges and products."""

from __future__ import annotations

import torch

from optiformer.surrogate.prior.random_source import Function, RandomSource

N_LEAVES = 8
UNARY_SHARES = (0.25, 0.13, 0.12, 0.1, 0.1, 0.1, 0.15, 0.05)
BINARY_SHARES = (0.4, 0.2, 0.3, 0.1)


def symbolic(draw: RandomSource, relevant: torch.Tensor) -> Function:
    """Draw one expression per row of ``relevant`` (b, S): a balanced tree over ``N_LEAVES`` scaled parameters.

    Each leaf is ``a (z_i - c)``; unary operations are identity, sin, cos, exp, abs, sqrt, square and negation, binary
    ones +, -, * and a division protected from 0.
    """
    b, _ = relevant.shape
    which = torch.multinomial(relevant.float(), N_LEAVES, replacement=True, generator=draw.generator)
    slope = draw.log_uniform(b, 1, N_LEAVES, low=0.7, high=9.0)
    shift = draw.uniform(b, 1, N_LEAVES)
    unary, binary = [], []
    width = N_LEAVES
    while width >= 1:
        unary.append(draw.kind(UNARY_SHARES, b, 1, width))
        width //= 2
        binary.append(draw.kind(BINARY_SHARES, b, 1, max(width, 1)))

    def function(z: torch.Tensor) -> torch.Tensor:
        values = slope * (z.gather(2, which[:, None].expand(-1, z.shape[1], -1)) - shift)
        for one, two in zip(unary, binary, strict=True):
            values = _unary(values, one)
            if values.shape[2] > 1:
                half = values.shape[2] // 2
                values = _binary(values[..., :half], values[..., half:], two)
        return values.squeeze(2)

    return function


def _unary(x: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
    results = [x, x.sin(), x.cos(), x.clamp(max=3).exp(), x.abs(), x.abs().add(1e-3).sqrt(), x.square(), -x]
    return _chosen(results, kind).clamp(-100, 100)


def _binary(a: torch.Tensor, b: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
    safe = torch.where(b < 0, -1.0, 1.0) * (b.abs() + 0.3)
    return _chosen([a + b, a - b, a * b, a / safe], kind)


def _chosen(results: list[torch.Tensor], kind: torch.Tensor) -> torch.Tensor:
    stacked = torch.stack(results, -1)
    index = kind.expand(*stacked.shape[:-1])[..., None]
    return stacked.gather(-1, index).squeeze(-1)

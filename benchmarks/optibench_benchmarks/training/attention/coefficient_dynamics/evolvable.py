"""Coefficient dynamics to be evolved: what is between the marks may change, ``mix``'s name and shapes may not.

It begins with an evolution that turns: ``A`` is a rotation, the same for every token and faster in the first
dimensions, so that a coefficient depends on how far back its token lies (Su et al., arXiv 2104.09864); the rest is as
in ``standard``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


# EVOLVE-BLOCK-START
def evolved(states: Tensor, steps: Tensor) -> Tensor:
    """``A`` to the power of ``steps``, shape ``(length,)``, times ``states``, shape ``(batch, heads, length, d)``."""
    half = states.shape[-1] // 2
    angles = steps[:, None] * 10_000.0 ** -(torch.arange(half) / half)
    first, second = states[..., :half], states[..., half : 2 * half]
    turned = [first * angles.cos() - second * angles.sin(), first * angles.sin() + second * angles.cos()]
    return torch.cat([*turned, states[..., 2 * half :]], dim=-1)


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Outputs of shape ``(batch, heads, length, d)`` from queries, keys and values of that shape.

    Causal: the output at a position depends on no later one. No parameters of its own.
    """
    length, width = q.shape[-2:]
    steps = torch.arange(length)
    scaling = 1 / math.sqrt(width)
    # q_i . A^(i - j) k_j: a rotation keeps products, so both sides can be turned back by their own position
    readings = evolved(q, -steps) @ evolved(scaling * k, -steps).transpose(-2, -1)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    readings = readings.masked_fill(later, -math.inf)
    readout = (readings - readings.amax(dim=-1, keepdim=True)).exp()
    normalization = readout.sum(dim=-1, keepdim=True)
    return (readout / normalization) @ v


# EVOLVE-BLOCK-END

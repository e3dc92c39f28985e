"""Softmax attention as coefficient dynamics: ``phi = exp``, ``A = I``, ``b = 1 / sqrt(d)``, ``eta`` the row's sum."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Outputs of shape ``(batch, heads, length, d)`` from queries, keys and values of that shape."""
    length, width = q.shape[-2:]
    scores = q @ (k / math.sqrt(width)).transpose(-2, -1)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, -math.inf).softmax(dim=-1) @ v

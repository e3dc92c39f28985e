"""A matrix mixer to be evolved: what is between the marks may change, ``mix``'s name and shapes may not.

It begins with a low-rank matrix, the lower triangle of ``f(q) f(k)^T`` with positive features and rows that sum to
one: linear attention (Katharopoulos et al., arXiv 2006.16236).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import elu


# EVOLVE-BLOCK-START
def features(x: Tensor) -> Tensor:
    """Positive features of queries or keys."""
    return elu(x) + 1


def matrix(q: Tensor, k: Tensor) -> Tensor:
    """The mixer, shape ``(batch, heads, length, length)``: lower triangular, sequence-aligned."""
    entries = (features(q) @ features(k).transpose(-2, -1)).tril()
    return entries / entries.sum(dim=-1, keepdim=True)


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Outputs of shape ``(batch, heads, length, d)`` from queries, keys and values of that shape.

    Causal: the output at a position depends on no later one. No parameters of its own.
    """
    return matrix(q, k) @ v


# EVOLVE-BLOCK-END

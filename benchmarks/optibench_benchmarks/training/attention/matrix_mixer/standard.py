"""A semiseparable mixer, as in state space models (Dao and Gu, arXiv 2405.21060): ``M_ij = q_i . k_j a_(j+1) ... a_i``.

Every token forgets a share of what came before it: ``a_t = exp(-softplus(mean(k_t) + c))``, with a constant ``c`` for
each head, so that heads begin with memories of different lengths. The key decides, since a parameter of its own would
make the model larger than the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

SHORTEST, LONGEST = 0.0, -5.0
"""The heads' constants."""


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Outputs of shape ``(batch, heads, length, d)`` from queries, keys and values of that shape."""
    constants = torch.linspace(SHORTEST, LONGEST, q.shape[1])[:, None]
    kept = -softplus(k.mean(dim=-1) + constants).cumsum(dim=-1)
    # log of a_(j+1) ... a_i, above the diagonal of nothing: -inf before exp, which would overflow there
    later = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
    decay = (kept[..., :, None] - kept[..., None, :]).masked_fill(later, -math.inf).exp()
    return (decay * (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1])) @ v

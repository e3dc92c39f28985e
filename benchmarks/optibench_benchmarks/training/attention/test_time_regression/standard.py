"""Linear regression at test time, solved exactly: equal weights, linear functions, a ridge.

``m_i = V K^T (K K^T + r I)^-1`` over the pairs up to ``i``: unlike linear attention, which leaves the inverse out, it
takes account of keys that resemble each other. Keys and queries have length one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

RIDGE = 1.0


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Outputs of shape ``(batch, heads, length, d)`` from queries, keys and values of that shape."""
    q, k = normalize(q, dim=-1), normalize(k, dim=-1)
    moments = (k[..., :, None] * k[..., None, :]).cumsum(dim=-3) + RIDGE * torch.eye(k.shape[-1])
    solved = torch.linalg.solve(moments, q[..., None])[..., 0]
    mixed: Tensor = (solved @ k.transpose(-2, -1)).tril() @ v
    return mixed

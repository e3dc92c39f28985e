"""Softmax attention, as shipped, and alternatives to it.

All take queries, keys and values of the trials, then of the candidates, and have no weights, so that the networks have
the same size. Trials attend to trials, a candidate to the trials and itself, and the order of trials has no effect. For
sets, less remains of the three frameworks than for text:

* *Coefficient dynamics* (Sieber et al., arXiv 2510.09389): a coefficient is read out of a system that evolves token by
  token. A set has no next token, so the evolution is the identity, and readout and normalization remain: ``exp`` is
  softmax attention, ``coefficient-dynamics-softplus`` uses softplus.
* *Test-time regression* (Wang et al., arXiv 2501.12352): a function from keys to values is fitted and applied to the
  query. ``-linear`` is ridge regression, solved exactly, ``-local`` a locally constant one. No weight depends on age.
* *Matrix mixer* (Hwang et al., arXiv 2407.09941): Toeplitz and semiseparable matrices depend on positions. Of
  the other classes the dense one is softmax attention; ``matrix-mixer-low-rank`` is the low-rank one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn.functional import elu, normalize, scaled_dot_product_attention, softplus

Mix = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int, torch.Tensor], torch.Tensor]
"""From queries, keys and values (B, heads, n + q, d), n and the additive mask to outputs (B, heads, n + q, d)."""

RIDGE = 1.0
MIN_TOTAL = 1e-9
"""Minimum of the sum of weights by which outputs are divided."""


def _softmax(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, n: int, mask: torch.Tensor) -> torch.Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))


def _softplus(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, n: int, mask: torch.Tensor) -> torch.Tensor:
    """The readout ``softplus(q k / sqrt(d))``, rows that sum to one."""
    return _weighed(q / math.sqrt(q.shape[-1]), k, v, n, softplus)


def _low_rank(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, n: int, mask: torch.Tensor) -> torch.Tensor:
    """``f(q) f(k)^T`` with ``f = elu + 1`` and rows that sum to one (Katharopoulos et al., arXiv 2006.16236)."""
    return _weighed(elu(q.float()) + 1, elu(k.float()) + 1, v, n, lambda product: product)


def _local(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, n: int, mask: torch.Tensor) -> torch.Tensor:
    """The mean of the values by ``exp(-|q - k|^2 / 2 h^2)``, for q and k of length one; ``h^2 = 1 / (8 sqrt(d))``.

    Of vectors of length one ``|q - k|^2 = 2 - 2 q k``, and the constant falls out.
    """
    scale = 8 * math.sqrt(q.shape[-1])
    return scaled_dot_product_attention(
        normalize(q, dim=-1), normalize(k, dim=-1), v, attn_mask=mask.to(q.dtype), scale=scale
    )


def _linear(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, n: int, mask: torch.Tensor) -> torch.Tensor:
    """``V^T K (K^T K + RIDGE I)^-1 q`` over the visible tokens, for q and k of length one.

    The trials share one system; a candidate's has its own pair as well, which changes its inverse by a matrix of rank
    one (Sherman and Morrison).
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k, wide = normalize(q.float(), dim=-1), normalize(k.float(), dim=-1), v.float()
        trial_keys = k[..., :n, :]
        moments = trial_keys.transpose(-2, -1) @ trial_keys + RIDGE * torch.eye(k.shape[-1], device=k.device)
        factor = torch.linalg.cholesky(moments)
        solved = torch.cholesky_solve(q.transpose(-2, -1), factor).transpose(-2, -1)
        candidate_keys = k[..., n:, :]
        own = torch.cholesky_solve(candidate_keys.transpose(-2, -1), factor).transpose(-2, -1)
        kept = (solved[..., n:, :] * candidate_keys).sum(-1, keepdim=True) / (
            1 + (own * candidate_keys).sum(-1, keepdim=True)
        )
        solved = torch.cat([solved[..., :n, :], solved[..., n:, :] - own * kept], -2)
        mixed = (solved @ trial_keys.transpose(-2, -1)) @ wide[..., :n, :]
        itself = (solved[..., n:, :] * candidate_keys).sum(-1, keepdim=True) * wide[..., n:, :]
        return torch.cat([mixed[..., :n, :], mixed[..., n:, :] + itself], -2).to(v.dtype)


MIXES: dict[str, Mix] = {
    "softmax": _softmax,
    "coefficient-dynamics-softplus": _softplus,
    "test-time-regression-linear": _linear,
    "test-time-regression-local": _local,
    "matrix-mixer-low-rank": _low_rank,
}


def _weighed(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, n: int, weigh: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Averages of the values with positive weights ``weigh(q k)`` over the visible tokens."""
    weights = weigh((q @ k[..., :n, :].transpose(-2, -1)).float())
    own = weigh((q * k).sum(-1, keepdim=True).float())
    own = torch.cat([torch.zeros_like(own[..., :n, :]), own[..., n:, :]], -2)
    total = (weights.sum(-1, keepdim=True) + own).clamp(min=MIN_TOTAL)
    return (weights / total).to(v.dtype) @ v[..., :n, :] + (own / total).to(v.dtype) * v

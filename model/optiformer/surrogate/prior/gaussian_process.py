"""Gaussian processes by random Fourier features (Rahimi & Recht, 2007), with ARD, warped inputs and additive parts."""

from __future__ import annotations

import math

import torch

from optiformer.surrogate.prior.random_source import Function, RandomSource

N_FEATURES = 192
#: Twice the smoothness of each kernel: Matern-nu is a multivariate t with 2 nu degrees of freedom; 0 stands for RBF.
FREEDOM = (0, 5, 3, 1)
FREEDOM_SHARES = (0.42, 0.33, 0.2, 0.05)


def gaussian_process(draw: RandomSource, relevant: torch.Tensor) -> Function:
    """Draw one function per row of ``relevant`` (b, S): RBF and Matern kernels with random lengthscales."""
    b, slots = relevant.shape
    freedom = torch.tensor(FREEDOM, device=draw.device)[draw.kind(FREEDOM_SHARES, b)]
    squares = draw.normal(b, N_FEATURES, max(FREEDOM)).square()
    counted = torch.arange(max(FREEDOM), device=draw.device)[None, None] < freedom[:, None, None]
    chi = (squares * counted).sum(-1) / freedom[:, None].clamp(min=1)
    heavy = torch.where(freedom[:, None] > 0, chi.clamp(min=1e-4).rsqrt(), torch.ones_like(chi))

    # Each feature of an additive kernel depends on one or two parameters.
    additive = draw.chance(b, of=0.25)
    keep = draw.uniform(b, N_FEATURES, slots) * relevant[:, None]
    rank = keep.argsort(-1, descending=True).argsort(-1)
    few = rank < 1 + draw.integer(b, N_FEATURES, 1, below=2)
    looks = relevant[:, None] & (few | ~additive[:, None, None])
    size = torch.where(additive, torch.full((b,), 1.5, device=draw.device), relevant.sum(1).float())

    shared = draw.log_uniform(b, 1, low=0.13, high=0.9) * size[:, None].sqrt()
    spread = draw.uniform(b, 1, low=0.0, high=1.0)
    lengthscale = shared * (spread * draw.normal(b, slots)).exp()
    omega = draw.normal(b, N_FEATURES, slots) * heavy[..., None] / lengthscale[:, None] * looks
    phase = draw.uniform(b, 1, N_FEATURES, high=2 * math.pi)
    weight = draw.normal(b, N_FEATURES, 1) * math.sqrt(2 / N_FEATURES)
    trend = draw.normal(b, slots, 1) * relevant[..., None] * draw.chance(b, 1, 1, of=0.3) * 0.7
    warp = _warp(draw, b, slots)

    def function(z: torch.Tensor) -> torch.Tensor:
        z = warp(z)
        return (torch.cos(z @ omega.transpose(1, 2) + phase) @ weight + z @ trend).squeeze(-1)

    return function


def _warp(draw: RandomSource, b: int, slots: int) -> Function:
    """Kumaraswamy's distribution function on some inputs of some functions (Snoek et al., 2014, use the Beta's)."""
    on = draw.chance(b, 1, of=0.35) & draw.chance(b, slots, of=0.6)
    one = torch.ones(b, slots, device=draw.device)
    a = torch.where(on, draw.log_uniform(b, slots, low=0.35, high=2.8), one)[:, None]
    c = torch.where(on, draw.log_uniform(b, slots, low=0.35, high=2.8), one)[:, None]

    def warp(z: torch.Tensor) -> torch.Tensor:
        return 1 - (1 - z.clamp(1e-6, 1 - 1e-6) ** a) ** c

    return warp

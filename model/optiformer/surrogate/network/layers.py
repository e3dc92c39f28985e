"""Layers of the surrogate with another attention, norm or feed-forward part than Llama's, or with dropout.

They take over the Llama layer's own modules where these stay, under the same names and with the same initial weights:
two networks of one seed differ in their variant alone.
"""

from __future__ import annotations

from typing import Any

import torch

from optiformer.surrogate.config import VariantConfig
from optiformer.surrogate.network.attention import MIXES


class GeluFeedForward(torch.nn.Module):
    """``down(gelu(up(x)))`` with as many weights as the gated one: two matrices half as wide again instead of three.

    Args:
        width: Of the residual stream.
        intermediate: Width of the gated feed-forward part that it stands in for.
        spread: Standard deviation of the initial weights.
    """

    def __init__(self, width: int, intermediate: int, spread: float) -> None:
        super().__init__()
        self.up_proj = torch.nn.Linear(width, 3 * intermediate // 2, bias=False)
        self.down_proj = torch.nn.Linear(3 * intermediate // 2, width, bias=False)
        for layer in (self.up_proj, self.down_proj):
            torch.nn.init.normal_(layer.weight, std=spread)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Same shape as ``hidden``."""
        found: torch.Tensor = self.down_proj(torch.nn.functional.gelu(self.up_proj(hidden)))
        return found


class VariedLayer(torch.nn.Module):
    """One layer.

    Args:
        layer: The Llama layer in whose place it is.
        variant: What is different.
        spread: Standard deviation of initial weights that are new.
    """

    def __init__(self, layer: Any, variant: VariantConfig, spread: float) -> None:
        super().__init__()
        self.self_attn, self.mix = layer.self_attn, MIXES[variant.attention]
        self.input_layernorm = normalization(layer.input_layernorm, variant)
        self.post_attention_layernorm = normalization(layer.post_attention_layernorm, variant)
        width, intermediate = layer.mlp.up_proj.in_features, layer.mlp.up_proj.out_features
        gated = variant.feed_forward == "swiglu"
        self.mlp = layer.mlp if gated else GeluFeedForward(width, intermediate, spread)
        self.dropout = torch.nn.Dropout(variant.dropout)

    def forward(self, hidden: torch.Tensor, n_trials: int, mask: torch.Tensor) -> torch.Tensor:
        """States of the next layer, (B, n + q, width), from those of this one; the trials come first."""
        attention, normed = self.self_attn, self.input_layernorm(hidden)
        q, k, v = (
            project(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
            for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        mixed = self.mix(q, k, v, n_trials, mask).transpose(1, 2).flatten(-2)
        hidden = hidden + self.dropout(attention.o_proj(mixed))
        found: torch.Tensor = hidden + self.dropout(self.mlp(self.post_attention_layernorm(hidden)))
        return found


def normalization(norm: Any, variant: VariantConfig) -> torch.nn.Module:
    """The norm itself, or a LayerNorm (which also has a bias) in its place."""
    if variant.norm == "layernorm":
        return torch.nn.LayerNorm(len(norm.weight), eps=norm.variance_epsilon)
    kept: torch.nn.Module = norm
    return kept


def vary(backbone: Any, variant: VariantConfig, spread: float) -> None:
    """Put a variant's layers and last norm in place of a Llama backbone's."""
    backbone.layers = torch.nn.ModuleList(VariedLayer(layer, variant, spread) for layer in backbone.layers)
    backbone.norm = normalization(backbone.norm, variant)


def hide(told: torch.Tensor, slots: int, width: int, share: float) -> torch.Tensor:
    """Trials' features (B, n, features) with a share of the parameter values, drawn at random, set to 0."""
    values, rest = told[..., : slots * width].reshape(*told.shape[:-1], slots, width), told[..., slots * width :]
    shown = torch.rand(values.shape[:-1], device=told.device) >= share
    return torch.cat([(values * shown[..., None]).flatten(-2), rest], -1)

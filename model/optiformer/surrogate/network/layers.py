"""Variant layers: different attention, norm or feed-forward part, or dropout.

Unchanged modules of the Llama layer are reused with their names and initial weights, so that two networks with the same
seed differ in the variant alone.
"""

from __future__ import annotations

from typing import Any

import torch

from optiformer.surrogate.config import VariantConfig
from optiformer.surrogate.network.attention import MIXES


class GeluFeedForward(torch.nn.Module):
    """``down(gelu(up(x)))``, 1.5 times as wide as the gated feed-forward part to have as many weights.

    Args:
        width: Width of the residual stream.
        intermediate: Width of the gated feed-forward part that it replaces.
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
    """A variant of one Llama layer.

    Args:
        layer: The Llama layer that it replaces.
        variant: The architectural changes.
        spread: Standard deviation of new initial weights.
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
        """Output states, (B, n + q, width), from input states with the trials first."""
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
    """The given norm, or a LayerNorm (with bias) that replaces it."""
    if variant.norm == "layernorm":
        return torch.nn.LayerNorm(len(norm.weight), eps=norm.variance_epsilon)
    kept: torch.nn.Module = norm
    return kept


def vary(backbone: Any, variant: VariantConfig, spread: float) -> None:
    """Replace a Llama backbone's layers and final norm by a variant's."""
    backbone.layers = torch.nn.ModuleList(VariedLayer(layer, variant, spread) for layer in backbone.layers)
    backbone.norm = normalization(backbone.norm, variant)


def hide(trials: torch.Tensor, slots: int, width: int, share: float) -> torch.Tensor:
    """Trials' tokens (B, n, features) with a random fraction of the parameter values set to 0."""
    values, rest = trials[..., : slots * width].reshape(*trials.shape[:-1], slots, width), trials[..., slots * width :]
    kept = torch.rand(values.shape[:-1], device=trials.device) >= share
    return torch.cat([(values * kept[..., None]).flatten(-2), rest], -1)

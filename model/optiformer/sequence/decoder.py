"""Llama forward pass with a key-value cache.

Computes the same logits as ``LlamaForCausalLM`` (a test compares them) without its overhead per call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

from optiformer.network_config import NORM_EPSILON, NetworkConfig
from optiformer.sequence.llama import MAX_POSITIONS, ROPE_THETA


@dataclass(eq=False)
class Cache:
    """Keys and values of T past tokens.

    Attributes:
        keys: One tensor per layer, (B, heads, T, head size).
        values: One tensor per layer, (B, heads, T, head size).
        length: T.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    length: int = 0

    def expand(self, n: int) -> Cache:
        """The cache of one sequence shared by ``n`` continuations, without copying."""

        def grow(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
            return [tensor.expand(n, -1, -1, -1) for tensor in tensors]

        return Cache(grow(self.keys), grow(self.values), self.length)


@dataclass(frozen=True, eq=False)
class _Layer:
    input_norm: torch.Tensor
    qkv: torch.Tensor
    output: torch.Tensor
    mlp_norm: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class Decoder:
    """Runs a Llama network incrementally.

    Args:
        config: Shape of the network.
        weights: Tensors by their names in ``LlamaForCausalLM``; only concatenated matrices are copied.
    """

    def __init__(self, config: NetworkConfig, weights: Mapping[str, torch.Tensor]) -> None:
        self.heads = config.n_heads
        self.width = config.hidden_size // config.n_heads
        self.embeddings = weights["model.embed_tokens.weight"]
        self.final_norm = weights["model.norm.weight"]
        self.head = self.embeddings if config.tie_embeddings else weights["lm_head.weight"]
        self.layers = [_layer(weights, f"model.layers.{index}.") for index in range(config.n_layers)]
        self.device = self.embeddings.device
        frequencies = ROPE_THETA ** (-torch.arange(0, self.width, 2, device=self.device) / self.width)
        angles = torch.arange(MAX_POSITIONS, device=self.device)[:, None] * frequencies
        angles = torch.cat([angles, angles], dim=-1)
        self.cos, self.sin = angles.cos(), angles.sin()

    def empty(self) -> Cache:
        """An empty cache."""
        return Cache([], [])

    @torch.no_grad()
    def advance(self, tokens: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Process the next tokens.

        Args:
            tokens: Ids, (B, L).
            cache: Past tokens; extended in place.

        Returns:
            The last token's final hidden states, (B, hidden).
        """
        n, length = tokens.shape
        past, first = cache.length, not cache.keys
        cos, sin = self.cos[past : past + length], self.sin[past : past + length]
        mask = None
        if not first and length > 1:
            mask = torch.ones(length, past + length, dtype=torch.bool, device=self.device).tril(past)
        x = self.embeddings[tokens]
        for index, layer in enumerate(self.layers):
            normed = rms_norm(x, x.shape[-1:], layer.input_norm, NORM_EPSILON)
            qkv = linear(normed, layer.qkv).view(n, length, 3, self.heads, self.width).permute(2, 0, 3, 1, 4)
            q, k, v = _rotate(qkv[0], cos, sin), _rotate(qkv[1], cos, sin), qkv[2]
            if first:
                cache.keys.append(k)
                cache.values.append(v)
            else:
                k = cache.keys[index] = torch.cat([cache.keys[index], k], dim=2)
                v = cache.values[index] = torch.cat([cache.values[index], v], dim=2)
            attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=first and length > 1)
            x = x + linear(attended.transpose(1, 2).reshape(n, length, -1), layer.output)
            normed = rms_norm(x, x.shape[-1:], layer.mlp_norm, NORM_EPSILON)
            gate, up = linear(normed, layer.gate_up).chunk(2, dim=-1)
            x = x + linear(silu(gate) * up, layer.down)
        cache.length += length
        return rms_norm(x[:, -1], x.shape[-1:], self.final_norm, NORM_EPSILON)

    @torch.no_grad()
    def logits(self, hidden: torch.Tensor, tokens: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of all tokens, or of the given ones, from hidden states: (B, hidden) -> (B, V)."""
        return linear(hidden, self.head if tokens is None else self.head[tokens])


def _layer(weights: Mapping[str, torch.Tensor], prefix: str) -> _Layer:
    def get(*names: str) -> torch.Tensor:
        return torch.cat([weights[f"{prefix}{name}.weight"] for name in names])

    return _Layer(
        get("input_layernorm"),
        get("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        get("self_attn.o_proj"),
        get("post_attention_layernorm"),
        get("mlp.gate_proj", "mlp.up_proj"),
        get("mlp.down_proj"),
    )


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding, halves paired as in Llama."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin

"""The Llama forward pass with a key-value cache, lean enough for one suggestion on one core.

Same weights and same results as ``LlamaForCausalLM`` (a test compares the logits token by token), without its per-call
overhead: a decoding step of a small network costs about as much as its matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

from model.errors import ModelError


@dataclass(eq=False)
class Cache:
    """Keys and values of the tokens so far.

    Attributes:
        keys: One tensor a layer, (B, heads, T, width).
        values: Likewise.
        length: T.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    length: int = 0

    def expand(self, n: int) -> Cache:
        """The cache of one sequence shared by ``n`` continuations (no copy until they differ)."""

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
    """Runs a ``LlamaForCausalLM`` incrementally.

    Args:
        network: The network; its weights are used where they are (attention and MLP inputs are joined by copying).

    Raises:
        ModelError: The network has grouped keys, biases or another activation than SiLU.
    """

    def __init__(self, network: Any) -> None:
        config = network.config
        if config.num_key_value_heads != config.num_attention_heads or config.hidden_act != "silu":
            raise ModelError("The decoder knows plain multi-head Llama networks with SiLU only.")
        self.heads = config.num_attention_heads
        self.width = config.hidden_size // self.heads
        self.eps = config.rms_norm_eps
        self.embeddings = network.model.embed_tokens.weight.detach()
        self.final_norm = network.model.norm.weight.detach()
        self.head = network.lm_head.weight.detach()
        self.layers = [self._layer(layer) for layer in network.model.layers]
        self.device = self.embeddings.device
        frequencies = network.model.rotary_emb.inv_freq.to(self.device)
        angles = torch.arange(config.max_position_embeddings, device=self.device)[:, None] * frequencies
        angles = torch.cat([angles, angles], dim=-1)
        self.cos, self.sin = angles.cos(), angles.sin()

    @staticmethod
    def _layer(layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        return _Layer(
            layer.input_layernorm.weight.detach(),
            torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).detach(),
            attention.o_proj.weight.detach(),
            layer.post_attention_layernorm.weight.detach(),
            torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).detach(),
            mlp.down_proj.weight.detach(),
        )

    def empty(self) -> Cache:
        """A cache of nothing."""
        return Cache([], [])

    @torch.no_grad()
    def advance(self, tokens: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Process more tokens.

        Args:
            tokens: Ids, (B, L).
            cache: What came before; extended in place.

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
            normed = rms_norm(x, x.shape[-1:], layer.input_norm, self.eps)
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
            normed = rms_norm(x, x.shape[-1:], layer.mlp_norm, self.eps)
            gate, up = linear(normed, layer.gate_up).chunk(2, dim=-1)
            x = x + linear(silu(gate) * up, layer.down)
        cache.length += length
        return rms_norm(x[:, -1], x.shape[-1:], self.final_norm, self.eps)

    @torch.no_grad()
    def logits(self, hidden: torch.Tensor, tokens: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of all tokens, or of the given ones, from hidden states: (B, hidden) -> (B, V)."""
        return linear(hidden, self.head if tokens is None else self.head[tokens])


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding, halves paired as in Llama."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin

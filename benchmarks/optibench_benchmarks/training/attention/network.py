"""The transformer of all attention tasks; only its attention's ``mix`` differs. Imports torch."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.training.base import DivergedError

Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From queries, keys and values ``(batch, heads, length, d)`` to outputs of that shape; causal, without parameters."""
_STD = 0.02


class AttentionError(BenchmarkError):
    """An attention that breaks its contract: another shape or kind of numbers, or a look at later tokens."""


def shipped(framework: str, variant: str) -> Mix:
    """The attention of a task."""
    mix: Mix = importlib.import_module(
        f"optibench_benchmarks.training.attention.{framework.replace('-', '_')}.{variant}"
    ).mix
    return mix


class MultiHead(nn.Module):
    """Projections to queries, keys and values, ``mix``, and a projection back: all parameters an attention has.

    Args:
        width: Of the residual stream.
        heads: A divisor of it.
        mix: What is between the projections.
    """

    def __init__(self, width: int, heads: int, mix: Mix) -> None:
        super().__init__()
        self.heads, self.mix = heads, mix
        self.inputs, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, ``(batch, length, width)``.

        Raises:
            AttentionError: ``mix`` gave another shape or kind of numbers.
            DivergedError: It gave a number that is not finite.
        """
        batch, length, width = x.shape
        q, k, v = self.inputs(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = checked(self.mix(q, k, v), v)
        found: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, width))
        return found


def checked(mixed: object, v: Tensor) -> Tensor:
    """The output of an attention, if it has the values' shape and kind and is finite."""
    if not isinstance(mixed, Tensor) or mixed.shape != v.shape or mixed.dtype != v.dtype:
        found = f"{mixed.dtype} {tuple(mixed.shape)}" if isinstance(mixed, Tensor) else type(mixed).__name__
        raise AttentionError(f"`mix` has to return {v.dtype} {tuple(v.shape)} like the values, not {found}.")
    if not torch.isfinite(mixed).all():
        raise DivergedError("The training diverged: the attention gave a number that is not finite.")
    return mixed


class Block(nn.Module):
    """Attention, then a feed-forward layer with GELU, each after a LayerNorm and added to what came in."""

    def __init__(self, width: int, heads: int, mix: Mix) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = MultiHead(width, heads, mix)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, ``(batch, length, width)``."""
        x = x + self.attention(self.norm_1(x))
        found: Tensor = x + self.feed_forward(self.norm_2(x))
        return found


class Transformer(nn.Module):
    """A decoder with sinusoidal positions; its output layer is the transposed embedding.

    Args:
        vocabulary: How many tokens there are.
        width, layers, heads: Its size.
        mix: Its attention's.
    """

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, mix: Mix) -> None:
        super().__init__()
        self.width = width
        self.tokens = nn.Embedding(vocabulary, width)
        self.blocks = nn.Sequential(*[Block(width, heads, mix) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=_STD)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of shape ``(batch, length, vocabulary)`` of the tokens after those of ``(batch, length)``."""
        # embeddings as large as the positions: Vaswani et al., arXiv 1706.03762, section 3.4
        x = math.sqrt(self.width) * self.tokens(tokens) + _STD * math.sqrt(2 * self.width) * positions(
            tokens.shape[1], self.width
        )
        return nn.functional.linear(self.norm(self.blocks(x)), self.tokens.weight)


def positions(length: int, width: int) -> Tensor:
    """Sines and cosines of the positions, shape ``(length, width)``: Vaswani et al., arXiv 1706.03762, section 3.5."""
    rates = 10_000.0 ** -(torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def check_causal(mix: Mix) -> None:
    """Change each position in turn: nothing before it may change, beyond rounding.

    Raises:
        AttentionError: Something did.
        DivergedError: An output is not finite.
    """
    generator = torch.Generator().manual_seed(0)
    length = 12
    q, k, v = torch.randn(3, 2, 2, length, 8, generator=generator)
    before = checked(mix(q, k, v), v)
    for position in range(1, length):
        changed = [each.clone() for each in (q, k, v)]
        for each in changed:
            each[:, :, position:] = 3 * torch.randn(each[:, :, position:].shape, generator=generator)
        after = checked(mix(changed[0], changed[1], changed[2]), v)
        if not torch.allclose(after[:, :, :position], before[:, :, :position], atol=1e-5, rtol=1e-4):
            raise AttentionError(f"`mix` is not causal: a change at position {position} changes what is before it.")

"""The small GPT that ``mainrun/gpt`` trains, with every option of its report as a switch. Imports torch.

* RMSNorm divides by the root of the mean square (B. Zhang and R. Sennrich, arXiv 1910.07467, equation 4), which the
  report's sketch multiplies by.
* SwiGLU is ``down(silu(gate(x)) * up(x))`` with hidden layers two thirds as wide, which keeps the number of weights
  (N. Shazeer, arXiv 2002.05202).
* Scaled dot-product attention is PyTorch's fused kernel; without it the same attention is written out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.training.base import Curve
from optibench_benchmarks.training.network import fit, reproducible, updates
from optibench_benchmarks.training.text.language import Windows, clip_and_schedule, nats_per_byte, schedule
from optibench_benchmarks.training.text.text import MASK, Encoded

_STD = 0.02
"""Of initial weights."""


class RMSNorm(nn.Module):
    """``weight * x / sqrt(mean(x ** 2) + eps)``, over the last axis."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return self.weight * x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps)


class SwiGLU(nn.Module):
    """A gated feed-forward layer with as many weights as one with a hidden layer of ``4 * width``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = round(8 * width / 3)
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        found: Tensor = self.down(nn.functional.silu(self.gate(x)) * self.up(x))
        return found


class Attention(nn.Module):
    """Causal attention with several heads.

    Args:
        width: Of the residual stream.
        heads: A divisor of it.
        dropout: Of the attention weights.
        fused: Whether PyTorch's kernel computes it.
    """

    def __init__(self, width: int, heads: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.heads, self.dropout, self.fused = heads, dropout, fused
        self.inputs, self.output = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, ``(batch, length, width)``."""
        batch, length, width = x.shape
        q, k, v = self.inputs(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            later = torch.ones(length, length, dtype=torch.bool).triu(1)
            weights = scores.masked_fill(later, -math.inf).softmax(dim=-1)
            mixed = nn.functional.dropout(weights, rate) @ v
        found: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, width))
        return found


class Block(nn.Module):
    """Attention and a feed-forward layer, each normalised before and added to what came in."""

    def __init__(self, width: int, heads: int, config: Config) -> None:
        super().__init__()
        norm = RMSNorm if config["norm"] == "rmsnorm" else nn.LayerNorm
        self.norm_1, self.norm_2 = norm(width), norm(width)
        self.attention = Attention(width, heads, config["dropout"], config["sdpa"])
        self.feed_forward = (
            SwiGLU(width)
            if config["feed_forward"] == "swiglu"
            else nn.Sequential(
                nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
            )
        )
        self.dropout = nn.Dropout(config["dropout"])

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, ``(batch, length, width)``."""
        x = x + self.dropout(self.attention(self.norm_1(x)))
        found: Tensor = x + self.dropout(self.feed_forward(self.norm_2(x)))
        return found


class GPT(nn.Module):
    """A decoder with learned positions; its output layer is the transposed embedding.

    Args:
        vocabulary: How many tokens there are.
        width, layers, heads: Its size.
        config: Of the search space.
    """

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, config: Config) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(config["block_size"], width)
        self.dropout = nn.Dropout(config["dropout"])
        self.blocks = nn.Sequential(*[Block(width, heads, config) for _ in range(layers)])
        self.norm = (RMSNorm if config["norm"] == "rmsnorm" else nn.LayerNorm)(width)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of shape ``(batch, length, vocabulary)`` of the tokens after those of ``(batch, length)``."""
        x = self.dropout(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])
        return nn.functional.linear(self.norm(self.blocks(x)), self.tokens.weight)


def parameter_groups(network: nn.Module, decay: float, *, groups: bool) -> list[dict[str, object]]:
    """What the optimizer is given: all weights decay or, with ``groups``, matrices but not norms."""
    weights = list(network.parameters())
    if not groups:
        return [{"params": weights, "weight_decay": decay}]
    return [
        {"params": [each for each in weights if each.dim() >= 2], "weight_decay": decay},
        {"params": [each for each in weights if each.dim() < 2], "weight_decay": 0.0},
    ]


def masked(tokens: Tensor, rate: float) -> Tensor:
    """The tokens with a share of them, drawn at random, replaced by :data:`MASK`."""
    return tokens.masked_fill(torch.rand(tokens.shape) < rate, MASK) if rate > 0 else tokens


def train(
    text: Encoded,
    config: Config,
    seed: int,
    fidelity: Mapping[str, float],
    *,
    shape: tuple[int, int, int],
    batch_size: int,
    epochs: int,
    curve: Curve,
) -> Evaluation:
    """Train with AdamW and give the validation loss after the last epoch, in nats per byte.

    Args:
        text: Encoded with the configuration's vocabulary.
        config: The parameters of the search space.
        seed: Of initialization, shuffling, dropout, masks and shifts.
        fidelity: ``epochs`` and ``data_fraction``.
        shape: The network's width, layers and heads.
        batch_size: Windows in a batch; an update is made of ``accumulation`` batches.
        epochs: Over which the schedule runs, whatever the fidelity: a short training is the beginning of a long one.
        curve: Records every epoch.

    Raises:
        DivergedError: The loss is no longer finite.
    """
    length, accumulation = config["block_size"], config["accumulation"]
    with reproducible(seed):
        tokens = torch.from_numpy(text.train.tokens)
        windows = Windows(tokens[: 1 + max(1, round(fidelity["data_fraction"] * (len(tokens) - 1)))], length)
        network = GPT(text.vocabulary, *shape, config)
        optimizer = torch.optim.AdamW(
            parameter_groups(network, config["weight_decay"], groups=config["decay_groups"]), lr=config["learning_rate"]
        )
        steps = epochs * updates(windows.rows, batch_size, accumulation)
        clip_and_schedule(
            network,
            optimizer,
            schedule(
                optimizer,
                config["schedule"],
                steps=steps,
                warmup=config["warmup"],
                highest=config["learning_rate"],
            ),
        )
        scored: nn.Module = network
        if config["ema"]:
            rule = get_ema_multi_avg_fn(config["ema_decay"])  # type: ignore[no-untyped-call]
            average = AveragedModel(network, multi_avg_fn=rule).eval()
            optimizer.register_step_post_hook(lambda *_: average.update_parameters(network))
            scored = average

        def half() -> AbstractContextManager[None]:
            return torch.autocast("cpu", dtype=torch.bfloat16, enabled=config["amp"])

        def loss(rows: Tensor) -> Tensor:
            shift = int(torch.randint(windows.length, ())) if config["sequence_augmentation"] else 0
            inputs, targets = windows(rows, shift)
            with half():
                logits = network(masked(inputs, config["token_masking"]))
            return nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

        def measure() -> Mapping[str, float]:
            return {"validation_loss": nats_per_byte(scored, text.validation, length)}

        fit(
            network,
            optimizer,
            loss,
            measure,
            curve,
            rows=windows.rows,
            batch_size=batch_size,
            accumulate=accumulation,
        )
        with torch.inference_mode():
            test_loss = nats_per_byte(scored, text.test, length)
    info = {
        "test_loss": test_loss,
        "validation_loss_per_token": curve.last("validation_loss")
        * text.validation.bytes
        / (len(text.validation.tokens) - 1),
        "vocabulary": text.vocabulary,
        "parameters": sum(weights.numel() for weights in network.parameters()),
    }
    return Evaluation(curve.last("validation_loss"), info=info, curve=curve.columns)

"""What the tasks that train language models share: windows over a stream, its loss, schedules. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from optibench_benchmarks.training.base import DivergedError
from optibench_benchmarks.training.network import portions
from optibench_benchmarks.training.text.text import Stream

_SCORED = 4096
"""Tokens scored at once."""
_FLOOR = 0.1
"""Where the cosine ends, relative to the highest learning rate."""
CLIP = 1.0
"""The gradients' largest norm."""


class Windows:
    """The inputs and targets of a stream's parts of equal length.

    Args:
        stream: Tokens of shape ``(n,)``.
        length: Tokens in a window.
    """

    def __init__(self, stream: Tensor, length: int) -> None:
        self.stream, self.length = stream, min(length, len(stream) - 1)
        self.rows = (len(stream) - 1) // self.length
        self._steps = torch.arange(self.length + 1)

    def __call__(self, rows: Tensor, shift: int = 0) -> tuple[Tensor, Tensor]:
        """Some windows by number, shape ``(batch,)``.

        Args:
            rows: Which ones.
            shift: How many tokens later they begin; what is left at the stream's end begins it again.

        Returns:
            Inputs and targets, each of shape ``(batch, length)``; a target is the token after its input.
        """
        found = self.stream[(rows[:, None] * self.length + shift + self._steps) % len(self.stream)]
        return found[:, :-1], found[:, 1:]


def nats_per_byte(logits: Callable[[Tensor], Tensor], stream: Stream, length: int) -> float:
    """The cross-entropy of a stream, in nats per byte of its text; every token but the first is predicted once.

    Args:
        logits: A network's: from tokens ``(batch, length)`` to ``(batch, length, vocabulary)``.
        stream: The text.
        length: The most tokens that a prediction may see.

    Raises:
        DivergedError: It is not finite.
    """
    tokens = torch.from_numpy(stream.tokens)
    windows = Windows(tokens, length)
    pieces = [windows(rows) for rows in portions(torch.arange(windows.rows), max(1, _SCORED // length))]
    rest = tokens[windows.rows * windows.length :]
    if len(rest) > 1:
        pieces.append((rest[None, :-1], rest[None, 1:]))
    total = 0.0
    for inputs, targets in pieces:
        found = logits(inputs).flatten(0, 1)
        total += nn.functional.cross_entropy(found, targets.flatten(), reduction="sum").item()
    if not math.isfinite(total):
        raise DivergedError("The training diverged: its validation loss is not finite.")
    return total / stream.bytes


def schedule(
    optimizer: torch.optim.Optimizer, kind: Literal["cosine", "onecycle"], *, steps: int, warmup: float, highest: float
) -> LRScheduler:
    """A learning rate that rises to ``highest`` and falls again over ``steps`` updates; call ``step`` after each.

    Args:
        optimizer: Whose rate it sets.
        kind: ``cosine``: a linear rise, then half a cosine down to a tenth; ``onecycle``: PyTorch's ``OneCycleLR``,
            which moves the momentum the other way.
        steps: How many updates there are.
        warmup: The share of them that rises.
        highest: The highest learning rate.
    """
    if kind == "onecycle":
        steps = max(steps, 4)
        # its first phase must have a length
        return OneCycleLR(optimizer, max_lr=highest, total_steps=steps + 1, pct_start=max(warmup, 2 / steps))
    rising = warmup * steps

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        done = min(1.0, (step - rising) / max(1.0, steps - rising))
        return _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, factor)


def clip_and_schedule(network: nn.Module, optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> None:
    """Have each of the optimizer's steps clip the gradients' norm before it and advance the schedule after it."""
    optimizer.register_step_pre_hook(lambda *_: _nothing(nn.utils.clip_grad_norm_(network.parameters(), CLIP)))
    optimizer.register_step_post_hook(lambda *_: scheduler.step())


def _nothing(_: object) -> None:
    """For hooks, whose result would replace their arguments."""

"""Interface between the training loop and a network: how to build it, its batches and its loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from optiformer.sequence.dataset import Split

if TYPE_CHECKING:
    import torch

Cursor = dict[str, int]


@dataclass(frozen=True, eq=False)
class Loss:
    """A batch's loss.

    Attributes:
        total: Weighted sum of the cross-entropies in nats (differentiable).
        weight: What ``total`` is divided by to give the mean.
        tokens: Sequence positions processed, padding left out.
    """

    total: torch.Tensor
    weight: torch.Tensor
    tokens: int


class Encoding(Protocol):
    """A network as a training task, created once per process."""

    #: Loss of a uniform prediction, in nats (for ``seq``: log of the vocabulary's size).
    uninformed_loss: float

    def build(self) -> Any:
        """A network with initial weights."""

    def batches(self, split: Split, start: Cursor | None) -> Iterator[tuple[Any, Cursor]]:
        """Endless batches on the CPU, each with the position to resume at after it."""

    def loss(self, network: Any, batch: Any, device: str) -> Loss:
        """The loss of a batch (``network`` may be wrapped for data-parallel training)."""

    def export(self, folder: Path, weights: dict[str, Any], info: dict[str, Any]) -> Path:
        """Write weights as a checkpoint for inference."""

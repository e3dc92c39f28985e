"""Training of the sequence network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optiformer.errors import ModelError
from optiformer.sequence.dataset import DataCursor, Split, TrajectoryStore, batches
from optiformer.sequence.network import build_network, save
from optiformer.training.config import RunConfig
from optiformer.training.encoding import Cursor, Loss

if TYPE_CHECKING:
    import torch


class SequenceEncoding:
    """The sequence network as a training task: next-token cross-entropy.

    Args:
        run: The run's configuration.
        data: The dataset's folder.
    """

    def __init__(self, run: RunConfig, data: Path) -> None:
        import math

        self.run = run
        self.stores: dict[Split, TrajectoryStore] = {
            "train": TrajectoryStore(data, "train"),
            "validation": TrajectoryStore(data, "validation"),
        }
        self.uninformed_loss = math.log(len(run.vocabulary))

    def build(self) -> Any:
        """A ``LlamaForCausalLM`` with initial weights."""
        return build_network(self.run.network, self.run.vocabulary, seed=self.run.train.seed)

    def batches(self, split: Split, start: Cursor | None) -> Iterator[tuple[Any, Cursor]]:
        """Token and weight tensors, (B, L) each."""
        import torch

        stream = batches(
            self.stores[split],
            self.run.augment,
            self.run.vocabulary,
            batch_tokens=self.run.train.batch_tokens,
            seed=self.run.train.seed + (0 if split == "train" else 1_000_003),
            start=DataCursor(**(start or {})),
        )
        for tokens, weights, place in stream:
            yield (torch.from_numpy(tokens), torch.from_numpy(weights)), asdict(place)

    def loss(self, network: Any, batch: Any, device: str) -> Loss:
        """Cross-entropy of the tokens with a weight; logits of the others are not computed."""
        import torch

        tokens, weights = (tensor.to(device, non_blocking=True) for tensor in batch)
        padding = self.run.vocabulary.special("PAD")
        total, weight = network(tokens, weights)
        if not torch.is_tensor(total):
            raise ModelError("The network must be wrapped by SequenceLoss before training.")
        return Loss(total, weight, int((tokens != padding).sum()))

    def export(self, folder: Path, weights: dict[str, Any], info: dict[str, Any]) -> Path:
        """Write a checkpoint for inference."""
        run = self.run
        return save(
            folder, weights, run.network, run.vocabulary, sampling=run.sampling, encoding=run.encoding, info=info
        )


def sequence_loss(network: Any) -> Any:
    """Wrap a causal network so that its forward pass gives ``(weighted loss, weight)`` of a batch."""
    import torch

    class SequenceLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, tokens: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            # Padding is on the right, so no weighted token attends to it.
            hidden = self.network.model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
            counted = weights[:, 1:] > 0
            logits = self.network.lm_head(hidden[counted]).float()
            losses = torch.nn.functional.cross_entropy(logits, tokens[:, 1:][counted], reduction="none")
            kept = weights[:, 1:][counted]
            return (losses * kept).sum(), kept.sum()

    return SequenceLoss()

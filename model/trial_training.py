"""What the trainer knows of the trial-set encoding: its network, its endless stream of functions, its loss.

There is no dataset: batch ``i`` is drawn from the seed and ``i`` alone, on the device that trains, so that a run
resumes exactly and no function is seen twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from model.config import RunConfig
from model.encodings import Loss, Position
from model.prior.draw import Draw
from model.prior.histories import Batch, sample_batch
from model.trial_checkpoint import save
from model.trial_network import TrialSetNetwork, build

if TYPE_CHECKING:
    from model.dataset import Split

#: Seeds of held-out batches start here; a run has fewer training batches than that.
HELD_OUT = 10**12


class TrialSetEncoding:
    """The trial-set encoding's training side.

    Args:
        run: The run's configuration.
        data: Unused: functions are drawn as they are needed.
    """

    def __init__(self, run: RunConfig, data: Path) -> None:
        self.run = run
        self.uninformed_loss = math.log(run.trialset.bins)
        self._held_out: dict[tuple[int, str], Batch] = {}

    def build(self) -> TrialSetNetwork:
        """A fresh network."""
        return build(self.run.trialset, self.run.network, seed=self.run.train.seed)

    def batches(self, split: Split, start: Position | None) -> Iterator[tuple[int, Position]]:
        """Seeds of batches; :meth:`loss` draws them where the network is."""
        base = self.run.train.seed * 10**9 + (HELD_OUT if split == "validation" else 0)
        index = (start or {}).get("batch", 0)
        while True:
            yield base + index, {"batch": index + 1}
            index += 1

    def loss(self, network: Any, batch: int, device: str) -> Loss:
        """Cross-entropy of the candidates' binned scores."""
        config = self.run.trialset
        drawn = self._draw(batch, device)
        told = drawn.trials, drawn.trials_active, drawn.scores, drawn.failed
        losses = network(drawn.kinds, *told, drawn.queries, drawn.queries_active).loss(config, drawn.targets)
        positions = losses.numel() + drawn.scores.numel()
        return Loss(losses.sum(), torch.tensor(float(losses.numel()), device=losses.device), positions)

    def export(self, folder: Path, weights: dict[str, torch.Tensor], info: dict[str, Any]) -> Path:
        """Write a checkpoint for use."""
        return save(folder, weights, self.run.trialset, self.run.network, info=info)

    def _draw(self, seed: int, device: str) -> Batch:
        """The batch of a seed; held-out ones are kept, since they come back at every validation."""
        if (seed, device) in self._held_out:
            return self._held_out[seed, device]
        with torch.no_grad(), torch.autocast(torch.device(device).type, enabled=False):
            batch = sample_batch(Draw(seed, device), self.run.trialset, self.run.train.batch_tokens)
        if seed >= HELD_OUT:
            self._held_out[seed, device] = batch
        return batch


def identity(network: Any) -> Any:
    """The network gives what the loss needs; it is not wrapped."""
    return network

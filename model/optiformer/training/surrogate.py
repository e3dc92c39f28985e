"""Training of the surrogate: its network, its stream of functions, its loss.

There is no dataset: batch ``i`` is a function of the seed and ``i``, drawn on the training device, so that runs resume
exactly and no function is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from optiformer.errors import ModelError
from optiformer.surrogate.checkpoint import load, save
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.network import SurrogateNetwork, build
from optiformer.surrogate.prior.histories import Batch, sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.prior.recorded import Surfaces
from optiformer.training.config import RunConfig
from optiformer.training.encoding import Cursor, Loss

if TYPE_CHECKING:
    from optiformer.sequence.dataset import Split

#: A batch's seed is the run's seed times ``SEEDS`` plus the batch's number, plus ``HELD_OUT`` for validation.
SEEDS, HELD_OUT = 10**9, 2**62
#: Index of the observed scores among a batch's tensors.
OBSERVED = 5


class SurrogateEncoding:
    """The surrogate as a training task.

    Args:
        run: Configuration of the run.
        data: Unused, since functions are drawn on the fly.
    """

    def __init__(self, run: RunConfig, data: Path) -> None:
        self.run = run
        self.uninformed_loss = math.log(run.surrogate.bins)
        self._held_out: dict[tuple[int, str], Batch] = {}
        self._drawn: dict[int, Batch] = {}
        self._surfaces: Surfaces | None = None
        self._recorded: dict[tuple[int, ...], Any] = {}
        self._memory: Any = None

    def build(self) -> SurrogateNetwork:
        """A network with initial weights, or with those of the checkpoint that the run starts from.

        Raises:
            ModelError: That checkpoint has a different network.
        """
        network = build(self.run.surrogate, self.run.network, seed=self.run.train.seed)
        if self.run.train.start:
            weights = load(self.run.train.start).weights
            try:
                network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
            except RuntimeError as error:
                raise ModelError(
                    f"train.start: {self.run.train.start} is a checkpoint of a different network."
                ) from error
        return network

    def batches(self, split: Split, start: Cursor | None) -> Iterator[tuple[int, Cursor]]:
        """Seeds of batches; :meth:`loss` draws them where the network is."""
        base = self.run.train.seed * SEEDS + (HELD_OUT if split == "validation" else 0)
        index = (start or {}).get("batch", 0)
        while True:
            yield base + index, {"batch": index + 1}
            index += 1

    def loss(self, network: Any, batch: int, device: str) -> Loss:
        """Cross-entropy of the candidates' binned scores."""
        tensors = self._draw(batch, device).tensors()
        losses = self._losses(network, tensors, device)(*tensors)
        n_candidates, n_observed = losses.numel(), tensors[OBSERVED].numel()
        return Loss(losses.sum(), torch.tensor(float(n_candidates)), n_candidates + n_observed)

    def export(self, folder: Path, weights: dict[str, torch.Tensor], info: dict[str, Any]) -> Path:
        """Write a checkpoint for inference."""
        return save(folder, weights, self.run.surrogate, self.run.network, info=info)

    def _losses(self, network: Any, tensors: tuple[torch.Tensor, ...], device: str) -> Any:
        """The function from a batch to its losses.

        On a GPU a small network's step is dominated by kernel launches, so a CUDA graph is recorded for each context
        length if these are few.
        """
        config = self.run.surrogate
        small = config.few_lengths and self.run.train.accumulation == 1
        if not (device == "cuda" and small and network.training and isinstance(network, SurrogateNetwork)):
            return _Losses(network, config)
        shape = tuple(tensors[OBSERVED].shape)
        if shape not in self._recorded:
            self._memory = self._memory or torch.cuda.graph_pool_handle()
            sample = tuple(tensor.clone() for tensor in tensors)
            self._recorded[shape] = torch.cuda.make_graphed_callables(
                _Losses(network, config), sample, allow_unused_input=True, pool=self._memory
            )
        return self._recorded[shape]

    def _draw(self, seed: int, device: str) -> Batch:
        """The batch of a seed; held-out batches are cached for later validations."""
        if (seed, device) in self._held_out:
            return self._held_out[seed, device]
        if seed not in self._drawn:
            together = self.run.train.draw_ahead if seed < HELD_OUT else 1
            first = seed - seed % SEEDS % together
            with torch.no_grad(), torch.autocast(torch.device(device).type, enabled=False):
                draw = RandomSource(first, device)
                surfaces = self._recorded_surfaces(device)
                batch = sample_batch(
                    draw, self.run.surrogate, self.run.train.batch_tokens, times=together, surfaces=surfaces
                )
                parts = batch.split(together, draw) if together > 1 else [batch]
            self._drawn = dict(enumerate(parts, first))
        batch = self._drawn[seed]
        if seed >= HELD_OUT:
            self._held_out[seed, device] = batch
        return batch

    def _recorded_surfaces(self, device: str) -> Surfaces | None:
        recorded = self.run.surrogate.recorded
        if recorded.file and self._surfaces is None:
            surfaces, _ = Surfaces.load(recorded.file, self.run.surrogate.columns).split(recorded.left_out)
            self._surfaces = surfaces.to(device)
        return self._surfaces


class _Losses(torch.nn.Module):
    """Maps the tensors of a batch to the losses of its candidates, (B, q)."""

    def __init__(self, network: Any, config: SurrogateConfig) -> None:
        super().__init__()
        self.network, self.config = network, config

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        batch = Batch.of(tensors)
        observed = batch.trials, batch.trials_active, batch.scores, batch.failed
        predicted = self.network(batch.kinds, *observed, batch.queries, batch.queries_active)
        return torch.as_tensor(predicted.loss(self.config, batch.targets))


def unwrapped(network: Any) -> Any:
    """Returns the network itself, since the loss needs no wrapper."""
    return network

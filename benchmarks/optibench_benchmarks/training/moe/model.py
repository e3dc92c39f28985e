"""The predictor that ``moe-router`` trains: embeddings and a multilayer perceptron. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.training.base import Curve, Split
from optibench_benchmarks.training.moe.traces import COLUMNS, EXPERTS, HISTORY, LAYERS
from optibench_benchmarks.training.network import fit, portions, reproducible

_SLOPE = 0.1
"""LeakyReLU's, below zero."""
_SCORED = 2048
"""Rows scored at once."""


class Router(nn.Module):
    """Predicts a token's first expert; the experts' embedding serves the second expert and the history alike."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layer = nn.Embedding(LAYERS, config["layer_emb"])
        self.expert = nn.Embedding(EXPERTS + 1, config["expert_emb"], padding_idx=0)
        width = config["layer_emb"] + (1 + HISTORY) * config["expert_emb"] + 3
        layers: list[nn.Module] = []
        for number in range(1, config["num_layers"] + 1):
            units = config[f"units_{number}"]
            layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.LeakyReLU(_SLOPE)]
            layers.append(nn.Dropout(config["dropout"]))
            width = units
        self.head = nn.Sequential(*layers, nn.Linear(width, EXPERTS))

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        """Logits of shape ``(n, 8)`` from ids ``(n, 34)``, layer first, and numbers ``(n, 3)``."""
        experts = self.expert(ids[:, 1:]).flatten(1)
        logits: Tensor = self.head(torch.cat([self.layer(ids[:, 0]), experts, numbers], dim=1))
        return logits


def top_accuracy(logits: Tensor, targets: Tensor, k: int) -> float:
    """The share of rows whose target is among the ``k`` largest logits."""
    return (logits.topk(k, dim=1).indices == targets[:, None]).any(dim=1).double().mean().item()


def train(
    split: Split, config: Config, seed: int, fidelity: Mapping[str, float], *, batch_size: int, curve: Curve
) -> Evaluation:
    """Train with AdamW and give the validation Top-2 accuracy after the last epoch.

    Args:
        split: As :func:`optibench_benchmarks.training.moe.traces.split` makes it.
        config: The parameters of the search space.
        seed: Of initialization, shuffling and dropout.
        fidelity: ``epochs`` and ``data_fraction``.
        batch_size: Rows in a training batch.
        curve: Records every epoch.

    Raises:
        DivergedError: The loss is no longer finite.
    """
    with reproducible(seed):
        parts = {
            name: (torch.from_numpy(x[:, :COLUMNS]).long(), torch.from_numpy(x[:, COLUMNS:]), torch.from_numpy(y))
            for name, (x, y) in {
                "train": split.part(fidelity["data_fraction"]),
                "validation": split.validation,
                "test": split.test,
            }.items()
        }
        ids, numbers, targets = parts["train"]
        network = Router(config)
        optimizer = torch.optim.AdamW(network.parameters(), lr=config["learning_rate"])

        def loss(rows: Tensor) -> Tensor:
            return nn.functional.cross_entropy(network(ids[rows], numbers[rows]), targets[rows])

        def logits(part: str) -> tuple[Tensor, Tensor]:
            some_ids, some_numbers, wanted = parts[part]
            pairs = zip(portions(some_ids, _SCORED), portions(some_numbers, _SCORED), strict=True)
            return torch.cat([network(*pair) for pair in pairs]), wanted

        def measure() -> Mapping[str, float]:
            found, wanted = logits("validation")
            return {
                "validation_loss": nn.functional.cross_entropy(found, wanted).item(),
                "validation_top1": top_accuracy(found, wanted, 1),
                "validation_top2": top_accuracy(found, wanted, 2),
            }

        fit(network, optimizer, loss, measure, curve, rows=len(targets), batch_size=batch_size)
        with torch.inference_mode():
            found, wanted = logits("test")
    info = {
        "validation_top1": curve.last("validation_top1"),
        "test_top1": top_accuracy(found, wanted, 1),
        "test_top2": top_accuracy(found, wanted, 2),
        "parameters": sum(weights.numel() for weights in network.parameters()),
    }
    return Evaluation(curve.last("validation_top2"), info=info, curve=curve.columns)

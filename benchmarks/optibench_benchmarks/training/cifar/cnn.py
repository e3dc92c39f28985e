"""The convolutional network that ``cifar/cnn`` trains. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.training.base import Curve, Split
from optibench_benchmarks.training.network import fit_classifier, reproducible

SHIFT = 2
"""By how many pixels training batches are moved at most."""
_SCORED = 500
"""Images scored at once."""


def convolutional(classes: int, config: Config) -> nn.Sequential:
    """``blocks`` of two 3 x 3 convolutions with batch normalization and ReLU, each with twice the last one's filters.

    Each block halves the picture; the mean over what is left goes through dropout to a linear layer.
    """
    layers: list[nn.Module] = []
    channels, filters = 3, config["filters"]
    for _ in range(config["blocks"]):
        for _ in range(2):
            layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
        filters *= 2
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config["dropout"]), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)


def train(split: Split, config: Config, seed: int, fidelity: Mapping[str, float], *, curve: Curve) -> Evaluation:
    """Train on images and give the validation accuracy after the last epoch.

    Args:
        split: Images of shape ``(n, 3, height, width)``, uint8, and their classes.
        config: The parameters of the search space.
        seed: Of initialization, shuffling, dropout, mirrors and shifts.
        fidelity: ``epochs`` and ``data_fraction``.
        curve: Records every epoch.

    Raises:
        DivergedError: The loss is no longer finite.
    """
    with reproducible(seed):
        images, classes = split.part(fidelity["data_fraction"])
        train_x, train_y = torch.from_numpy(images).float(), torch.from_numpy(classes)
        mean, std = train_x.mean(dim=(0, 2, 3), keepdim=True), train_x.std(dim=(0, 2, 3), keepdim=True) + 1e-6
        parts = {
            name: ((torch.from_numpy(x).float() - mean) / std, torch.from_numpy(y))
            for name, (x, y) in {"validation": split.validation, "test": split.test}.items()
        }
        padded = nn.functional.pad((train_x - mean) / std, (SHIFT,) * 4)
        height, width = images.shape[2:]
        network = convolutional(int(split.train[1].max()) + 1, config)
        rate, decay = config["learning_rate"], config["weight_decay"]
        optimizer: torch.optim.Optimizer
        if config["optimizer"] == "adamw":
            optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
        else:
            momentum = config["momentum"]
            optimizer = torch.optim.SGD(
                network.parameters(), lr=rate, momentum=momentum, weight_decay=decay, nesterov=momentum > 0
            )

        def loss(rows: Tensor) -> Tensor:
            top, left, mirrored = (int(torch.randint(high, ())) for high in (2 * SHIFT + 1, 2 * SHIFT + 1, 2))
            batch = padded[rows, :, top : top + height, left : left + width]
            return nn.functional.cross_entropy(network(batch.flip(-1) if mirrored else batch), train_y[rows])

        return fit_classifier(
            network,
            optimizer,
            loss,
            parts,
            curve,
            rows=len(train_y),
            batch_size=config["batch_size"],
            scored=_SCORED,
        )

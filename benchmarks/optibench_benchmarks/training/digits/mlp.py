"""The multilayer perceptron that ``mnist/mlp``, ``mnist/mlp-10k`` and ``digits/mlp`` train. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.training.base import Curve, Split
from optibench_benchmarks.training.network import fit_classifier, reproducible

MOMENTUM = 0.9
"""Of the optimizer ``sgd``."""
_SCORED = 2000
"""Rows scored at once: a cache's worth rather than the whole split."""


def perceptron(inputs: int, classes: int, config: Config) -> nn.Sequential:
    """``num_layers`` hidden layers of ``hidden_size`` units, ReLU and dropout after each."""
    layers: list[nn.Module] = []
    width = inputs
    for _ in range(config["num_layers"]):
        layers += [nn.Linear(width, config["hidden_size"]), nn.ReLU(), nn.Dropout(config["dropout"])]
        width = config["hidden_size"]
    return nn.Sequential(*layers, nn.Linear(width, classes))


def train(
    split: Split, config: Config, seed: int, fidelity: Mapping[str, float], *, shift: int, curve: Curve
) -> Evaluation:
    """Train on images and give the validation accuracy after the last epoch.

    Args:
        split: Images of shape ``(n, height, width)`` in [0, 1] and their classes.
        config: The parameters of the search space.
        seed: Of initialization, shuffling, dropout and shifts.
        fidelity: ``epochs`` and ``data_fraction``.
        shift: Each training batch is moved by up to so many pixels in each direction, at random.
        curve: Records every epoch.

    Raises:
        DivergedError: The loss is no longer finite.
    """
    with reproducible(seed):
        images, classes = split.part(fidelity["data_fraction"])
        mean, std = float(images.mean()), float(images.std())
        train_x, train_y = _normalised(images, mean, std), torch.from_numpy(classes)
        parts = {
            name: (_normalised(x, mean, std).flatten(1), torch.from_numpy(y))
            for name, (x, y) in {"validation": split.validation, "test": split.test}.items()
        }
        height, width = images.shape[1:]
        padded = nn.functional.pad(train_x, (shift,) * 4, value=-mean / std)
        network = perceptron(height * width, int(split.train[1].max()) + 1, config)
        rate = config["learning_rate"]
        optimizer: torch.optim.Optimizer
        if config["optimizer"] == "adam":
            optimizer = torch.optim.Adam(network.parameters(), lr=rate)
        else:
            optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)

        def loss(rows: Tensor) -> Tensor:
            top, left = torch.randint(2 * shift + 1, (2,)).tolist()
            batch = padded[rows, top : top + height, left : left + width].flatten(1)
            return nn.functional.cross_entropy(network(batch), train_y[rows])

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


def _normalised(images: object, mean: float, std: float) -> Tensor:
    return torch.from_numpy((images - mean) / std).float()  # type: ignore[operator]

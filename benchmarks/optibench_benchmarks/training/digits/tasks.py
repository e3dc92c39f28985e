"""Handwritten digits with a multilayer perceptron: ``mnist/mlp``, ``mnist/mlp-10k`` and ``digits/mlp``.

| task | train / validation / test | epochs |
|---|---|---|
| ``mnist/mlp`` | 50,000 / 10,000 of MNIST's training images; its 10,000 test images | 10 |
| ``mnist/mlp-10k`` | 6,000 / 2,000 / 2,000 of MNIST's test images | 10 |
| ``digits/mlp`` | 599 / 599 / 599 of scikit-learn's 8 x 8 digits | 30 |

The value is the validation accuracy after the last epoch; ``parameters``, the same on every machine, may be a further
objective. ``digits`` is split in thirds because all of it is easy:
fewer training images leave something to tune, and more validation images resolve it. On MNIST, training batches are
moved by up to one pixel at random; 6,000 images without that give no network of the space 97 %.

MNIST is CC BY-SA 3.0 and not shipped: ``optibench data fetch mnist mnist/train``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks import data
from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.named_tasks import NamedTasks
from optibench_benchmarks.training.base import (
    Curve,
    ReferencePlan,
    Split,
    TrainingBenchmark,
    fidelity_space,
    split_rows,
)
from optibench_benchmarks.training.digits.idx import read_idx
from optibench_benchmarks.training.hpobench import data as hpobench_data

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

_SPLIT_SEED = 0


@dataclass(frozen=True)
class Source:
    """Images to learn from.

    Attributes:
        datasets: What ``optibench data fetch`` has to get; empty if the images ship with a package.
        epochs: The highest fidelity.
        shift: By how many pixels training batches are moved at most.
        images: What they are, for the data version; empty if they are scikit-learn's.
        plan: The plan of the reference search.
    """

    datasets: tuple[str, ...]
    epochs: int
    shift: int
    images: str
    plan: ReferencePlan


SOURCES = {
    "mnist/mlp": Source(("mnist", "mnist/train"), 10, 1, "MNIST", ReferencePlan()),
    "mnist/mlp-10k": Source(("mnist",), 10, 1, "MNIST t10k", ReferencePlan(random=61, local=60)),
    "digits/mlp": Source((), 30, 0, "", ReferencePlan(random=101, local=100)),
}


def search_space(name: str) -> ConfigurationSpace:
    """The space: six parameters, none conditional."""
    from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

    return ConfigurationSpace(
        name=name,
        space=[
            Integer("hidden_size", (32, 512), default=128),
            Integer("num_layers", (1, 4), default=2),
            Float("learning_rate", (1e-5, 1e-1), default=1e-3, log=True),
            Float("dropout", (0.0, 0.5), default=0.2),
            Integer("batch_size", (32, 256), default=64),
            Categorical("optimizer", ["adam", "sgd"], default="adam"),
        ],
    )


@functools.cache
def load(name: str) -> Split:
    """The split of a task: images of shape ``(n, height, width)``, float32 in [0, 1], and classes, int64.

    Raises:
        MissingDataError: A file is not there; the message says how to get it.
        BenchmarkError: A file is incomplete.
    """
    if name == "digits/mlp":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return _split((digits.images / 16.0).astype(np.float32), digits.target.astype(np.int64), (599, 599, 599))
    held_out = _mnist("mnist", "t10k")
    if name == "mnist/mlp-10k":
        return _split(*held_out, (6000, 2000, 2000))
    known = _split(*_mnist("mnist/train", "train"), (50_000, 10_000, 0))
    return Split(known.train, known.validation, held_out)


def _mnist(dataset: str, prefix: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    folder = data.locate(dataset)
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz").astype(np.float32) / np.float32(255)
    return images, read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz").astype(np.int64)


def _split(images: NDArray[np.float32], classes: NDArray[np.int64], sizes: tuple[int, int, int]) -> Split:
    train, validation, test = split_rows(len(classes), sizes, _SPLIT_SEED)
    return Split(*[(images[rows], classes[rows]) for rows in (train, validation, test)])


class Perceptron(TrainingBenchmark):
    """One of the three tasks; the images are read by the first evaluation.

    Attributes:
        source: Where the images come from.
    """

    metrics = MappingProxyType({"test_accuracy": "maximize", "validation_loss": "minimize", "parameters": "minimize"})

    def __init__(self, name: str) -> None:
        self.name, self.source = name, SOURCES[name]
        self.space = search_space(name)
        self.fidelity_space = fidelity_space(epochs=(1, self.source.epochs), data_fraction=(0.1, 1.0))
        self.main_fidelity = "epochs"
        images = f"{self.source.images}, {data.version(*self.source.datasets)}" if self.source.datasets else ""
        self.data_version = f"{images or hpobench_data.version('digits')}, split 1"
        self.reference_plan = self.source.plan

    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        from optibench_benchmarks.training.digits.mlp import train

        curve = Curve("epoch", fidelity["epochs"], self.on_step)
        return train(load(self.name), config, seed, fidelity, shift=self.source.shift, curve=curve)


def _family(prefix: str) -> NamedTasks:
    tasks = [name for name in SOURCES if name.startswith(f"{prefix}/")]
    return NamedTasks(tasks, Perceptron, lacks=lambda name: data.lacking(*SOURCES[name].datasets))


mnist = _family("mnist")
digits = _family("digits")

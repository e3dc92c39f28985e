"""CIFAR-10 with a small convolutional network: ``cifar/cnn`` and ``cifar/cnn-full``.

| task | to train on / validate / test | epochs |
|---|---|---|
| ``cifar/cnn`` | 3,000 / 2,000 of the training images, 2,000 of the test images | 5 |
| ``cifar/cnn-full`` | 45,000 / 5,000 / 10,000 | 20 |

The value is the validation accuracy after the last epoch. Training batches are mirrored at random and moved by up to
two pixels.

The images are not shipped: ``optibench data fetch cifar``. The archive is read as it is; nothing of it is unpacked to
disk.
"""

from __future__ import annotations

import functools
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks import data
from optibench_benchmarks.base import BenchmarkError, Config, Evaluation
from optibench_benchmarks.named_tasks import NamedTasks, full
from optibench_benchmarks.training.base import (
    Curve,
    ReferencePlan,
    Split,
    TrainingBenchmark,
    fidelity_space,
    split_rows,
)

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

DATASET, ARCHIVE = "cifar", "cifar-10-binary.tar.gz"
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
"""Bytes of an image: its class, then its red, green and blue rows."""
_MAX_BATCH = 10_000 * _RECORD
"""Bytes of a batch, at most."""
_TRAINING, _TEST = tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"
_SPLIT_SEED = 0


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        rows: Images to train on, to validate and to test with.
        epochs: The highest fidelity.
    """

    rows: tuple[int, int, int]
    epochs: int


SIZES = {
    "cifar/cnn": Size((3_000, 2_000, 2_000), 5),
    "cifar/cnn-full": Size((45_000, 5_000, 10_000), 20),
}


def search_space(name: str) -> ConfigurationSpace:
    """Eight parameters of the network and its training; Nesterov's momentum exists for SGD only."""
    from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

    optimizer = Categorical("optimizer", ["adamw", "sgd"], default="adamw")
    momentum = Float("momentum", (0.0, 0.99), default=0.9)
    space = ConfigurationSpace(
        name=name,
        space=[
            Integer("filters", (8, 32), default=16, log=True),
            Integer("blocks", (1, 3), default=2),
            Float("learning_rate", (1e-4, 1e-1), default=1e-3, log=True),
            Float("weight_decay", (1e-5, 1e-1), default=1e-3, log=True),
            Float("dropout", (0.0, 0.5), default=0.1),
            Integer("batch_size", (16, 256), default=64, log=True),
            optimizer,
            momentum,
        ],
    )
    space.add(EqualsCondition(momentum, optimizer, "sgd"))
    return space


def members(path: Path) -> dict[str, bytes]:
    """The batches of images in a gzipped tar archive, by file name; one that is longer than it may be is cut off.

    Raises:
        BenchmarkError: It is no whole archive.
    """
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for info in archive:
                name = Path(info.name).name
                content = archive.extractfile(info) if info.isfile() and name in (*_TRAINING, _TEST) else None
                if content is not None:
                    found[name] = content.read(_MAX_BATCH + 1)  # whatever size the archive claims
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise BenchmarkError(
            f"{path} is not a whole archive ({error}); get it again with `optibench data fetch {DATASET}`."
        ) from None
    return found


def read(path: Path) -> tuple[tuple[NDArray[np.uint8], NDArray[np.int64]], tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """The training and the test images of CIFAR-10's binary archive, in its order.

    Returns:
        For each: images of shape ``(n, 3, 32, 32)`` and classes of shape ``(n,)``.

    Raises:
        BenchmarkError: It is no whole archive, or lacks a part.
    """
    found = members(path)
    for name in (*_TRAINING, _TEST):
        if name not in found or not found[name] or len(found[name]) % _RECORD:
            raise BenchmarkError(f"{path} has no whole {name}; get it again with `optibench data fetch {DATASET}`.")
    return _images(b"".join(found[name] for name in _TRAINING)), _images(found[_TEST])


def _images(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, _RECORD)
    return records[:, 1:].reshape(-1, *_SHAPE), records[:, 0].astype(np.int64)


@functools.lru_cache(maxsize=1)
def load(name: str) -> Split:
    """The split of a task: images of shape ``(n, 3, 32, 32)``, uint8, and classes.

    Raises:
        MissingDataError: The archive is not there; the message says how to get it.
        BenchmarkError: It is not whole.
    """
    (images, classes), (test_images, test_classes) = read(data.locate(DATASET) / ARCHIVE)
    rows = SIZES[name].rows
    train, validation = split_rows(len(classes), rows[:2], _SPLIT_SEED)
    (test,) = split_rows(len(test_classes), rows[2:], _SPLIT_SEED)
    return Split(
        (images[train], classes[train]),
        (images[validation], classes[validation]),
        (test_images[test], test_classes[test]),
    )


class Convolutional(TrainingBenchmark):
    """One of the two tasks; the images are read by the first evaluation.

    Attributes:
        size: How much is trained.
    """

    reference_plan = ReferencePlan(random=41, local=30)
    metrics = MappingProxyType({"test_accuracy": "maximize", "validation_loss": "minimize"})

    def __init__(self, name: str) -> None:
        self.name, self.size = name, SIZES[name]
        self.space = search_space(name)
        self.fidelity_space = fidelity_space(epochs=(1, self.size.epochs), data_fraction=(0.1, 1.0))
        self.main_fidelity = "epochs"
        self.data_version = f"CIFAR-10, {data.version(DATASET)}, split 1"

    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        from optibench_benchmarks.training.cifar.cnn import train

        return train(load(self.name), config, seed, fidelity, curve=Curve("epoch", fidelity["epochs"], self.on_step))


provider = NamedTasks(list(SIZES), Convolutional, lacks=lambda name: data.lacking(DATASET), unlisted=full(list(SIZES)))

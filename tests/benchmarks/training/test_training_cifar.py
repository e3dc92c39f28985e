"""CIFAR-10: its archive, its split, exact repetition; on images made here, since the real ones are fetched."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
import torch

from optibench_benchmarks import BenchmarkError, create, data
from optibench_benchmarks.conformance import plain
from optibench_benchmarks.training.base import DivergedError
from optibench_benchmarks.training.cifar import cnn
from optibench_benchmarks.training.cifar import tasks as cifar

SHORT = {"epochs": 1, "data_fraction": 0.5}
NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


def batch(number: int, count: int) -> bytes:
    """Images whose class is how red they are."""
    rng = np.random.default_rng(number)
    classes = rng.integers(10, size=count)
    images = rng.integers(0, 120, size=(count, 3, 32, 32))
    for image, label in zip(images, classes, strict=True):
        image[0] += 13 * label
    return np.concatenate([classes[:, None], images.reshape(count, -1)], axis=1).astype(np.uint8).tobytes()


def archive(path, contents: dict[str, bytes], kind: int = tarfile.USTAR_FORMAT, folder: str = "cifar-10-batches-bin"):
    with tarfile.open(path, "w:gz", format=kind) as out:
        for name, content in {"readme.html": b"x" * 700, **contents}.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size, info.mtime = len(content), 1.5  # a fraction of a second needs a PAX header
            out.addfile(info, io.BytesIO(content))


@pytest.fixture
def task(monkeypatch, tmp_path):
    """The small task on 240 images."""
    archive(tmp_path / cifar.ARCHIVE, {name: batch(number, 40) for number, name in enumerate(NAMES)})
    monkeypatch.setattr(data, "locate", lambda name: tmp_path)
    monkeypatch.setattr(data, "lacking", lambda name: None)
    monkeypatch.setattr(data, "version", lambda name: "made here")
    monkeypatch.setitem(cifar.SIZES, "cifar/cnn", cifar.Size((120, 60, 30), 4))
    cifar.load.cache_clear()
    yield create("cifar/cnn")
    cifar.load.cache_clear()


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_archive_is_read_as_it_was_written(tmp_path, kind):
    contents = {name: batch(number, 7) for number, name in enumerate(NAMES)}
    archive(tmp_path / "a.tar.gz", contents, kind, "a long folder" * (5 if kind == tarfile.USTAR_FORMAT else 20))
    (images, classes), (test_images, test_classes) = cifar.read(tmp_path / "a.tar.gz")
    assert images.shape == (35, 3, 32, 32)
    assert classes.shape == (35,)
    again = np.concatenate([classes[:, None].astype(np.uint8), images.reshape(35, -1)], axis=1).tobytes()
    assert again == b"".join(contents[name] for name in NAMES[:5])
    assert len(test_images) == len(test_classes) == 7


def test_a_broken_archive_is_one_sentence(tmp_path):
    path = tmp_path / "a.tar.gz"
    whole = {name: batch(0, 3) for name in NAMES}
    for contents, message in [
        ({name: content for name, content in whole.items() if "3" not in name}, r"no whole data_batch_3\.bin"),
        (whole | {"test_batch.bin": b"12345"}, r"no whole test_batch\.bin"),
        (whole | {"test_batch.bin": bytes(10_001 * 3073)}, r"no whole test_batch\.bin"),  # more than there are images
        (None, "is not a whole archive"),
    ]:
        if contents is None:
            archive(path, whole)
            path.write_bytes(path.read_bytes()[:-2000])
        else:
            archive(path, contents)
        with pytest.raises(BenchmarkError, match=message) as caught:
            cifar.read(path)
        assert "`optibench data fetch cifar`" in str(caught.value)
        assert "\n" not in str(caught.value)
    with tarfile.open(path, "w:gz") as out:  # a link where a file belongs
        for name in NAMES:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            out.addfile(info)
    with pytest.raises(BenchmarkError, match=r"no whole data_batch_1\.bin"):
        cifar.read(path)
    path.write_bytes(b"no archive")
    with pytest.raises(BenchmarkError, match="is not a whole archive"):
        cifar.read(path)


def test_no_image_is_in_two_parts(task):
    split = cifar.load("cifar/cnn")
    sizes = [len(part[1]) for part in (split.train, split.validation, split.test)]
    assert sizes == [120, 60, 30]
    images = np.concatenate([part[0].reshape(len(part[0]), -1) for part in (split.train, split.validation, split.test)])
    assert len(np.unique(images, axis=0)) == 210


@pytest.mark.parametrize("change", [{}, {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "sgd", "momentum": 0.0}])
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(task, change):
    config = plain(task.space.get_default_configuration()) | change
    first, again, other = (task.evaluate(config, seed=seed, fidelity=SHORT) for seed in (1, 1, 2))
    assert first == again
    assert first.curve["train_loss"] != other.curve["train_loss"]


def test_a_short_training_is_the_beginning_of_a_longer_one_and_it_learns(task):
    config = plain(task.space.get_default_configuration()) | {"learning_rate": 3e-3, "dropout": 0.0, "batch_size": 16}
    short, long = (task.evaluate(config, seed=0, fidelity={"epochs": epochs}) for epochs in (1, 4))
    assert {name: values[:1] for name, values in long.curve.items()} == dict(short.curve)
    assert long.curve["train_loss"][-1] < 0.9 * long.curve["train_loss"][0]
    assert long.value == long.curve["validation_accuracy"][-1] > 0.2


def test_a_loss_that_is_no_number_is_a_divergence(task, monkeypatch):
    monkeypatch.setattr(cnn, "convolutional", lambda classes, config: _Nan())
    with pytest.raises(DivergedError, match="its loss became nan in epoch 1"):
        task.evaluate(plain(task.space.get_default_configuration()), seed=0)


class _Nan(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return torch.full((len(x), 10), torch.nan) * self.weight


def test_networks_grow_with_filters_and_blocks():
    config = {"filters": 8, "blocks": 1, "dropout": 0.1}
    sizes = []
    for change in ({}, {"filters": 16}, {"blocks": 3}):
        network = cnn.convolutional(10, config | change)
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
        sizes.append(sum(weights.numel() for weights in network.parameters()))
    assert sizes == sorted(sizes)


@pytest.mark.heavy
@pytest.mark.data("cifar")
def test_the_real_images_can_be_learned():
    task = create("cifar/cnn")
    assert task.evaluate(plain(task.space.get_default_configuration()), seed=0).value > 0.35

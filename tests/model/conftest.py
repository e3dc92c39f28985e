"""A small random checkpoint: what a network knows does not matter to most tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from optiformer.network_config import NetworkConfig
from optiformer.sequence.config import SamplingConfig
from optiformer.sequence.network import build_network, save
from optiformer.sequence.tokenizer import Vocabulary

TINY = NetworkConfig(
    hidden_size=64, n_layers=2, n_heads=4, intermediate_size=96, copying_start=True, tie_embeddings=True
)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained network's checkpoint."""
    vocabulary = Vocabulary()
    network = build_network(TINY, vocabulary, seed=0)
    return save(
        tmp_path_factory.mktemp("tiny"),
        network.state_dict(),
        TINY,
        vocabulary,
        sampling=SamplingConfig(),
        encoding="seq",
        info={"name": "tiny"},
    )


@pytest.fixture
def small_run() -> str:
    """A configuration of the sequence network that trains in seconds."""
    return """
data: {n_trajectories: 60, shard_size: 60, teachers: [{name: random, share: 1, n_trials: 30}]}
network: {hidden_size: 64, n_layers: 2, n_heads: 4, intermediate_size: 64}
augment: {max_trials: 6}
train: {steps: 2, batch_tokens: 600, validation_batches: 1, precision: fp32}
"""


@pytest.fixture
def in_doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any, Any], tuple[Any, Any]]]:
    """Converts a network and a batch to float64, except for the RMS norms, which compute in float32.

    In float64 equal computations agree to 1e-6 on every CPU. In float32 a kernel head's mean is rounded and then mapped
    to transformed scores with a slope of up to 30 / 0.05 (the ratio of asinh scales), which on some CPUs moves a
    probability by 3e-5.
    """

    def convert(network: Any, batch: Any) -> tuple[Any, Any]:
        values = {field.name: getattr(batch, field.name) for field in fields(batch)}
        single = {name: x for name, x in values.items() if torch.is_tensor(x) and x.dtype == torch.float32}
        return deepcopy(network).double(), replace(batch, **{name: x.double() for name, x in single.items()})

    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield convert
    torch.set_default_dtype(torch.float32)

"""A small random checkpoint: what a network knows does not matter to most tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.config import NetworkConfig, SamplingConfig
from model.network import build_network, save
from model.tokenizer import Vocabulary

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

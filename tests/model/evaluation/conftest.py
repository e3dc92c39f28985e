"""A file of recorded tunings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

ROWS = 60


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two smooth surfaces of two parameters, of one group of learners each."""
    rng = np.random.default_rng(0)
    position = rng.random((2, ROWS, 2)).astype(np.float32)
    path = tmp_path_factory.mktemp("recorded") / "rows.safetensors"
    arrays = {
        "present": np.ones((2, 2), dtype=bool),
        "categorical": np.zeros((2, 2), dtype=bool),
        "levels": np.zeros((2, 2), dtype=np.float32),
        "position": position,
        "active": np.ones((2, ROWS, 2), dtype=bool),
        "task": np.array([0, 1]),
        "value": np.square(position - 0.4).sum(-1),
    }
    labels = {"groups": ["linear", "trees"], "names": ["svm/a/accuracy", "tree/a/accuracy"]}
    save_file(arrays, path, metadata={name: json.dumps(texts) for name, texts in labels.items()})
    return path

"""The ONNX Runtime decoder is the torch one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import optimizers
from model.config import NetworkConfig
from model.onnx_decoder import OnnxDecoder
from model.trial_checkpoint import TrialSetCheckpoint, arrays, default_checkpoint, load
from model.trial_config import MixtureConfig, TrialSetConfig
from model.trial_decoder import TrialSetDecoder
from model.trial_features import SlotKinds
from model.trial_network import build
from optimizers import Observation, OptimizerError


@pytest.fixture(scope="module", params=[0, 1], ids=["attention only", "kernel heads"])
def checkpoint(request: pytest.FixtureRequest) -> TrialSetCheckpoint:
    encoding = TrialSetConfig(
        slots=5, bins=32, queries=8, max_trials=16, kernels_after=request.param, prior=MixtureConfig(dimensions=(2, 5))
    )
    config = NetworkConfig(32, 2, 2, 48)
    return TrialSetCheckpoint(arrays(build(encoding, config, seed=2).state_dict()), encoding, config, {})


def predict(decoder: TrialSetDecoder, n: int, m: int, d: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(n)
    kinds = SlotKinds(torch.ones(1, d, dtype=torch.bool), torch.zeros(1, d, dtype=torch.bool), torch.zeros(1, d))
    trials, candidates = torch.rand(1, n, d, generator=rng), torch.rand(1, m, d, generator=rng)
    score = trials.sum(-1) - trials.sum(-1).min()
    active = torch.ones_like(trials, dtype=torch.bool)
    with torch.inference_mode():
        context = decoder.encode(kinds, trials, active, score, torch.zeros(1, n, dtype=torch.bool))
        asked = torch.ones_like(candidates, dtype=torch.bool)
        return decoder.predict(context, candidates, asked).probabilities(decoder.encoding)


@pytest.mark.parametrize(("n", "m", "d"), [(3, 1, 5), (16, 40, 5), (70, 9, 2)])
def test_it_predicts_what_torch_does(checkpoint: TrialSetCheckpoint, tmp_path: Path, n: int, m: int, d: int) -> None:
    expected = predict(TrialSetDecoder(checkpoint, torch.float32), n, m, d)
    found = predict(OnnxDecoder(checkpoint, folder=tmp_path), n, m, d)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_int8_is_near(checkpoint: TrialSetCheckpoint, tmp_path: Path) -> None:
    expected = predict(TrialSetDecoder(checkpoint, torch.float32), 16, 40, 5)
    found = predict(OnnxDecoder(checkpoint, int8=True, folder=tmp_path), 16, 40, 5)
    assert 0 < (found - expected).abs().sum(-1).mean() < 0.05
    sizes = {name: (tmp_path / name).stat().st_size for name in ("candidates.onnx", "candidates-int8.onnx")}
    assert sizes["candidates-int8.onnx"] < 0.6 * sizes["candidates.onnx"]


def test_graphs_are_exported_once(checkpoint: TrialSetCheckpoint, tmp_path: Path) -> None:
    OnnxDecoder(checkpoint, folder=tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    OnnxDecoder(checkpoint, folder=tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_the_shipped_network_proposes_the_same_through_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.onnx_decoder._cache", lambda checkpoint: tmp_path / checkpoint.digest())
    shipped = load(default_checkpoint())
    expected = predict(TrialSetDecoder(shipped, torch.float32), 60, 50, 7)
    found = predict(OnnxDecoder(shipped), 60, 50, 7)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_the_optimizer_takes_it_as_its_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ConfigSpace import ConfigurationSpace, Float

    monkeypatch.setattr("model.onnx_decoder._cache", lambda checkpoint: tmp_path / checkpoint.digest())
    space = ConfigurationSpace()
    space.add(Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0)))
    optimizer = optimizers.create("optiformer:backend=onnx", space, seed=0, n_trials=20)
    values = []
    for _ in range(20):
        (suggestion,) = optimizer.ask()
        values.append(float((suggestion.config["x"] - 0.3) ** 2 + (suggestion.config["y"] - 0.6) ** 2))
        optimizer.tell([Observation(suggestion.config, values[-1])])
    assert np.min(values) < 0.01
    with pytest.raises(OptimizerError, match="'backend' must be one of torch, onnx, onnx-int8, not 'tflite'"):
        optimizers.create("optiformer:backend=tflite", space, seed=0, n_trials=20)

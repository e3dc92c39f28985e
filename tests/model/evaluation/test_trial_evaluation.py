"""The likelihood comparison and the calibration measure what they say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from optiformer.errors import command
from optiformer.evaluation import likelihood as evaluation
from optiformer.network_config import NetworkConfig
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.surrogate.network.network import build
from optiformer.surrogate.prediction import Prediction
from optiformer.surrogate.surrogate import NetworkSurrogate

ENCODING = SurrogateConfig(slots=7, bins=64, max_trials=24, prior=FunctionPriorConfig(dimensions=(2,)))
NETWORK = NetworkConfig(32, 1, 2, 32)


@pytest.fixture(scope="module")
def ignorant() -> SurrogateCheckpoint:
    network = build(ENCODING, NETWORK, seed=0)
    torch.nn.init.zeros_(network.head.weight)
    return SurrogateCheckpoint(arrays(network.state_dict()), ENCODING, NETWORK, {})


def test_an_ignorant_network_is_uniform_and_the_exact_gp_beats_it(ignorant: SurrogateCheckpoint) -> None:
    found = evaluation.gp_likelihood(ignorant, n=20, functions=6, queries=8)
    assert found.network == pytest.approx(math.log(ENCODING.high - ENCODING.low), abs=1e-3)
    assert found.exact < found.network - 0.5
    assert found.exact < min(found.fitted, found.gp_map) + 0.1
    assert found.gp_map < found.network - 0.5
    assert found.untrained != found.network


def test_the_exact_gp_is_the_textbook_one() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    rng = np.random.default_rng(0)
    x, y, lengthscale = rng.random((20, 2)), rng.standard_normal(20), np.array([0.5, 0.8])
    model = GaussianProcessRegressor(Matern(lengthscale, nu=2.5), optimizer=None, alpha=evaluation.JITTER)
    mean, std = model.fit(x[:12], y[:12]).predict(x[12:], return_std=True)
    found, variance = evaluation._exact(x, y, 12, lengthscale)
    np.testing.assert_allclose(found, mean, atol=1e-5)
    np.testing.assert_allclose(variance, std**2 + evaluation.JITTER, rtol=1e-3)


def test_densities_are_of_the_squashed_score(ignorant: SurrogateCheckpoint) -> None:
    rng = np.random.default_rng(1)
    x, lengthscale, n = rng.random((20, 2)), np.array([0.6, 0.9]), 12
    y = np.linalg.cholesky(evaluation.matern(x, x, lengthscale) + 1e-6 * np.eye(20)) @ rng.standard_normal(20)
    found = evaluation._one([NetworkSurrogate(ignorant)], x, y, n, lengthscale)[:, 1]
    best, gap = y[:n].min(), np.median(y[:n]) - y[:n].min()
    u = np.arcsinh((y[n:] - best) / gap / ENCODING.knee)
    mean, variance = evaluation._exact(x, y, n, lengthscale)
    step = 1e-4
    low, high = (ndtr((best + gap * ENCODING.knee * np.sinh(u + h) - mean) / np.sqrt(variance)) for h in (-step, step))
    expected = -np.log((high - low) / (2 * step))[np.abs(u - 0.5) < 5.5]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_mixture_density_integrates_to_its_mass() -> None:
    rng = np.random.default_rng(0)
    own, weights = rng.dirichlet(np.ones(ENCODING.bins), 4), rng.dirichlet(np.ones(6), 4)
    prediction = Prediction(ENCODING, own, weights, rng.standard_normal((4, 5)), rng.random((4, 5)) + 0.5)
    fine = np.linspace(ENCODING.low, ENCODING.high, ENCODING.bins * 64 + 1)
    density = np.stack([np.exp(prediction.log_density(np.full(4, u))) for u in (fine[1:] + fine[:-1]) / 2], 1)
    mass = density.reshape(4, ENCODING.bins, 64).mean(2) * ENCODING.bin_width
    inner = slice(1, -1)  # the outermost bins hold the tails as well
    np.testing.assert_allclose(mass[:, inner], prediction.probabilities()[:, inner], atol=1e-5)


def test_on_the_mixed_prior_a_fitted_gp_beats_an_ignorant_network_on_long_histories(
    ignorant: SurrogateCheckpoint,
) -> None:
    found = evaluation.prior_likelihood(ignorant, functions=8, queries=16)
    assert all(entry.network == pytest.approx(math.log(ENCODING.bins), abs=1e-2) for entry in found)
    assert [entry.n for entry in found] == sorted(entry.n for entry in found)
    assert max(found[-1].fitted, found[-1].gp_map) < found[-1].network


def test_a_gp_s_masses_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    mass = evaluation._fitted_mass(ENCODING, rng.random((14, 2)), rng.random(10))
    assert mass.shape == (4, ENCODING.bins)
    np.testing.assert_allclose(mass.sum(1), 1)


def test_an_ignorant_network_is_not_calibrated(ignorant: SurrogateCheckpoint) -> None:
    nominal, observed = evaluation.calibration(ignorant, batches=1)
    assert nominal.shape == observed.shape == (19,)
    assert (np.diff(observed) >= 0).all()
    assert np.abs(nominal - observed).max() > 0.1


def test_a_folder_without_a_checkpoint_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command(lambda: evaluation.main([str(tmp_path)]))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} is no complete checkpoint")
    with pytest.raises(SystemExit):
        evaluation.main([])
    assert "the following arguments are required: folder" in capsys.readouterr().err

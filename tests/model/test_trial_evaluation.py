"""The likelihood comparison and the calibration measure what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from model import trial_evaluation as evaluation
from model.config import NetworkConfig
from model.trial_checkpoint import TrialSetCheckpoint
from model.trial_config import MixtureConfig, TrialSetConfig
from model.trial_decoder import TrialSetDecoder
from model.trial_network import build

ENCODING = TrialSetConfig(slots=7, bins=64, max_trials=24, prior=MixtureConfig(dimensions=(2,)))
NETWORK = NetworkConfig(32, 1, 2, 32)


@pytest.fixture(scope="module")
def ignorant() -> TrialSetCheckpoint:
    network = build(ENCODING, NETWORK, seed=0)
    torch.nn.init.zeros_(network.head.weight)
    return TrialSetCheckpoint(network.state_dict(), ENCODING, NETWORK, {})


def test_an_ignorant_network_is_uniform_and_the_exact_gp_beats_it(ignorant: TrialSetCheckpoint) -> None:
    found = evaluation.gp_likelihood(ignorant, n=20, functions=6, queries=8)
    assert found.network == pytest.approx(math.log(ENCODING.high - ENCODING.low), abs=1e-3)
    assert found.exact < found.network - 0.5
    assert found.exact < found.fitted + 0.1


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


def test_densities_are_of_the_squashed_score(ignorant: TrialSetCheckpoint) -> None:
    rng = np.random.default_rng(1)
    x, lengthscale, n = rng.random((20, 2)), np.array([0.6, 0.9]), 12
    y = np.linalg.cholesky(evaluation.matern(x, x, lengthscale) + 1e-6 * np.eye(20)) @ rng.standard_normal(20)
    found = evaluation._one(TrialSetDecoder(ignorant), x, y, n, lengthscale)[:, 1]
    best, gap = y[:n].min(), np.median(y[:n]) - y[:n].min()
    u = np.arcsinh((y[n:] - best) / gap / ENCODING.knee)
    mean, variance = evaluation._exact(x, y, n, lengthscale)
    step = 1e-4
    low, high = (ndtr((best + gap * ENCODING.knee * np.sinh(u + h) - mean) / np.sqrt(variance)) for h in (-step, step))
    expected = -np.log((high - low) / (2 * step))[np.abs(u - 0.5) < 5.5]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_ignorant_network_is_not_calibrated(ignorant: TrialSetCheckpoint) -> None:
    nominal, observed = evaluation.calibration(ignorant, batches=1)
    assert nominal.shape == observed.shape == (19,)
    assert (np.diff(observed) >= 0).all()
    assert np.abs(nominal - observed).max() > 0.1

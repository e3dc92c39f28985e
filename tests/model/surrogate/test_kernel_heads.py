"""Kernel heads compared with scikit-learn and automatic differentiation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from optiformer.gp.kernels import AMPLITUDE_PRIOR_TRIALS, HEADS, MIN_NOISE
from optiformer.network_config import NetworkConfig
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.surrogate.network.features import SlotKinds
from optiformer.surrogate.network.kernel_heads import PER_HEAD
from optiformer.surrogate.network.network import build
from optiformer.surrogate.network.posterior import WarpedHistory, unwarp, warp
from optiformer.surrogate.network.prediction import Prediction
from optiformer.surrogate.prior.histories import sample_batch
from optiformer.surrogate.prior.random_source import RandomSource

ENCODING = SurrogateConfig(
    slots=4, bins=64, queries=8, max_trials=16, kernels_after=1, prior=FunctionPriorConfig(dimensions=(1, 2, 4))
)


def continuous(n: int, d: int = 2, seed: int = 0) -> tuple[SlotKinds, torch.Tensor, torch.Tensor, torch.Tensor]:
    """One history: kinds, positions, activity and transformed scores."""
    rng = torch.Generator().manual_seed(seed)
    kinds = SlotKinds(torch.ones(1, d, dtype=torch.bool), torch.zeros(1, d, dtype=torch.bool), torch.zeros(1, d))
    position = torch.rand(1, n, d, generator=rng)
    score = (position * 5).sin().sum(-1) + 2
    return kinds, position, torch.ones_like(position, dtype=torch.bool), score - score.min()


@pytest.mark.parametrize("head", range(len(HEADS)))
def test_posteriors_equal_scikit_learn_s(head: int) -> None:
    kinds, position, active, score = continuous(12)
    lengthscale, noise = torch.tensor([0.3, 0.7]), 0.02
    history = WarpedHistory.of(ENCODING, kinds, position, active, score, torch.zeros_like(score, dtype=torch.bool))
    log_lengthscale = lengthscale.log()[None, :, None].expand(1, 2, len(HEADS))
    gp = history.solve(log_lengthscale, torch.full((1, len(HEADS)), math.log(noise)))
    kernels = build(ENCODING, NetworkConfig(32, 2, 2, 48), seed=0).kernels
    assert kernels is not None
    candidates = torch.rand(1, 5, 2, generator=torch.Generator().manual_seed(9))
    mean, deviation = kernels.posterior(gp, kinds, candidates, torch.ones_like(candidates, dtype=torch.bool))

    amplitude, centre = float(gp.amplitude[0, head]), float(gp.mean[0, head])
    shape = {
        "matern52": Matern(lengthscale, nu=2.5),
        "exponential": Matern(lengthscale, nu=0.5),
        "rbf": RBF(lengthscale),
    }
    kernel = ConstantKernel(amplitude) * shape[HEADS.kernels[head]] + WhiteKernel(amplitude * (noise + MIN_NOISE))
    reference = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0)
    warped = history.warped[0, head].numpy()
    expected, std = reference.fit(position[0].numpy(), warped - centre).predict(candidates[0].numpy(), return_std=True)
    location, scale = float(history.location[0, head]), float(history.scale[0, head])
    np.testing.assert_allclose(mean[0, :, head], location + scale * (expected + centre), atol=1e-4)
    np.testing.assert_allclose(deviation[0, :, head], scale * std, rtol=1e-3)


def test_leave_one_out_formulas_equal_refitting() -> None:
    """Compared with conditioning without the trial, at the same mean and amplitude."""
    kinds, position, active, score = continuous(9)
    history = WarpedHistory.of(ENCODING, kinds, position, active, score, torch.zeros_like(score, dtype=torch.bool))
    log_lengthscale, log_noise = torch.full((1, 2, len(HEADS)), math.log(0.4)), torch.full((1, len(HEADS)), -4.0)
    gp = history.solve(log_lengthscale, log_noise)
    error, deviation, _, _ = gp.loo
    kept = torch.tensor([0, 1, 2, 3, 4, 5, 6, 8])
    rest = replace(
        history,
        points=history.points[:, kept],
        warped=history.warped[..., kept],
        score=history.score[:, kept],
        counted=history.counted[:, kept],
    )
    without = rest.solve(log_lengthscale, log_noise)
    whole = torch.cholesky_inverse(torch.linalg.inv(gp.inverse_factor))
    covariance = torch.linalg.inv(whole)
    across = covariance[0, :, kept, 7]
    weights = torch.einsum("hij,hj->hi", without.inverse_factor[0].mT @ without.inverse_factor[0], across)
    mean = gp.mean[0, :, 0]
    expected = mean + (weights * (history.warped[0, :, kept] - mean[:, None])).sum(1)
    variance = gp.amplitude[0, :, 0] * (covariance[0, :, 7, 7] - (weights * across).sum(1))
    torch.testing.assert_close(history.warped[0, :, 7] - error[0, :, 7], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(deviation[0, :, 7], variance.sqrt(), atol=1e-6, rtol=0)


def test_gradients_equal_automatic_differentiation() -> None:
    batch = sample_batch(RandomSource(7), ENCODING, 300)
    history = WarpedHistory.of(ENCODING, batch.kinds, batch.trials, batch.trials_active, batch.scores, batch.failed)
    count, n = batch.scores.shape
    torch.manual_seed(0)
    log_lengthscale = (0.3 * torch.randn(count, 4, len(HEADS), dtype=torch.float64)).requires_grad_()
    log_noise = torch.full((count, len(HEADS)), -3.0, dtype=torch.float64, requires_grad=True)
    gp = history.solve(log_lengthscale, log_noise)
    log_determinant = -gp.inverse_factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    likelihood = -(n + AMPLITUDE_PRIOR_TRIALS) / 2 * gp.amplitude.squeeze(-1).log() - log_determinant
    expected = torch.autograd.grad(likelihood.sum(), (log_lengthscale, log_noise))
    found = gp.slopes(4)
    for one, two in zip(found, expected, strict=True):
        # The gradient omits the mean's shrinkage to 0.
        torch.testing.assert_close(one.double(), two, atol=0.02, rtol=0.02)


def test_output_warping_is_monotone_and_invertible() -> None:
    u = torch.linspace(-5, 6, 200, dtype=torch.float64)[:, None]
    warped = warp(ENCODING, u)
    assert (warped.diff(dim=0) > 0).all()
    torch.testing.assert_close(unwarp(ENCODING, warped), u.expand(-1, len(HEADS)), atol=1e-6, rtol=0)


def test_a_mixtures_mass_is_1_and_its_loss_is_that_of_its_bins() -> None:
    torch.manual_seed(3)
    weights = torch.log_softmax(torch.randn(7, len(HEADS) + 1), -1)
    mixture = Prediction(torch.randn(7, 64), weights, torch.randn(7, len(HEADS)), torch.rand(7, len(HEADS)) + 0.05)
    mass = mixture.log_mass(ENCODING)
    torch.testing.assert_close(mass.exp().sum(-1), torch.ones(7), atol=1e-5, rtol=0)
    centres = ENCODING.low + ENCODING.bin_width * (torch.tensor([0, 3, 17, 30, 44, 60, 63]) + 0.5)
    expected = -mass[torch.arange(7), torch.tensor([0, 3, 17, 30, 44, 60, 63])]
    torch.testing.assert_close(mixture.loss(ENCODING, centres), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("score", [[0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 12.0], [0.0, 1e-9, 5.0, 5.0]])
def test_ties_duplicates_and_outliers_stay_finite(score: list[float]) -> None:
    kinds, position, active, _ = continuous(len(score))
    position[:, 1:2] = position[:, :1]
    kernels = build(ENCODING, NetworkConfig(32, 2, 2, 48), seed=0).kernels
    assert kernels is not None
    observed, failed = torch.tensor([score]), torch.zeros(1, len(score), dtype=torch.bool)
    gp, features = kernels.solve(kinds, position, active, observed, failed, torch.randn(1, len(score), 32))
    mean, deviation = kernels.posterior(gp, kinds, position, active)
    assert features.shape == (1, len(score), len(HEADS) * PER_HEAD)
    assert all(tensor.isfinite().all() for tensor in (features, mean, deviation))
    assert deviation.min() > 0

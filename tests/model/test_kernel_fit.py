"""Fitting the kernel heads: its gradient is the objective's, and histories are explained better, never worse."""

from __future__ import annotations

import math

import pytest
import torch

from model.kernel_fit import LENGTHSCALE_PRIOR, NOISE_PRIOR, MarginalLikelihood, fit
from model.kernel_systems import N_HEADS, BentHistory
from model.prior.draw import Draw
from model.prior.histories import sample_batch
from model.trial_features import SlotKinds
from tests.model.test_kernel_heads import ENCODING, continuous


def started(n: int = 30, d: int = 3) -> tuple[BentHistory, torch.Tensor, torch.Tensor]:
    history = BentHistory.of(ENCODING, *continuous(n, d))
    return history, torch.full((1, d, N_HEADS), math.log(0.3)), torch.full((1, N_HEADS), -3.0)


def objective(history: BentHistory, start: tuple[torch.Tensor, ...], now: tuple[torch.Tensor, ...]) -> float:
    """The log posterior that :func:`fit` climbs."""
    away = [(a - b) / width for a, b, width in zip(now, start, (LENGTHSCALE_PRIOR, NOISE_PRIOR), strict=True)]
    return float(history.solve(*now).log_marginal.sum()) - 0.5 * sum(float(part.square().sum()) for part in away)


def test_the_marginal_likelihoods_slopes_are_its_derivatives() -> None:
    history, lengthscale, noise = (each.double() if torch.is_tensor(each) else each for each in started())
    slopes, noise_slopes = history.solve(lengthscale, noise).slopes(3)
    step = 1e-5
    for slot in range(3):
        moved = lengthscale.clone()
        moved[0, slot] += step
        rise = history.solve(moved, noise).log_marginal - history.solve(2 * lengthscale - moved, noise).log_marginal
        torch.testing.assert_close((rise / (2 * step)).float()[0], slopes[0, slot], rtol=2e-3, atol=2e-2)
    rise = history.solve(lengthscale, noise + step).log_marginal - history.solve(lengthscale, noise - step).log_marginal
    torch.testing.assert_close((rise / (2 * step)).float(), noise_slopes, rtol=2e-3, atol=2e-2)


def test_the_fits_likelihood_is_that_of_the_solved_systems() -> None:
    """With inactive and categorical parameters too."""
    batch = sample_batch(Draw(5), ENCODING, 40)
    torch.manual_seed(1)
    for row in range(len(batch.scores)):
        one = slice(row, row + 1)
        kinds = SlotKinds(batch.kinds.present[one], batch.kinds.categorical[one], batch.kinds.levels[one])
        history = BentHistory.of(ENCODING, kinds, batch.trials[one], batch.trials_active[one], batch.scores[one])
        lengthscale = torch.randn(1, 4, N_HEADS, dtype=torch.float64)
        noise = torch.randn(1, N_HEADS, dtype=torch.float64) - 4
        value, slopes, noise_slopes = MarginalLikelihood(history, 4)(lengthscale[0].numpy(), noise[0].numpy())
        solved = history.solve(lengthscale, noise)
        assert value == pytest.approx(float(solved.log_marginal.sum()), rel=1e-7, abs=1e-6)
        expected, noise_expected = solved.slopes(4)
        torch.testing.assert_close(torch.from_numpy(slopes).float(), expected[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(torch.from_numpy(noise_slopes).float(), noise_expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("evaluations", [2, 6, 40])
def test_more_evaluations_explain_a_history_better(evaluations: int) -> None:
    history, *start = started()
    found = fit(history, *start, evaluations)
    fewer = fit(history, *start, evaluations // 2)
    assert objective(history, (start[0], start[1]), found) > objective(history, (start[0], start[1]), fewer)


def test_no_evaluations_change_nothing() -> None:
    history, lengthscale, noise = started()
    kept = fit(history, lengthscale, noise, 0)
    assert torch.equal(kept[0], lengthscale.double())
    assert torch.equal(kept[1], noise.double())


def test_a_constant_history_stays_finite() -> None:
    kinds, position, active, score = continuous(12)
    history = BentHistory.of(ENCODING, kinds, position, active, torch.zeros_like(score))
    for found in fit(history, torch.zeros(1, 2, N_HEADS), torch.zeros(1, N_HEADS), 10):
        assert found.isfinite().all()

"""GPs at inference: equality with training, MAP fits, expected improvement."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from optiformer.evaluation.likelihood import history
from optiformer.gp import kernels
from optiformer.gp.expected_improvement import ExpectedImprovement
from optiformer.gp.fit import LENGTHSCALE_PRIOR, NOISE_PRIOR, MarginalLikelihood, fit
from optiformer.gp.kernels import AMPLITUDE_PRIOR_TRIALS, HEADS, Array
from optiformer.gp.minimize import minimize
from optiformer.gp.posterior import Coordinates, GPPosterior, Kinds, WarpedHistory
from optiformer.gp.predictor import Predictor
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.surrogate.network import posterior as torch_gp
from optiformer.surrogate.prior.histories import sample_batch
from optiformer.surrogate.prior.random_source import RandomSource

ENCODING = SurrogateConfig(
    slots=4,
    choices=40,
    bins=64,
    queries=8,
    max_trials=40,
    prior=FunctionPriorConfig(dimensions=(1, 2, 4), conditional=0.9),
)


def started(n: int = 30, d: int = 3) -> tuple[WarpedHistory, Array, Array]:
    """A history of numeric parameters, and initial log lengthscales and noise."""
    position = np.random.default_rng(0).random((n, d))
    score = np.sin(5 * position).sum(1) + 2
    kinds = Kinds(np.zeros(d, dtype=bool), np.zeros(d))
    active = np.ones((n, d), dtype=bool)
    points = Coordinates(kinds, ENCODING.choices, position, active)(position, active)
    observed = WarpedHistory.of(HEADS, ENCODING.knee, points, score - score.min())
    return observed, np.full((d, len(HEADS)), math.log(0.3)), np.full(len(HEADS), -3.0)


def log_marginal(gp: GPPosterior) -> float:
    """Sum of the heads' log marginal likelihoods up to a constant."""
    n = len(gp.history.score)
    roots = np.log(np.diagonal(gp.inverse_factor, axis1=1, axis2=2)).sum()
    return float(roots - 0.5 * (n + AMPLITUDE_PRIOR_TRIALS) * np.log(gp.amplitude).sum())


def objective(observed: WarpedHistory, start: tuple[Array, Array], now: tuple[Array, Array]) -> float:
    """The log posterior density that :func:`fit` maximizes."""
    away = [(a - b) / width for a, b, width in zip(now, start, (LENGTHSCALE_PRIOR, NOISE_PRIOR), strict=True)]
    return log_marginal(observed.solve(*now)) - 0.5 * sum(float(np.square(subset).sum()) for subset in away)


@pytest.mark.parametrize("draw", [5, 6])
def test_posteriors_and_gradients_equal_those_of_training(draw: int) -> None:
    """With inactive, categorical and absent parameters."""
    batch = sample_batch(RandomSource(draw), ENCODING, 100)
    rng = np.random.default_rng(draw)
    lengthscale, noise = (
        rng.normal(size=(len(batch.scores), 4, len(HEADS))),
        rng.normal(size=(len(batch.scores), 5)) - 4,
    )
    theirs = torch_gp.WarpedHistory.of(
        ENCODING, batch.kinds, batch.trials, batch.trials_active, batch.scores, batch.failed
    )
    gp = theirs.solve(torch.from_numpy(lengthscale), torch.from_numpy(noise))
    candidates = torch_gp.coordinates(ENCODING, batch.kinds, batch.queries, batch.queries_active)
    posterior, slopes, noise_slopes = gp.predict(candidates), *gp.slopes(4)
    for row in range(len(batch.scores)):
        kinds, (position, active, score, _), query = history(batch, row)
        coordinates, d = Coordinates(kinds, ENCODING.choices, position, active), len(kinds)
        observed = WarpedHistory.of(HEADS, ENCODING.knee, coordinates(position, active), score)
        mine = observed.solve(lengthscale[row, :d], noise[row])
        for found, expected in zip(
            mine.predict(coordinates(*query)),
            (t[row].numpy() for t in posterior),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        for found, tensor in zip(mine.loo, gp.loo, strict=True):
            np.testing.assert_allclose(found, tensor[row].numpy(), rtol=1e-5, atol=1e-6)
        value, by_lengthscale, by_noise = MarginalLikelihood(observed, d)(lengthscale[row, :d], noise[row])
        assert value.sum() == pytest.approx(log_marginal(mine), rel=1e-6, abs=1e-5)
        np.testing.assert_allclose(by_lengthscale, slopes[row, :d].numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(by_noise, noise_slopes[row].numpy(), rtol=1e-4, atol=1e-4)


def test_kernels_and_output_warping_equal_those_of_training() -> None:
    square = np.random.default_rng(0).random((len(HEADS), 6, 7)) * 9
    square[:, 0, 0] = 0
    correlation = torch_gp.correlation(HEADS, torch.from_numpy(square)[None])[0].numpy()
    slope = torch_gp.correlation_slope(HEADS, torch.from_numpy(square)[None])[0].numpy()
    for head, kernel in enumerate(HEADS.kernels):
        value, derivative = kernels.correlation_and_slope(kernel, square[head])
        np.testing.assert_allclose(kernels.correlation(kernel, square[head]), correlation[head], rtol=1e-12)
        np.testing.assert_allclose(value, correlation[head], rtol=1e-12)
        np.testing.assert_allclose(derivative, slope[head], rtol=1e-12)
    u = np.linspace(-4, 5, 31)
    warped = kernels.warp(HEADS, ENCODING.knee, u)
    tensor = torch.from_numpy(u)[:, None]
    np.testing.assert_allclose(warped, torch_gp.warp(ENCODING, tensor).numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        kernels.unwarp(HEADS, ENCODING.knee, warped), np.repeat(u[:, None], len(HEADS), 1), atol=1e-9
    )
    expected = torch_gp.log_slope(ENCODING, tensor.expand(-1, len(HEADS))).numpy()
    np.testing.assert_allclose(
        kernels.log_slope(HEADS, ENCODING.knee, np.repeat(u[:, None], len(HEADS), 1)), expected, rtol=1e-9, atol=1e-12
    )


def test_a_subset_includes_the_best_and_the_worst_trial() -> None:
    observed, *_ = started(70)
    subset = observed.subset(20)
    assert (len(subset.score), subset.warped.shape, subset.points.shape) == (
        20,
        (len(HEADS), 20),
        (20, observed.points.shape[1]),
    )
    assert (subset.score.min(), subset.score.max()) == (observed.score.min(), observed.score.max())
    assert observed.subset(70) is observed


def test_the_incumbent_is_the_smallest_posterior_mean() -> None:
    coordinates, gp, gain = improvement()
    head = Predictor(gp).head
    assert head == gp.loo[3].mean(1).argmax()
    position = np.random.default_rng(0).random((12, 2))
    mean, _ = gp.predict(coordinates(position, np.ones((12, 2), dtype=bool)))
    standardised = (mean[:, head] - gp.history.location[head]) / gp.history.scale[head]
    assert gain._best == pytest.approx(float(standardised.min()), abs=1e-6)


def test_tried_choices_beyond_eight_have_their_own_coordinates() -> None:
    kinds = Kinds(np.array([True, False]), np.array([30.0, 0.0]))
    tried = (np.array([0, 8, 16, 8, 29]) + 0.5) / 30
    position, active = np.stack([tried, np.full(5, 0.5)], 1), np.ones((5, 2), dtype=bool)
    coordinates = Coordinates(kinds, 8, position, active)
    square = kernels.squared_distances(coordinates(position, active), coordinates(position, active))
    np.testing.assert_allclose(square, 0.5 * (tried[:, None] != tried), atol=1e-12)
    new = np.array([[3.5 / 30, 0.5], [11.5 / 30, 0.5]])
    apart = kernels.squared_distances(coordinates(new, active[:2]), coordinates(position, active))
    np.testing.assert_allclose(apart, 0.5, atol=1e-12)


@pytest.mark.parametrize("evaluations", [2, 6, 12])
def test_more_evaluations_increase_the_posterior_density(evaluations: int) -> None:
    observed, *start = started()
    found, fewer = fit(observed, *start, evaluations), fit(observed, *start, evaluations // 2)
    assert objective(observed, (start[0], start[1]), found) > objective(observed, (start[0], start[1]), fewer)


def test_a_fit_of_noise_free_values_converges() -> None:
    """The least noise is a bound, where a wrong slope would end the line search."""
    rng = np.random.default_rng(0)
    position = np.clip(0.4 + rng.normal(size=(64, 7)) * rng.choice([0.05, 0.3], (64, 1)), 0, 1)
    value = np.sin(3 * position).sum(1) + np.square(position.sum(1) - 0.3)
    kinds, active = Kinds(np.zeros(7, dtype=bool), np.zeros(7)), np.ones((64, 7), dtype=bool)
    points = Coordinates(kinds, ENCODING.choices, position, active)(position, active)
    score = np.arcsinh((value - value.min()) / np.median(value - value.min()) / ENCODING.knee)
    observed = WarpedHistory.of(HEADS, ENCODING.knee, points, score)
    start = np.zeros((7, len(HEADS))), np.full(len(HEADS), -5.0)
    found, longer = (objective(observed, start, fit(observed, *start, evaluations)) for evaluations in (40, 400))
    assert found == pytest.approx(longer, abs=0.1)
    step = 1e-3 * np.eye(7 * len(HEADS)).reshape(-1, 7, len(HEADS))
    fitted = fit(observed, *start, 400)
    uphill = [objective(observed, start, (fitted[0] + each, fitted[1])) for each in (*step, *-step)]
    assert max(uphill) < longer + 1e-3


def test_zero_evaluations_return_the_prior_means() -> None:
    observed, lengthscale, noise = started()
    kept = fit(observed, lengthscale, noise, 0)
    np.testing.assert_array_equal(kept[0], lengthscale)
    np.testing.assert_array_equal(kept[1], noise)


def test_a_constant_history_stays_finite() -> None:
    observed, lengthscale, noise = started(12)
    flat = WarpedHistory.of(HEADS, ENCODING.knee, observed.points, np.zeros(12))
    for found in fit(flat, lengthscale, noise, 10):
        assert np.isfinite(found).all()


def improvement(n: int = 12, d: int = 2) -> tuple[Coordinates, GPPosterior, ExpectedImprovement]:
    observed, *_ = started(n, d)
    kinds = Kinds(np.zeros(d, dtype=bool), np.zeros(d))
    gp = observed.solve(np.full((d, len(HEADS)), math.log(0.4)), np.full(len(HEADS), -6.0))
    coordinates = Coordinates(kinds, ENCODING.choices, np.zeros((0, d)), np.zeros((0, d), dtype=bool))
    return coordinates, gp, ExpectedImprovement(coordinates, Predictor(gp), np.ones(n, dtype=bool))


def candidates(m: int = 40, d: int = 2) -> tuple[Array, np.ndarray]:
    return np.random.default_rng(4).random((m, d)), np.ones((m, d), dtype=bool)


def test_it_is_the_expected_improvement_of_the_noise_free_value() -> None:
    coordinates, gp, gain = improvement()
    position, active = candidates()
    found = gain.value(position, active)
    mean, deviation = gp.predict(coordinates(position, active))
    head = Predictor(gp).head
    location, scale = float(gp.history.location[head, 0]), float(gp.history.scale[head, 0])
    noise = float(gp.noise[head, 0] * gp.amplitude[head, 0])
    mean, variance = (mean[:, head] - location) / scale, (deviation[:, head] / scale) ** 2
    latent = np.sqrt(variance - noise)
    trials = gp.history.warped[head]  # less noise, these are the posterior means
    inverse = gp.inverse_factor[head]
    means = trials - gp.noise[head, 0] * inverse.T @ gp.residual[head]
    z = (means.min() - mean) / latent
    np.testing.assert_allclose(found, latent * (norm.pdf(z) + z * norm.cdf(z)), rtol=2e-2, atol=1e-7)


def test_its_gradient_equals_finite_differences() -> None:
    coordinates, _, gain = improvement()
    step = 1e-6
    points = coordinates(*candidates(9))
    _, slopes = gain._log(points)
    for column in (0, 2):  # the two parameters; the others are flags
        moved = np.zeros_like(points)
        moved[:, column] = step
        rise = gain._log(points + moved)[0] - gain._log(points - moved)[0]
        np.testing.assert_allclose(slopes[:, column], rise / (2 * step), rtol=1e-4, atol=1e-4)


def test_maximization_stays_in_bounds_and_moves_free_parameters_only() -> None:
    _, _, gain = improvement()
    position, active = candidates(4)
    maxima = gain.maximize(position, active, np.array([True, False]), 60)
    after = gain.value(maxima, active)
    assert (after >= gain.value(position, active)).all()
    assert after.sum() > 1.3 * gain.value(position, active).sum()
    np.testing.assert_array_equal(maxima[:, 1], position[:, 1])
    assert maxima.min() >= 0
    assert maxima.max() <= 1
    grid = np.linspace(0, 1, 400)
    line = np.stack([grid, np.full_like(grid, maxima[after.argmax(), 1])], 1)
    assert after.max() > 0.9 * gain.value(line, np.ones_like(line, dtype=bool)).max()


def test_several_functions_are_minimized_at_once_within_bounds() -> None:
    scale = np.array([[1.0, 30.0, 4.0], [9.0, 0.5, 2.0]])
    target = np.array([[0.2, 0.7, 0.4], [0.9, -0.5, 1.5]])  # two lie outside the bounds

    def loss(point: Array) -> tuple[Array, Array]:
        away = point - target
        return (scale * away**2).sum(1), 2 * scale * away

    start = np.full((2, 3), 0.5)
    found = minimize(loss, start, 30, first_step=0.3, low=0.0, high=1.0)
    np.testing.assert_allclose(found, target.clip(0, 1), atol=1e-3)
    few = [loss(minimize(loss, start, n, first_step=0.3, low=0.0, high=1.0))[0] for n in (1, 4, 8)]
    assert (few[0] == loss(start)[0]).all()
    assert (few[1] < few[0]).all()
    assert (few[2] <= few[1]).all()


def test_a_step_to_infinity_is_shortened() -> None:
    def loss(point: Array) -> tuple[Array, Array]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (-np.log(point) + point).sum(1), 1 - 1 / point

    found = minimize(loss, np.array([[0.01, 0.1]]), 40, first_step=500.0)
    np.testing.assert_allclose(found, 1, atol=1e-3)

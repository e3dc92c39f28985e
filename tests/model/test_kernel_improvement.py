"""Expected improvement of one head: held to scipy's, to finite differences, and to a search by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from model.errors import ModelError
from model.kernel_improvement import LINEAR, ProcessImprovement
from model.kernel_systems import N_HEADS, BentHistory, Solved, coordinates
from model.trial_decoder import Context
from model.trial_features import SlotKinds
from tests.model.test_kernel_heads import ENCODING, continuous


def solved(n: int = 12, d: int = 2) -> tuple[SlotKinds, Solved]:
    kinds, position, active, score = continuous(n, d)
    history = BentHistory.of(ENCODING, kinds, position, active, score)
    lengthscale = torch.full((1, d, N_HEADS), math.log(0.4))
    return kinds, history.solve(lengthscale, torch.full((1, N_HEADS), -6.0))


def candidates(m: int = 40, d: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    position = torch.rand(1, m, d, generator=torch.Generator().manual_seed(4))
    return position, torch.ones_like(position, dtype=torch.bool)


def test_it_is_the_expected_improvement_of_the_functions_value() -> None:
    kinds, systems = solved()
    position, active = candidates()
    found = ProcessImprovement(kinds, systems).value(position, active)
    mean, deviation = systems.posterior(coordinates(ENCODING, kinds, position, active))
    location, scale = (float(t[0, LINEAR]) for t in (systems.history.location, systems.history.scale))
    noise = float(systems.noise[0, LINEAR] * systems.amplitude[0, LINEAR])
    mean, variance = (mean[0, :, LINEAR].numpy() - location) / scale, (deviation[0, :, LINEAR].numpy() / scale) ** 2
    latent = np.sqrt(variance - noise)
    z = (-location / scale - mean) / latent
    np.testing.assert_allclose(found, latent * (norm.pdf(z) + z * norm.cdf(z)), rtol=2e-2, atol=1e-7)


def test_its_slopes_are_its_derivatives() -> None:
    kinds, systems = solved()
    improvement, step = ProcessImprovement(kinds, systems), 1e-6
    points = coordinates(ENCODING, kinds, *candidates(9)).numpy()[0]
    _, slopes = improvement._log(points)
    for column in (0, 2):  # the two parameters; the others say what is inactive
        moved = np.zeros_like(points)
        moved[:, column] = step
        rise = improvement._log(points + moved)[0] - improvement._log(points - moved)[0]
        np.testing.assert_allclose(slopes[:, column], rise / (2 * step), rtol=1e-3, atol=1e-3)


def test_climbing_leads_up_within_bounds_and_leaves_the_rest() -> None:
    kinds, systems = solved()
    improvement = ProcessImprovement(kinds, systems)
    position, active = candidates(4)
    climbed = improvement.climb(position, active, np.array([True, False]), 60)
    after = improvement.value(torch.from_numpy(climbed)[None], active)
    assert (after >= improvement.value(position, active)).all()
    assert after.sum() > 1.3 * improvement.value(position, active).sum()
    np.testing.assert_array_equal(climbed[:, 1], position[0, :, 1].double().numpy())
    assert climbed.min() >= 0
    assert climbed.max() <= 1
    grid = torch.linspace(0, 1, 400, dtype=torch.float64)
    line = torch.stack([grid, torch.full_like(grid, float(climbed[after.argmax(), 1]))], 1)[None]
    assert after.max() > 0.9 * improvement.value(line, torch.ones_like(line, dtype=torch.bool)).max()


def test_a_network_without_kernel_heads_is_refused() -> None:
    kinds, _ = solved()
    with pytest.raises(ModelError, match="no kernel heads"):
        _ = Context(kinds, 3, torch.zeros(0), torch.zeros(0)).improvement

"""Acquisition functions against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from model import acquisition
from model.errors import ModelError
from model.gp.kernels import N_HEADS, Array, bend
from model.surrogate.prediction import Prediction, cumulative
from model.trial_config import TrialSetConfig

ENCODING = TrialSetConfig(bins=4096)
WIDTH = (ENCODING.high - ENCODING.low) / ENCODING.bins
EDGES = np.linspace(ENCODING.low, ENCODING.high, ENCODING.bins + 1)


def phi(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def normal(mean: float, std: float) -> Prediction:
    """A normal distribution of the squashed score."""
    return Prediction(ENCODING, np.diff(ndtr((EDGES - mean) / std))[None])


def of_gaps(mean: float, std: float) -> Prediction:
    """A normal distribution of the distance from the best value in gaps."""
    return Prediction(ENCODING, np.diff(ndtr((ENCODING.knee * np.sinh(EDGES) - mean) / std))[None])


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (-1.0, 0.3), (3.0, 0.5)])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.5])
def test_probability_of_improvement_is_the_normal_tail(mean: float, std: float, margin: float) -> None:
    threshold = -math.asinh(margin / ENCODING.knee)
    found = acquisition.get("pi", margin=margin)(normal(mean, std))
    assert float(found[0]) == pytest.approx(cdf((threshold - mean) / std), abs=1e-4)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (-1.0, 0.3)])
def test_squashed_expected_improvement_is_the_normal_one(mean: float, std: float) -> None:
    expected = -mean * cdf(-mean / std) + std * phi(mean / std)
    assert float(acquisition.get("squashed-ei")(normal(mean, std))[0]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("mean", "std"), [(0.1, 0.2), (-0.2, 0.1), (1.0, 0.4)])
def test_expected_improvement_is_the_normal_one_in_gaps(mean: float, std: float) -> None:
    expected = -mean * cdf(-mean / std) + std * phi(mean / std)
    assert float(acquisition.get("ei")(of_gaps(mean, std))[0]) == pytest.approx(expected, abs=1e-3)


def test_clipped_expected_improvement_counts_gains_up_to_the_cap() -> None:
    mean, std, cap = -0.1, 0.2, 0.15
    # E[min(max(-z, 0), cap)] is the improvement below 0 less the improvement below -cap.
    below = [-(mean + c) * cdf(-(mean + c) / std) + std * phi((mean + c) / std) for c in (0.0, cap)]
    found = acquisition.get("clipped-ei", cap=cap)(of_gaps(mean, std))
    assert float(found[0]) == pytest.approx(below[0] - below[1], abs=1e-3)


def test_thompson_draws_from_the_distribution_and_repeats_with_the_generator() -> None:
    many = Prediction(ENCODING, np.repeat(normal(0.7, 0.4).own, 4000, 0))
    first, second = (-acquisition.get("thompson", rng=np.random.default_rng(1))(many) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.mean() == pytest.approx(0.7, abs=0.03)
    assert first.std() == pytest.approx(0.4, abs=0.03)


def test_the_cumulative_distribution_is_linear_within_a_bin() -> None:
    one: Array = np.zeros((1, ENCODING.bins))
    one[0, 100] = 1.0
    left = ENCODING.low + 100 * WIDTH
    for share in (0.0, 0.25, 1.0):
        assert cumulative(one, ENCODING, left + share * WIDTH)[0] == pytest.approx(share, abs=1e-3)
    assert cumulative(one, ENCODING, -99.0)[0] == 0
    assert cumulative(one, ENCODING, 99.0)[0] == 1


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(ModelError, match="there is pi, "):
        acquisition.get("ucb")


def test_the_mass_below_a_threshold_is_that_of_the_bins() -> None:
    rng = np.random.default_rng(0)
    coarse = TrialSetConfig(bins=64)
    own, weights = rng.dirichlet(np.ones(64), 9), rng.dirichlet(np.ones(N_HEADS + 1), 9)
    mean = bend(coarse.knee, rng.random(9) * 4 - 1)
    mixture = Prediction(coarse, own, weights, mean, 0.3 * np.abs(mean) + 0.1)
    edge = coarse.low + (coarse.high - coarse.low) / 64 * 27
    np.testing.assert_allclose(mixture.below(edge), mixture.probabilities()[:, :27].sum(1), atol=1e-6)


def test_heat_flattens() -> None:
    cold, hot = (normal(0.5, 0.2).probabilities(heat) for heat in (1.0, 2.0))
    assert hot.max() < cold.max()
    warm = acquisition.get("pi", margin=0.0, temperature=2.0)(normal(0.5, 0.2))
    assert warm[0] > acquisition.get("pi", margin=0.0)(normal(0.5, 0.2))[0]

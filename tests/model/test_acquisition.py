"""Acquisition functions against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from model import acquisition
from model.errors import ModelError
from model.kernel_systems import N_HEADS, bend
from model.prediction import Prediction, cumulative
from model.trial_config import TrialSetConfig

ENCODING = TrialSetConfig(bins=4096)
WIDTH = (ENCODING.high - ENCODING.low) / ENCODING.bins
EDGES = torch.linspace(ENCODING.low, ENCODING.high, ENCODING.bins + 1, dtype=torch.float64)


def phi(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def predicted(probabilities: torch.Tensor) -> Prediction:
    return Prediction(probabilities.clamp(min=1e-30).log())


def normal(mean: float, std: float) -> torch.Tensor:
    """A normal distribution of the squashed score, (1, bins)."""
    return torch.special.ndtr((EDGES - mean) / std).diff()[None].float()


def of_gaps(mean: float, std: float) -> torch.Tensor:
    """A normal distribution of the distance from the best value in gaps, (1, bins)."""
    return torch.special.ndtr((ENCODING.knee * EDGES.sinh() - mean) / std).diff()[None].float()


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (-1.0, 0.3), (3.0, 0.5)])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.5])
def test_probability_of_improvement_is_the_normal_tail(mean: float, std: float, margin: float) -> None:
    threshold = -math.asinh(margin / ENCODING.knee)
    found = acquisition.get("pi", ENCODING, margin=margin)(predicted(normal(mean, std)))
    assert float(found) == pytest.approx(cdf((threshold - mean) / std), abs=1e-4)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (-1.0, 0.3)])
def test_squashed_expected_improvement_is_the_normal_one(mean: float, std: float) -> None:
    expected = -mean * cdf(-mean / std) + std * phi(mean / std)
    assert float(acquisition.get("squashed-ei", ENCODING)(predicted(normal(mean, std)))) == pytest.approx(
        expected, abs=1e-3
    )


@pytest.mark.parametrize(("mean", "std"), [(0.1, 0.2), (-0.2, 0.1), (1.0, 0.4)])
def test_expected_improvement_is_the_normal_one_in_gaps(mean: float, std: float) -> None:
    expected = -mean * cdf(-mean / std) + std * phi(mean / std)
    assert float(acquisition.get("ei", ENCODING)(predicted(of_gaps(mean, std)))) == pytest.approx(expected, abs=1e-3)


def test_clipped_expected_improvement_counts_gains_up_to_the_cap() -> None:
    mean, std, cap = -0.1, 0.2, 0.15
    # E[min(max(-z, 0), cap)] is the improvement below 0 less the improvement below -cap.
    below = [-(mean + c) * cdf(-(mean + c) / std) + std * phi((mean + c) / std) for c in (0.0, cap)]
    found = acquisition.get("clipped-ei", ENCODING, cap=cap)(predicted(of_gaps(mean, std)))
    assert float(found) == pytest.approx(below[0] - below[1], abs=1e-3)


def test_thompson_draws_from_the_distribution_and_repeats_with_the_generator() -> None:
    many = normal(0.7, 0.4).expand(4000, -1)
    first, second = (
        -acquisition.get("thompson", ENCODING, generator=torch.Generator().manual_seed(1))(predicted(many))
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert float(first.mean()) == pytest.approx(0.7, abs=0.03)
    assert float(first.std()) == pytest.approx(0.4, abs=0.03)


def test_the_cumulative_distribution_is_linear_within_a_bin() -> None:
    one = torch.zeros(1, ENCODING.bins)
    one[0, 100] = 1.0
    left = ENCODING.low + 100 * WIDTH
    for share in (0.0, 0.25, 1.0):
        assert float(cumulative(one, ENCODING, left + share * WIDTH)) == pytest.approx(share, abs=1e-3)
    assert float(cumulative(one, ENCODING, -99.0)) == 0
    assert float(cumulative(one, ENCODING, 99.0)) == 1


def test_the_median_is_the_middle() -> None:
    assert float(acquisition.median(normal(1.3, 0.5), ENCODING)) == pytest.approx(1.3, abs=2 * WIDTH)


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(ModelError, match="there is pi, "):
        acquisition.get("ucb", ENCODING)


def test_the_mass_below_a_threshold_is_that_of_the_bins() -> None:
    torch.manual_seed(0)
    coarse = TrialSetConfig(bins=64)
    weights = torch.log_softmax(torch.randn(9, N_HEADS + 1), -1)
    mean = bend(coarse, torch.rand(9, 1) * 4 - 1)
    mixture = Prediction(torch.randn(9, 64), weights, mean, 0.3 * mean.abs() + 0.1)
    edge = coarse.low + (coarse.high - coarse.low) / 64 * 27
    expected = mixture.probabilities(coarse)[:, :27].sum(1)
    torch.testing.assert_close(mixture.below(coarse, edge), expected, atol=1e-5, rtol=0)


def test_heat_flattens() -> None:
    cold, hot = (predicted(normal(0.5, 0.2)).probabilities(ENCODING, heat) for heat in (1.0, 2.0))
    assert hot.max() < cold.max()
    warm = acquisition.get("pi", ENCODING, margin=0.0, temperature=2.0)(predicted(normal(0.5, 0.2)))
    assert float(warm) > float(acquisition.get("pi", ENCODING, margin=0.0)(predicted(normal(0.5, 0.2))))

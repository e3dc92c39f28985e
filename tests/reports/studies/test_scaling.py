"""Power laws against scipy and statsmodels, and the promise of their interval."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from optibench_reports.data.results import ReportError
from optibench_reports.studies.scaling import power_law, scaling_figure


def sample(seed: int = 0, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = 10 ** rng.uniform(4, 8, n)
    return x, 3.0 * x**-0.21 * 10 ** rng.normal(0, 0.05, n)


def test_slope_and_interval_are_scipys() -> None:
    x, y = sample()
    fit, theirs = power_law(x, y), scipy.stats.linregress(np.log10(x), np.log10(y))
    half = scipy.stats.t.ppf(0.975, 10) * theirs.stderr
    assert fit.slope == pytest.approx(theirs.slope)
    assert (fit.low, fit.high) == pytest.approx((theirs.slope - half, theirs.slope + half))
    assert fit.factor == pytest.approx(10**theirs.intercept)
    assert fit.r2 == pytest.approx(theirs.rvalue**2)


def test_band_is_that_of_statsmodels() -> None:
    x, y = sample()
    at = np.array([1e3, 1e6, 1e9])
    model = sm.OLS(np.log10(y), sm.add_constant(np.log10(x))).fit()
    theirs = model.get_prediction(sm.add_constant(np.log10(at))).conf_int(alpha=0.05)
    np.testing.assert_allclose(np.log10(np.stack(power_law(x, y).band(at), axis=1)), theirs)


def test_an_exact_law_is_found_exactly() -> None:
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    fit = power_law(x, 5 * x**-0.5)
    assert (fit.slope, fit.factor, fit.r2) == pytest.approx((-0.5, 5, 1))
    assert fit.high - fit.low < 1e-12
    assert power_law(x, np.ones(4)).r2 == 1.0


def test_the_interval_covers_the_slope_as_often_as_it_says() -> None:
    covered = [fit.low <= -0.21 <= fit.high for fit in (power_law(*sample(seed, 6)) for seed in range(1000))]
    assert 0.93 <= np.mean(covered) <= 0.97  # three standard errors of a share of 1,000


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([1, 2], [1, 2], "at least 3 points, there are 2"),
        ([1, 2, 3], [1, 2], "3 sizes and 2 values"),
        ([1, 2, 3], [1, 0, 2], "The value 0 has no logarithm"),
        ([1, -2, 3], [1, 1, 2], "The size -2 has no logarithm"),
        ([1, 2, 3], [1, float("nan"), 2], "The value nan"),
        ([5, 5, 5], [1, 2, 3], "All points have the size 5"),
    ],
)
def test_what_cannot_be_fitted_is_refused(x: list[float], y: list[float], words: str) -> None:
    with pytest.raises(ReportError, match=words):
        power_law(x, y)


def test_the_figure_says_the_slope() -> None:
    x, y = sample()
    fit = power_law(x, y)
    axis = scaling_figure(x, y, fit, size="parameters", value="loss").axes[0]
    assert axis.get_legend().get_texts()[0].get_text().startswith(f"slope {fit.slope:.3f} [")
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([304041, 607083, 1213507, 2426771], [4.005, 3.957, 3.889, 3.858]),
        ([1e3, 1e5, 1e9], [2.0, 0.3, 0.004]),
        ([1e-6, 1.0, 1e18], [1e-9, 1e-5, 1e3]),
        ([1_000_000, 1_050_000, 1_100_000], [0.98765, 0.98764, 0.98762]),
        ([90, 100, 110], [1.0, 1.0, 1.0]),
        ([999, 1001, 1003], [5e-7, 4.9e-7, 4.8e-7]),
        ([12, 31, 77], [99_000, 98_000, 97_500]),
    ],
)
def test_the_figures_numbers_are_plain_and_do_not_overlap(x: list[float], y: list[float]) -> None:
    figure = scaling_figure(x, y, power_law(x, y), size="parameters", value="loss")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        shown = [label for label in axis.get_ticklabels(which="both") if label.get_text()]
        assert len(shown) >= 2
        assert not any(set(label.get_text()) & set("$\\×") for label in shown)
        assert all(limits[0] <= tick <= limits[1] for tick in axis.get_majorticklocs())
        boxes = [label.get_window_extent() for label in shown]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_the_figures_numbers_are_those_that_a_reader_expects() -> None:
    x, y = [304041, 607083, 1213507, 2426771], [4.005, 3.957, 3.889, 3.858]
    axes = scaling_figure(x, y, power_law(x, y), size="positions", value="loss").axes[0]
    labels = [[label.get_text() for label in axis.get_ticklabels()] for axis in (axes.xaxis, axes.yaxis)]
    assert labels[0] == ["300k", "500k", "1M", "2M"]
    assert {"3.85", "3.9", "3.95", "4"} <= set(labels[1])

"""Scaling fits: loss or regret against parameters, data or compute, as a straight line on logarithmic axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from optibench_reports.data.results import ReportError
from optibench_reports.data.score_array import Floats
from optibench_reports.format.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 2.3
"""Of the figure, in inches."""


@dataclass(frozen=True)
class PowerLaw:
    """``y = factor * x ** slope``, fitted by least squares on the logarithms.

    Attributes:
        slope: The exponent; negative if more is better. With its interval ``low, high``.
        factor: ``y`` at ``x = 1``.
        r2: Share of the variance of ``log y`` explained; 1 where ``y`` is constant.
        centre: Mean of ``log10 x``.
        sd: Residual standard deviation of ``log10 y``, with ``n - 2`` degrees of freedom.
        spread: Sum of squares of ``log10 x`` about its mean.
        n: Points.
    """

    slope: float
    low: float
    high: float
    factor: float
    r2: float
    centre: float
    sd: float
    spread: float
    n: int

    def __call__(self, x: ArrayLike) -> Floats:
        """The fitted ``y``, in the shape of ``x``."""
        return np.asarray(self.factor * np.asarray(x, dtype=float) ** self.slope)

    def band(self, x: ArrayLike) -> tuple[Floats, Floats]:
        """Pointwise interval of the fitted line at ``x``.

        ``log10 y(x) +- t sd sqrt(1/n + (log10 x - centre)^2 / spread)``: Draper and Smith (1998), *Applied Regression
        Analysis*, section 1.4.
        """
        offset = np.log10(np.asarray(x, dtype=float)) - self.centre
        half = self._t() * self.sd * np.sqrt(1 / self.n + offset**2 / self.spread)
        return np.asarray(self(x) * 10**-half), np.asarray(self(x) * 10**half)

    def _t(self) -> float:
        return float(stats.t.ppf((1 + 0.95) / 2, self.n - 2))


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Fit a power law by least squares of ``log10 y`` on ``log10 x``, with Student's 95 % interval of the slope.

    ``slope +- t_{0.975, n - 2} sd / sqrt(sum (log10 x - mean)^2)``: Draper and Smith (1998), *Applied
    Regression Analysis*, section 1.4. The form is that of Kaplan et al. (2020), "Scaling laws for neural language
    models", without an irreducible term: a line does not describe a curve that approaches one.

    Args:
        x: Parameters, data or compute, (n,), positive.
        y: Loss or regret, (n,), positive. One value for every ``x``: several runs of one size are several points.

    Raises:
        ReportError: Fewer than 3 points, two shapes, one size only, or a value without a logarithm.
    """
    sizes, values = np.asarray(x, dtype=float).ravel(), np.asarray(y, dtype=float).ravel()
    if len(sizes) != len(values):
        raise ReportError(f"A scaling fit needs a value a size: there are {len(sizes)} sizes and {len(values)} values.")
    if len(sizes) < 3:
        raise ReportError(f"A slope with an interval needs at least 3 points, there are {len(sizes)}: add some.")
    for name, numbers in (("size", sizes), ("value", values)):
        bad = ~(np.isfinite(numbers) & (numbers > 0))
        if bad.any():
            raise ReportError(f"The {name} {numbers[bad][0]:g} has no logarithm: a scaling fit needs positive numbers.")
    log_x, log_y = np.log10(sizes), np.log10(values)
    spread = float(((log_x - log_x.mean()) ** 2).sum())
    if spread <= 1e-18 * len(sizes):
        raise ReportError(f"All points have the size {sizes[0]:g}: a slope needs at least two sizes.")
    fit = stats.linregress(log_x, log_y)
    half = float(stats.t.ppf((1 + 0.95) / 2, len(sizes) - 2)) * fit.stderr
    return PowerLaw(
        slope=float(fit.slope),
        low=float(fit.slope - half),
        high=float(fit.slope + half),
        factor=float(10**fit.intercept),
        r2=float(fit.rvalue**2) if np.ptp(log_y) > 0 else 1.0,
        centre=float(log_x.mean()),
        sd=float(fit.stderr * np.sqrt(spread)),
        spread=spread,
        n=len(sizes),
    )


def scaling_figure(x: ArrayLike, y: ArrayLike, fit: PowerLaw, *, size: str, value: str) -> Figure:
    """The points, the fitted line and its band; ``size`` and ``value`` name the axes."""
    from typing import Any, cast

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from optibench_reports.figures.axes import COLUMN
    from optibench_reports.figures.style import BLUE, RC, VERMILION
    from optibench_reports.figures.ticks import plain_log_ticks

    sizes = np.asarray(x, dtype=float).ravel()
    line = np.geomspace(sizes.min(), sizes.max(), 100)
    with rc_context(cast(Any, RC)):
        figure = Figure(figsize=(COLUMN, HEIGHT), layout="constrained")
        axis = figure.subplots()
        axis.fill_between(line, *fit.band(line), color=BLUE, alpha=0.15, linewidth=0)
        words = f"slope {number(fit.slope)} [{number(fit.low)}, {number(fit.high)}]"
        axis.plot(line, fit(line), color=BLUE, label=words)
        axis.plot(sizes, np.asarray(y, dtype=float).ravel(), "o", color=VERMILION, markeredgecolor="white")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(size.replace("$", r"\$"))
        axis.set_ylabel(value.replace("$", r"\$"))
        axis.legend()
        plain_log_ticks(axis.xaxis, 72 * 0.75 * COLUMN)  # labels leave the axes about this share of the figure
        plain_log_ticks(axis.yaxis, 72 * 0.75 * HEIGHT)
    return figure

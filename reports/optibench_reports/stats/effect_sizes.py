"""Effect sizes and robust means beside the tests; each formula with its source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from optibench_reports.data.score_array import Floats
from optibench_reports.stats.tests import tolerant_sign


@dataclass(frozen=True)
class PairedT:
    """Student's paired t test over tasks and Cohen's d of the differences; NaN with fewer than 2 tasks or no spread.

    Attributes:
        t: ``mean(d) / (sd(d) / sqrt(n))``.
        p: Two-sided.
        d: Cohen's ``d_z = mean(d) / sd(d)``; negative if the first optimizer has the lower regret.
    """

    t: float
    p: float
    d: float


def paired_t(difference: Floats) -> PairedT:
    """Paired t test and standardised mean difference.

    Source: Student (1908), Biometrika 6(1); Cohen (1988), *Statistical Power Analysis for the Behavioral Sciences*,
    section 2.3.5 (``d_z``). Assumes differences that are close to normal, which regrets of unlike tasks seldom are: the
    signed-rank test is the one to read.

    Args:
        difference: (n,), regret of a minus regret of b.
    """
    n = len(difference)
    sd = float(np.std(difference, ddof=1)) if n > 1 else 0.0
    if sd <= 1e-12 * float(np.abs(difference).max()):
        return PairedT(np.nan, np.nan, np.nan)
    d = float(difference.mean()) / sd
    t = d * float(np.sqrt(n))
    return PairedT(t, float(2 * stats.t.sf(abs(t), n - 1)), d)


def a12(a: Floats, b: Floats) -> float:
    """Probability that a run of ``a`` ends with a lower score than one of ``b``, ties counting half, mean over tasks.

    Vargha and Delaney (2000), "A critique and improvement of the CL common language effect size statistics", Journal
    of Educational and Behavioral Statistics 25(2), inside each task; 0.5 if neither is better.

    Args:
        a: (n tasks, S seeds), non-negative; NaN where a seed is missing.
        b: (n tasks, S seeds).
    """
    x, y = a[:, :, None], b[:, None, :]
    known = ~(np.isnan(x) | np.isnan(y))
    better = np.where(known, 0.5 - 0.5 * tolerant_sign(np.nan_to_num(x), np.nan_to_num(y)), 0.0)
    return float((better.sum(axis=(1, 2)) / known.sum(axis=(1, 2))).mean())


def interquartile_mean(scores: Floats) -> float:
    """Mean of the middle half of all runs, NaN left out.

    Source: Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 34:
    a quarter of the runs is cut from either end, ``floor(n / 4)`` of them.
    """
    known = scores[~np.isnan(scores)]
    return float(stats.trim_mean(known, 0.25)) if len(known) else float("nan")

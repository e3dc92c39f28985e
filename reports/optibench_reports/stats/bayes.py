"""The Bayesian signed-rank test: probabilities that one optimizer is better or that the two are equivalent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optibench_reports.data.score_array import Floats

ROPE = 0.01
"""Region of practical equivalence: a hundredth of the way from a median random configuration to the best known one."""
PRIOR = 0.5
"""Weight of the prior's one pseudo-task, on which the two are equal."""


@dataclass(frozen=True)
class Posterior:
    """Probabilities that sum to 1: ``a`` practically better, the two practically the same, ``b`` practically better."""

    a: float
    same: float
    b: float


def bayesian_signed_rank(differences: Floats, *, draws: int, seed: int, rope: float = ROPE) -> list[Posterior]:
    """Posterior probabilities of each region for several pairs over the same tasks.

    Benavoli, Corani, Demsar and Zaffalon (2017), "Time for a change: a tutorial for comparing multiple classifiers
    through Bayesian analysis", JMLR 18(77), section 4.2: with weights ``w ~ Dirichlet(s, 1, ..., 1)`` on a
    pseudo-difference of 0 and the n differences ``z``, ``theta_a = sum_ij w_i w_j [z_i + z_j < -2 rope]``, ``theta_b``
    likewise above ``2 rope``, and the rest is "same"; a region's probability is the share of draws in which it is the
    largest. Sums on the very border count half.

    Sorted, the ``j`` that go with an ``i`` are a prefix (or a suffix), so that cumulative weights replace the double
    sum; all pairs use the same draws of weights.

    Args:
        differences: (P pairs, n tasks), regret of a minus regret of b.
        draws: Monte Carlo draws; the standard error of a probability is at most ``0.5 / sqrt(draws)``.
        seed: Seed of the draws.
        rope: Half width of the region, in units of the regret.
    """
    pairs, n = differences.shape
    if not pairs:
        return []
    random = np.random.default_rng(seed)
    weights = random.standard_exponential((draws, n))
    prior = random.standard_gamma(PRIOR, (draws, 1))
    weights = np.concatenate([prior, weights], axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    result = []
    for difference in differences:
        z = np.concatenate([[0.0], difference])
        order = np.argsort(z, kind="stable")
        z, w = z[order], weights[:, order]
        below = np.concatenate([np.zeros((draws, 1)), np.cumsum(w, axis=1)], axis=1)

        def mass(border: Floats, side: tuple[str, str], z: Floats = z, w: Floats = w, below: Floats = below) -> Floats:
            """Weight of the pairs with z_j below the border of z_i, on it half."""
            ends = [np.searchsorted(z, border, side=which) for which in side]  # type: ignore[call-overload]
            return np.asarray((w * (below[:, ends[0]] + below[:, ends[1]])).sum(axis=1) / 2)

        theta_a = mass(-2 * rope - z, ("left", "right"))
        theta_b = 1 - mass(2 * rope - z, ("left", "right"))
        theta = np.stack([theta_a, 1 - theta_a - theta_b, theta_b])
        if rope == 0:
            theta[1] = -1.0
        share = np.bincount(theta.argmax(axis=0), minlength=3) / draws
        result.append(Posterior(*map(float, share)))
    return result

"""The likely best of noisy trials: the best expected value without noise, not the luckiest observed one.

A GP with fitted noise smooths the values, as normal scores of their ranks so that none weighs more for being far away.
If each configuration has one value, what is special about a configuration looks like noise. So a share of the variance
that is left, :data:`OWN_SHARE`, counts as the configuration's own; the rest is noise, which repeats average out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from optiformer.gp.kernels import HEADS
from optiformer.gp.posterior import Coordinates, WarpedHistory
from optiformer.gp.prior import GPPrior
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.space.unit_space import UnitSpace
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.history import History, Located, subsample

#: Share of the variance left by the smooth part of the GP that belongs to the configuration and is no noise.
OWN_SHARE = 0.15
#: Number of successful trials below which the best observed one is the guess, and the most that the GP is fitted to.
MIN_TRIALS, MAX_TRIALS = 5, 1000
#: One head with a Matern-5/2 kernel.
MATERN = HEADS.of((1,))


def best_guess(space: Space, trials: Sequence[Trial]) -> int:
    """Index of the trial whose configuration is likely the best; of its repeats, the one with the best value.

    Failures and outliers are told apart as in the search: they do not inform the GP and are never the guess.

    Args:
        space: The search space.
        trials: Past trials, values to minimize, at least one that did not fail.

    Raises:
        ModelError: A configuration has a value outside its range.
    """
    unit = UnitSpace(space)
    located = Located.of(unit.position, [trial.config for trial in trials], trials)
    history = History.of(located, Located.of(unit.position, []))
    if history.n_succeeded < MIN_TRIALS or not len(unit):
        return int(np.where(history.failed, np.inf, history.value).argmin())
    rows = subsample(history.value, history.failed, MAX_TRIALS)
    rows = rows[~history.failed[rows]]
    position, active, value = history.position[rows], history.active[rows], history.value[rows]
    kinds = unit.kinds
    points = Coordinates(kinds, SurrogateConfig().choices, position, active)(position, active)
    _, rank, ties = np.unique(value, return_inverse=True, return_counts=True)
    own = ndtri((np.cumsum(ties) - ties / 2)[rank] / len(value))
    # The head's own scale of warping leaves the scores as they are.
    warped = WarpedHistory.of(MATERN, MATERN.asinh_scales[0], points, own)
    smooth = GPPrior().solve(warped, kinds).predict(points)[0][:, 0]
    _, group, count = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    own, smooth = (np.bincount(group, each) / count for each in (own, smooth))
    likely = smooth + OWN_SHARE / (OWN_SHARE + (1 - OWN_SHARE) / count) * (own - smooth)
    return int(rows[np.lexsort((value, likely[group]))[0]])

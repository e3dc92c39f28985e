"""One GP with MAP hyperparameters: the baseline of the networks' held-out likelihoods."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from optiformer.gp.kernels import HEADS
from optiformer.gp.posterior import Coordinates, Kinds, WarpedHistory
from optiformer.gp.prior import GPPrior
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.prediction import Prediction

#: Index of the kernel head that serves as the baseline.
ONE_HEAD = (1,)
#: Share of its mass that is uniform over the bins, against surprises.
UNIFORM = 0.01


def baseline_history(
    encoding: SurrogateConfig, kinds: Kinds, observed: Any, heads: tuple[int, ...] = ONE_HEAD
) -> tuple[WarpedHistory, Coordinates]:
    """Warped history of the baseline head, and the map from configurations to points."""
    position, active, score, failed = observed
    worked = position[~failed], active[~failed]
    coordinates = Coordinates(kinds, encoding.choices, *worked)
    return WarpedHistory.of(HEADS.of(heads), encoding.knee, coordinates(*worked), score[~failed]), coordinates


def baseline(encoding: SurrogateConfig, prior: GPPrior, kinds: Kinds, observed: Any, candidates: Any) -> Prediction:
    """Prediction of the baseline head.

    Args:
        encoding: Settings of the encoding.
        prior: Prior of the hyperparameters.
        kinds: Types of the parameters.
        observed: Positions (n, S), activity (n, S), transformed scores (n,) and failures (n,) of the trials.
        candidates: Positions and activity of the candidates, (q, S) each.
    """
    warped, coordinates = baseline_history(encoding, kinds, observed)
    mean, deviation = prior.solve(warped, kinds).predict(coordinates(*candidates))
    bars = np.full((len(mean), encoding.bins), 1 / encoding.bins)
    weights = np.tile([UNIFORM, 1 - UNIFORM], (len(mean), 1))
    return Prediction(dataclasses.replace(encoding, heads=ONE_HEAD), bars, weights, mean, deviation)

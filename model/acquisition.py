"""Acquisition functions of a predictive distribution: what makes a candidate worth a trial.

Every function takes a prediction for m candidates and gives one number each, the larger the better. In squashed scores
0 is the best value so far; ``z = knee * sinh(u)`` is the value's distance from it in gaps between best and median,
negative for an improvement. Mass is spread evenly within a bin.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from model.errors import ModelError
from model.gp.kernels import Array
from model.surrogate.prediction import Prediction, cumulative
from model.trial_config import TrialSetConfig

Acquisition = Callable[[Prediction], Array]
OF_MIXTURE = ("pi", "squashed-ei", "clipped-ei", "ei", "thompson")
#: Of one Gaussian process alone: :mod:`model.gp.improvement`.
OF_PROCESS = "gp-ei"
NAMES = (*OF_MIXTURE, OF_PROCESS)


def get(
    name: str,
    *,
    margin: float = 0.01,
    cap: float = 0.25,
    temperature: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Acquisition:
    """An acquisition function by name.

    Args:
        name: ``pi``, ``squashed-ei``, ``clipped-ei``, ``ei`` or ``thompson``.
        margin: For ``pi``: how far below the best value counts, in gaps between best and median.
        cap: For ``clipped-ei``: the largest gain that counts, in gaps.
        temperature: Divides the log probabilities; above 1 they are flatter, which explores more.
        rng: For ``thompson``: its random numbers.

    Raises:
        ModelError: There is no such acquisition function.
    """
    if name == "pi":
        return lambda prediction: _below(prediction, margin, temperature)
    if name == "thompson":
        return lambda prediction: -sample(prediction, temperature, rng or np.random.default_rng())
    gains: dict[str, Callable[[TrialSetConfig, Array], Array]] = {
        "squashed-ei": lambda bins, u: np.maximum(-u, 0),
        "clipped-ei": lambda bins, u: np.clip(-bins.knee * np.sinh(u), 0, cap),
        "ei": lambda bins, u: np.maximum(-bins.knee * np.sinh(u), 0),
    }
    if name not in gains:
        raise ModelError(f"Unknown acquisition {name!r}; there is {', '.join(OF_MIXTURE)}.")
    gain = gains[name]

    def expected(prediction: Prediction) -> Array:
        bins = prediction.config
        edges = np.linspace(bins.low, bins.high, bins.bins * 16 + 1)
        mean = gain(bins, (edges[1:] + edges[:-1]) / 2).reshape(bins.bins, 16).mean(1)  # the midpoint rule in each bin
        return np.asarray(prediction.probabilities(temperature) @ mean)

    return expected


def _below(prediction: Prediction, margin: float, temperature: float) -> Array:
    threshold = -math.asinh(margin / prediction.config.knee)
    if temperature == 1.0:  # no need of the bins
        return prediction.below(threshold)
    return cumulative(prediction.probabilities(temperature), prediction.config, threshold)


def sample(prediction: Prediction, temperature: float, rng: np.random.Generator) -> Array:
    """A squashed score drawn from each candidate's distribution, independently, (m,)."""
    below = prediction.probabilities(temperature).cumsum(1)
    index = (below < rng.random((len(below), 1)) * below[:, -1:]).sum(1)
    width = (prediction.config.high - prediction.config.low) / prediction.config.bins
    return np.asarray(prediction.config.low + width * (index + rng.random(len(below))))

"""Acquisition functions of a binned predictive distribution: what makes a candidate worth a trial.

Every function takes a prediction for m candidates and gives one number each, the larger the better. In squashed scores
0 is the best value so far; ``z = knee * sinh(u)`` is the value's distance from it in gaps between best and median,
negative for an improvement. Mass is spread evenly within a bin.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from model.errors import ModelError
from model.prediction import Prediction, cumulative
from model.trial_config import TrialSetConfig

Acquisition = Callable[[Prediction], torch.Tensor]
OF_MIXTURE = ("pi", "squashed-ei", "clipped-ei", "ei", "thompson")
#: Of one kernel head alone: :mod:`model.kernel_improvement`.
OF_PROCESS = "gp-ei"
NAMES = (*OF_MIXTURE, OF_PROCESS)


def get(
    name: str,
    encoding: TrialSetConfig,
    *,
    margin: float = 0.01,
    cap: float = 0.25,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Acquisition:
    """An acquisition function by name.

    Args:
        name: ``pi``, ``squashed-ei``, ``clipped-ei``, ``ei`` or ``thompson``.
        encoding: The bins.
        margin: For ``pi``: how far below the best value counts, in gaps between best and median.
        cap: For ``clipped-ei``: the largest gain that counts, in gaps.
        temperature: Divides the log probabilities; above 1 they are flatter, which explores more.
        generator: For ``thompson``: its random numbers.

    Raises:
        ModelError: There is no such acquisition function.
    """
    if name == "pi":
        threshold = -math.asinh(margin / encoding.knee)
        if temperature == 1.0:  # no need of the bins
            return lambda prediction: prediction.below(encoding, threshold)
        return lambda prediction: cumulative(prediction.probabilities(encoding, temperature), encoding, threshold)
    if name == "thompson":
        return lambda prediction: -sample(prediction.probabilities(encoding, temperature), encoding, generator)
    gains: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "squashed-ei": lambda u: (-u).clamp(min=0),
        "clipped-ei": lambda u: (-encoding.knee * u.sinh()).clamp(0, cap),
        "ei": lambda u: (-encoding.knee * u.sinh()).clamp(min=0),
    }
    if name not in gains:
        raise ModelError(f"Unknown acquisition {name!r}; there is {', '.join(OF_MIXTURE)}.")
    mean = _mean_in_bins(encoding, gains[name])
    return lambda prediction: prediction.probabilities(encoding, temperature) @ mean


def sample(
    probabilities: torch.Tensor, encoding: TrialSetConfig, generator: torch.Generator | None = None
) -> torch.Tensor:
    """A squashed score drawn from each candidate's distribution, independently, (m,)."""
    width = (encoding.high - encoding.low) / encoding.bins
    index = torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
    inside = torch.rand(len(probabilities), generator=generator, device=probabilities.device)
    return encoding.low + width * (index + inside)


def median(probabilities: torch.Tensor, encoding: TrialSetConfig) -> torch.Tensor:
    """The squashed score with half the mass below it, at a bin's right edge, (m,)."""
    width = (encoding.high - encoding.low) / encoding.bins
    below = (probabilities.cumsum(1) < 0.5 * probabilities.sum(1, keepdim=True)).sum(1)
    return encoding.low + width * (below + 1.0)


def _mean_in_bins(encoding: TrialSetConfig, gain: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """A gain's mean over each bin, (bins,), by the midpoint rule on 16 parts."""
    edges = torch.linspace(encoding.low, encoding.high, encoding.bins * 16 + 1, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    return gain(middle).view(encoding.bins, 16).mean(1).float()

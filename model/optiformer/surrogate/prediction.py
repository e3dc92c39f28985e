"""What the network predicts of candidates: its own bins, mixed with the heads' normals.

:mod:`optiformer.surrogate.network.prediction` has the same for training's batches, with the loss; a test compares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optiformer.gp.kernels import Array, log_slope, warp
from optiformer.surrogate.config import SurrogateConfig


@dataclass(frozen=True, eq=False)
class Prediction:
    """A mixture over squashed scores for every candidate.

    Attributes:
        config: The bins.
        own: Probabilities of the network's own bins, (m, bins).
        weights: Of the own bins and of the heads, (m, 1 + H); ``None`` without kernel heads.
        mean: The heads' means, warped scores, (m, H).
        deviation: Their standard deviations.
    """

    config: SurrogateConfig
    own: Array
    weights: Array | None = None
    mean: Array | None = None
    deviation: Array | None = None

    def probabilities(self, temperature: float = 1.0) -> Array:
        """Probability of every bin, flattened by a temperature above 1, (m, bins)."""
        mass = self.own
        if self.weights is not None:
            edges = np.arange(self.config.bins + 1.0)
            inside = np.diff(self._heads_below(edges), axis=1)
            mass = self.own * self.weights[:, :1] + (np.maximum(inside, 1e-12) * self.weights[:, None, 1:]).sum(-1)
        if temperature != 1.0:
            logs = np.log(np.maximum(mass, 1e-38))
            with np.errstate(over="ignore"):  # next to no temperature leaves the likeliest bin
                mass = np.exp((logs - logs.max(-1, keepdims=True)) / temperature)
        return np.asarray(mass / mass.sum(-1, keepdims=True))

    def below(self, threshold: float, temperature: float = 1.0) -> Array:
        """Probability of a squashed score below a threshold, (m,); exact for the heads, even within an own bin."""
        from scipy.special import ndtr

        if temperature != 1.0:
            return cumulative(self.probabilities(temperature), self.config, threshold)
        own = cumulative(self.own, self.config, threshold)
        if self.weights is None or self.mean is None or self.deviation is None:
            return own
        heads = ndtr((warp(self.config.head_kinds, self.config.knee, np.array(threshold)) - self.mean) / self.deviation)
        return np.asarray(self.weights[:, 0] * own + (self.weights[:, 1:] * heads).sum(-1))

    def log_density(self, score: Array) -> Array:
        """Log density at one squashed score a candidate, (m,), in nats; the own bins' mass is even within a bin."""
        width = (self.config.high - self.config.low) / self.config.bins
        bin_ = np.floor((score - self.config.low) / width).astype(int).clip(0, self.config.bins - 1)
        own = np.log(np.maximum(self.own[np.arange(len(score)), bin_], 1e-38)) - math.log(width)
        if self.weights is None or self.mean is None or self.deviation is None:
            return np.asarray(own)
        kinds = self.config.head_kinds
        standard = (warp(kinds, self.config.knee, score) - self.mean) / self.deviation
        slope = log_slope(kinds, self.config.knee, np.repeat(score[:, None], len(kinds), 1))
        heads = -0.5 * (np.square(standard) + math.log(2 * math.pi)) - np.log(self.deviation) + slope
        together = np.concatenate([own[:, None], heads], -1) + np.log(np.maximum(self.weights, 1e-38))
        return np.asarray(np.logaddexp.reduce(together, -1))

    def _heads_below(self, edge: Array) -> Array:
        """The heads' mass below edges of bins, by their numbers, (m, edges, H); none is beyond the first or last."""
        from scipy.special import ndtr

        assert self.mean is not None
        assert self.deviation is not None
        u = self.config.low + (self.config.high - self.config.low) / self.config.bins * edge
        inside = ndtr(
            (warp(self.config.head_kinds, self.config.knee, u) - self.mean[:, None]) / self.deviation[:, None]
        )
        inside[:, edge <= 0], inside[:, edge >= self.config.bins] = 0.0, 1.0
        return np.asarray(inside)


def cumulative(probabilities: Array, config: SurrogateConfig, threshold: float) -> Array:
    """Mass below a squashed score, (m,)."""
    width = (config.high - config.low) / config.bins
    place = min(max((threshold - config.low) / width, 0.0), float(config.bins))
    return np.asarray(probabilities @ (place - np.arange(config.bins)).clip(0, 1).astype(probabilities.dtype))

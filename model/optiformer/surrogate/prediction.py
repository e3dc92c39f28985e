"""Predictive distribution: a mixture of the network's bar distribution and the kernel heads' normals.

:mod:`optiformer.surrogate.network.prediction` is the batched torch version with the loss; a test compares them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optiformer.gp.kernels import Array, log_slope, warp
from optiformer.surrogate.config import SurrogateConfig


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted mixtures over the transformed scores of m candidates.

    Attributes:
        config: Settings of the encoding.
        bars: Probabilities of the bar distribution, (m, bins).
        weights: Mixture weights of the bar distribution and the heads, (m, 1 + H); ``None`` without kernel heads.
        mean: The heads' means in warped scores, (m, H).
        deviation: Their standard deviations, (m, H).
    """

    config: SurrogateConfig
    bars: Array
    weights: Array | None = None
    mean: Array | None = None
    deviation: Array | None = None

    def probabilities(self, temperature: float = 1.0) -> Array:
        """Probabilities of the bins, (m, bins); a temperature above 1 flattens them."""
        mass = self.bars
        if self.weights is not None:
            edges = np.arange(self.config.bins + 1.0)
            inside = np.diff(self._heads_below(edges), axis=1)
            mass = self.bars * self.weights[:, :1] + (np.maximum(inside, 1e-12) * self.weights[:, None, 1:]).sum(-1)
        if temperature != 1.0:
            logs = np.log(np.maximum(mass, 1e-38))
            with np.errstate(over="ignore"):  # a temperature near 0 leaves the likeliest bin
                mass = np.exp((logs - logs.max(-1, keepdims=True)) / temperature)
        return np.asarray(mass / mass.sum(-1, keepdims=True))

    def below(self, threshold: float, temperature: float = 1.0) -> Array:
        """Probability of a transformed score below a threshold, (m,).

        Heads contribute their exact CDF; the bar distribution is interpolated linearly within a bin.
        """
        from scipy.special import ndtr

        if temperature != 1.0:
            return cumulative(self.probabilities(temperature), self.config, threshold)
        own = cumulative(self.bars, self.config, threshold)
        if self.weights is None or self.mean is None or self.deviation is None:
            return own
        heads = ndtr((warp(self.config.head_kinds, self.config.knee, np.array(threshold)) - self.mean) / self.deviation)
        return np.asarray(self.weights[:, 0] * own + (self.weights[:, 1:] * heads).sum(-1))

    def log_density(self, score: Array) -> Array:
        """Log density at one transformed score per candidate, (m,), in nats."""
        width = self.config.bin_width
        bin_ = np.floor((score - self.config.low) / width).astype(int).clip(0, self.config.bins - 1)
        own = np.log(np.maximum(self.bars[np.arange(len(score)), bin_], 1e-38)) - math.log(width)
        if self.weights is None or self.mean is None or self.deviation is None:
            return np.asarray(own)
        kinds = self.config.head_kinds
        standard = (warp(kinds, self.config.knee, score) - self.mean) / self.deviation
        slope = log_slope(kinds, self.config.knee, np.repeat(score[:, None], len(kinds), 1))
        heads = -0.5 * (np.square(standard) + math.log(2 * math.pi)) - np.log(self.deviation) + slope
        together = np.concatenate([own[:, None], heads], -1) + np.log(np.maximum(self.weights, 1e-38))
        return np.asarray(np.logaddexp.reduce(together, -1))

    def _heads_below(self, edge: Array) -> Array:
        """Heads' mass below edges of bins, (m, edges, H), all of it between the first and the last edge."""
        from scipy.special import ndtr

        assert self.mean is not None
        assert self.deviation is not None
        u = self.config.low + self.config.bin_width * edge
        inside = ndtr(
            (warp(self.config.head_kinds, self.config.knee, u) - self.mean[:, None]) / self.deviation[:, None]
        )
        inside[:, edge <= 0], inside[:, edge >= self.config.bins] = 0.0, 1.0
        return np.asarray(inside)


def cumulative(probabilities: Array, config: SurrogateConfig, threshold: float) -> Array:
    """Mass of a bar distribution below a transformed score, (m,)."""
    place = min(max((threshold - config.low) / config.bin_width, 0.0), float(config.bins))
    return np.asarray(probabilities @ (place - np.arange(config.bins)).clip(0, 1).astype(probabilities.dtype))

"""Predictive distribution and loss: a mixture of the bar distribution and the kernel heads' normals.

:mod:`optiformer.surrogate.prediction` is the NumPy version for inference; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.posterior import warp


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted mixtures over the candidates' transformed scores.

    Attributes:
        logits: Logits of the bar distribution, (..., bins).
        log_weights: Log mixture weights of the bar distribution and the heads, (..., 1 + H); ``None`` without heads.
        mean: The heads' means in warped scores, (..., H).
        deviation: Their standard deviations, (..., H).
    """

    logits: torch.Tensor
    log_weights: torch.Tensor | None = None
    mean: torch.Tensor | None = None
    deviation: torch.Tensor | None = None

    def log_mass(self, config: SurrogateConfig) -> torch.Tensor:
        """Log probabilities of the bins, (..., bins)."""
        bars = torch.log_softmax(self.logits.float(), -1)
        if self.log_weights is None:
            return bars
        below = self._below(config, torch.arange(config.bins + 1, device=bars.device)[:, None])
        mass = ((below[..., 1:, :] - below[..., :-1, :]).clamp(min=1e-12) * self.log_weights[..., None, 1:].exp()).sum(
            -1
        )
        return torch.logaddexp(bars + self.log_weights[..., :1], mass.log())

    def loss(self, config: SurrogateConfig, score: torch.Tensor) -> torch.Tensor:
        """Cross-entropy in nats, (...), against a target that interpolates between the two nearest bins.

        Scores are clamped to the range of the bins.
        """
        place = ((score - config.low) / config.bin_width - 0.5).clamp(0, config.bins - 1)
        low = place.floor().long().clamp(max=config.bins - 2)
        share = (place - low)[..., None]
        pair = torch.log_softmax(self.logits.float(), -1).gather(-1, torch.stack([low, low + 1], -1))
        if self.log_weights is not None:
            edges = torch.stack([low, low + 1, low + 2], -1)[..., None]
            below = self._below(config, edges)
            mass = (below[..., 1:, :] - below[..., :-1, :]).clamp(min=1e-12) * self.log_weights[..., None, 1:].exp()
            pair = torch.logaddexp(pair + self.log_weights[..., :1], mass.sum(-1).log())
        return -(pair[..., :1] * (1 - share) + pair[..., 1:] * share).squeeze(-1)

    def _below(self, config: SurrogateConfig, edge: torch.Tensor) -> torch.Tensor:
        """Heads' mass below edges of bins, by index (..., m, 1), all of it between the first and the last edge."""
        assert self.mean is not None
        assert self.deviation is not None
        u = config.low + config.bin_width * edge
        standard = (warp(config, u) - self.mean[..., None, :]) / self.deviation[..., None, :]
        inside = torch.special.ndtr(standard)
        return torch.where(edge <= 0, torch.zeros_like(inside), torch.where(edge >= config.bins, 1.0, inside))

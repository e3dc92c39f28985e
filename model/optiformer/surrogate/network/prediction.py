"""What the surrogate predicts in training: its own bins, mixed with the kernel heads' normals.

:mod:`optiformer.surrogate.prediction` is the same for inference; a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.processes import warp


@dataclass(frozen=True, eq=False)
class Prediction:
    """A mixture over squashed scores for every candidate.

    Attributes:
        logits: The network's own bins, (..., bins).
        log_weights: Of the own bins and of the heads, (..., 1 + H); ``None`` without kernel heads.
        mean: The heads' means, warped scores, (..., H).
        deviation: Their standard deviations.
    """

    logits: torch.Tensor
    log_weights: torch.Tensor | None = None
    mean: torch.Tensor | None = None
    deviation: torch.Tensor | None = None

    def log_mass(self, config: SurrogateConfig) -> torch.Tensor:
        """Log probability of every bin, (..., bins)."""
        own = torch.log_softmax(self.logits.float(), -1)
        if self.log_weights is None:
            return own
        below = self._below(config, torch.arange(config.bins + 1, device=own.device)[:, None])
        mass = ((below[..., 1:, :] - below[..., :-1, :]).clamp(min=1e-12) * self.log_weights[..., None, 1:].exp()).sum(
            -1
        )
        return torch.logaddexp(own + self.log_weights[..., :1], mass.log())

    def loss(self, config: SurrogateConfig, score: torch.Tensor) -> torch.Tensor:
        """Cross-entropy in nats against the two bins around each score, in proportion to nearness, (...).

        Scores are clamped to the bins' range.
        """
        width = (config.high - config.low) / config.bins
        place = ((score - config.low) / width - 0.5).clamp(0, config.bins - 1)
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
        """The heads' mass below edges of bins, numbered (..., m, 1); nothing is beyond the first and the last."""
        assert self.mean is not None
        assert self.deviation is not None
        u = config.low + (config.high - config.low) / config.bins * edge
        standard = (warp(config, u) - self.mean[..., None, :]) / self.deviation[..., None, :]
        inside = torch.special.ndtr(standard)
        return torch.where(edge <= 0, torch.zeros_like(inside), torch.where(edge >= config.bins, 1.0, inside))

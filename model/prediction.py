"""What the trial-set network predicts of a candidate: its own bins, mixed with the kernel heads' normals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from model.kernel_systems import bend, log_slope
from model.trial_config import TrialSetConfig


@dataclass(frozen=True, eq=False)
class Prediction:
    """A mixture over squashed scores for every candidate.

    Attributes:
        logits: The network's own bins, (..., bins).
        log_weights: Of the own bins and of the heads, (..., 1 + H); ``None`` without kernel heads.
        mean: The heads' means, bent scores, (..., H).
        deviation: Their standard deviations.
    """

    logits: torch.Tensor
    log_weights: torch.Tensor | None = None
    mean: torch.Tensor | None = None
    deviation: torch.Tensor | None = None

    def log_mass(self, config: TrialSetConfig) -> torch.Tensor:
        """Log probability of every bin, (..., bins)."""
        own = torch.log_softmax(self.logits.float(), -1)
        if self.log_weights is None:
            return own
        below = self._below(config, torch.arange(config.bins + 1, device=own.device)[:, None])
        mass = ((below[..., 1:, :] - below[..., :-1, :]).clamp(min=1e-12) * self.log_weights[..., None, 1:].exp()).sum(
            -1
        )
        return torch.logaddexp(own + self.log_weights[..., :1], mass.log())

    def probabilities(self, config: TrialSetConfig, temperature: float = 1.0) -> torch.Tensor:
        """Probability of every bin, flattened by a temperature above 1, (..., bins)."""
        return torch.softmax(self.log_mass(config) / temperature, -1)

    def below(self, config: TrialSetConfig, threshold: float) -> torch.Tensor:
        """Probability of a squashed score below a threshold, (...); exact for the heads, even within an own bin."""
        own = cumulative(torch.softmax(self.logits.float(), -1), config, threshold)
        if self.log_weights is None or self.mean is None or self.deviation is None:
            return own
        weights = self.log_weights.exp()
        bent = bend(config, torch.tensor([threshold], device=own.device))
        heads = torch.special.ndtr((bent - self.mean) / self.deviation)
        mixed: torch.Tensor = weights[..., 0] * own + (weights[..., 1:] * heads).sum(-1)
        return mixed

    def loss(self, config: TrialSetConfig, score: torch.Tensor) -> torch.Tensor:
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

    def log_density(self, config: TrialSetConfig, score: torch.Tensor) -> torch.Tensor:
        """Log density at one squashed score a candidate, (...), in nats; the own bins' mass is even within a bin."""
        width = (config.high - config.low) / config.bins
        bin_ = ((score - config.low) / width).floor().long().clamp(0, config.bins - 1)
        own = torch.log_softmax(self.logits.float(), -1).gather(-1, bin_[..., None]).squeeze(-1) - math.log(width)
        if self.log_weights is None or self.mean is None or self.deviation is None:
            return own
        standard = (bend(config, score[..., None]) - self.mean) / self.deviation
        slope = log_slope(config, score[..., None].expand_as(standard))
        heads = -0.5 * (standard.square() + math.log(2 * math.pi)) - self.deviation.log() + slope
        together = torch.cat([own[..., None], heads], -1) + self.log_weights
        return torch.logsumexp(together, -1)

    def _below(self, config: TrialSetConfig, edge: torch.Tensor) -> torch.Tensor:
        """The heads' mass below edges of bins, numbered (..., m, 1); nothing is beyond the first and the last."""
        assert self.mean is not None
        assert self.deviation is not None
        u = config.low + (config.high - config.low) / config.bins * edge
        standard = (bend(config, u) - self.mean[..., None, :]) / self.deviation[..., None, :]
        inside = torch.special.ndtr(standard)
        return torch.where(edge <= 0, torch.zeros_like(inside), torch.where(edge >= config.bins, 1.0, inside))


def cumulative(probabilities: torch.Tensor, encoding: TrialSetConfig, threshold: float) -> torch.Tensor:
    """Mass below a squashed score, (...)."""
    width = (encoding.high - encoding.low) / encoding.bins
    place = min(max((threshold - encoding.low) / width, 0.0), float(encoding.bins))
    share = (place - torch.arange(encoding.bins, device=probabilities.device)).clamp(0, 1)
    return probabilities @ share

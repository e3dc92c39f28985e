"""What a position of the set encoding is made of: values of the parameters, the score, and flags.

For training's batches; :mod:`optiformer.surrogate.features` is the same for one history. Scores are squashed by
:class:`ScoreAnchors`: 0 is the best value of the history and 1 gap its median, linear near 0 and logarithmic far away,
re-anchored at every ask.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.features import QUANTILES, SCORE_WAVES, STEEP


@dataclass(frozen=True, eq=False)
class SlotKinds:
    """What kind of parameter each slot holds; a leading batch dimension, slots last.

    Attributes:
        present: Whether the slot is used, (B, S) bool.
        categorical: Whether its values are unordered, (B, S) bool.
        levels: How many values there are, 0 for a continuous one, (B, S) float.
    """

    present: torch.Tensor
    categorical: torch.Tensor
    levels: torch.Tensor

    def of(self, order: torch.Tensor | None) -> SlotKinds:
        """In another order, (B, S)."""
        if order is None:
            return self
        return SlotKinds(*(each.gather(1, order) for each in (self.present, self.categorical, self.levels)))


@functools.cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """A tensor of these numbers, copied to the device once."""
    return torch.tensor(values, device=device, dtype=dtype)


def value_features(
    config: SurrogateConfig, kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor
) -> torch.Tensor:
    """Features of configurations.

    Args:
        config: The encoding.
        kinds: The slots' kinds.
        position: Values in [0, 1] on each parameter's own scale, discrete ones at their cell's centre, (B, m, S).
        active: Which parameters a configuration has, (B, m, S) bool.

    Returns:
        (B, m, slots * slot_width); columns beyond the slots are summed into the last one.
    """
    shown = (active & kinds.present[:, None]).float()
    levels = kinds.levels[:, None]
    # A small categorical is told by its one-hot code alone: its index is no number.
    numeric = shown * (~(kinds.categorical & (kinds.levels <= config.choices)))[:, None]
    octaves = math.pi * 2.0 ** torch.arange(config.frequencies, device=position.device)
    angle = position[..., None] * octaves
    number = torch.cat([position[..., None] * 2 - 1, angle.sin(), angle.cos()], -1) * numeric[..., None]
    index = (position * levels).long().clamp(min=0) % config.choices
    choice = torch.nn.functional.one_hot(index, config.choices) * (shown * kinds.categorical[:, None])[..., None]
    inactive = (~active & kinds.present[:, None]).float()
    width = torch.where(levels > 0, 1 / levels.clamp(min=1), torch.zeros_like(levels))
    grid = ((levels > 0) & ~kinds.categorical[:, None]).float()
    flags = torch.stack(
        [inactive, kinds.categorical[:, None] * shown, grid * shown, 2 * width.expand_as(shown) * shown], -1
    )
    found = torch.cat([number, choice, flags], -1)
    if found.shape[2] > config.slots:
        found = torch.cat([found[:, :, : config.slots - 1], found[:, :, config.slots - 1 :].sum(2, keepdim=True)], 2)
    return found.flatten(-2)


def trial_features(
    config: SurrogateConfig,
    kinds: SlotKinds,
    position: torch.Tensor,
    active: torch.Tensor,
    score: torch.Tensor,
    failed: torch.Tensor,
) -> torch.Tensor:
    """Positions of past trials, (B, n, width).

    Args:
        config: The encoding.
        kinds: The slots' kinds.
        position: See :func:`value_features`.
        active: See :func:`value_features`.
        score: Squashed scores, (B, n); a failed trial counts as the worst one.
        failed: Which trials failed, (B, n) bool.
    """
    octaves = math.pi * 2.0 ** torch.arange(SCORE_WAVES, device=score.device) / config.high
    angle = score[..., None] * octaves
    told = torch.cat([score[..., None] / 2, angle.sin(), angle.cos()], -1)
    flags = torch.stack([failed.float(), torch.zeros_like(score)], -1)
    return torch.cat([value_features(config, kinds, position, active), told, flags, _study(kinds, score)], -1)


def candidate_features(
    config: SurrogateConfig, kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor, n_trials: int
) -> torch.Tensor:
    """Positions of candidates, (B, q, width)."""
    shape = position.shape[:2]
    told = position.new_zeros(*shape, 1 + 2 * SCORE_WAVES)
    flags = constant((0.0, 1.0), position.device, torch.float32).expand(*shape, 2)
    study = _study(kinds, position.new_zeros(shape[0], n_trials))[:, :1].expand(-1, shape[1], -1)
    return torch.cat([value_features(config, kinds, position, active), told, flags, study], -1)


def _study(kinds: SlotKinds, score: torch.Tensor) -> torch.Tensor:
    """How many trials and parameters there are, which attention alone cannot count; (B, n, 2)."""
    n = score.shape[1]
    size = torch.full_like(score, math.log2(max(n, 1)) / 4 - 1)
    return torch.stack([size, (kinds.present.sum(1, keepdim=True) / 8.0 - 1).expand_as(score)], -1)


@dataclass(frozen=True, eq=False)
class ScoreAnchors:
    """The scale of scores that a history sets.

    Attributes:
        best: The lowest value, (B, 1).
        gap: Distance from it to the median, (B, 1), above 0.
        knee: See :class:`~optiformer.surrogate.config.SurrogateConfig`.
    """

    best: torch.Tensor
    gap: torch.Tensor
    knee: float

    @classmethod
    def of(cls, values: torch.Tensor, counted: torch.Tensor, knee: float) -> ScoreAnchors:
        """Anchors of values to minimize that count, (B, n) each; see
        :class:`optiformer.surrogate.features.ScoreAnchors`."""
        values = values.masked_fill(~counted, torch.nan)
        shares = torch.tensor((0.0, *QUANTILES), device=values.device, dtype=values.dtype)
        found = values.nanquantile(shares, dim=1).T
        best, gaps = found[:, :1], found[:, 1:] - found[:, :1]
        tiny = 1e-12 * (1 + best.abs())
        above = gaps[:, 2:] > tiny
        first = gaps[:, 2:].gather(1, above.int().argmax(1, keepdim=True))
        gap = torch.where(above.any(1, keepdim=True), first, torch.ones_like(first))
        for quantile, steep in ((gaps[:, 1:2], STEEP), (gaps[:, :1], STEEP**2)):
            gap = torch.where(quantile > tiny, torch.minimum(gap, steep * quantile), gap)
        return cls(best, gap, knee)

    def squash(self, values: torch.Tensor) -> torch.Tensor:
        """Values to squashed scores, both (B, m)."""
        return torch.asinh((values - self.best) / (self.gap * self.knee))

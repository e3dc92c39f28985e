"""Input features of the surrogate and the score transform, batched for training.

:mod:`optiformer.surrogate.features` is the NumPy version for one history.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.features import GAP_QUANTILES, MAX_GAP_RATIO, SCORE_WAVES


@dataclass(frozen=True, eq=False)
class SlotKinds:
    """Type of the parameter in each slot.

    Attributes:
        present: Whether the slot is used, (B, S) bool.
        categorical: Whether its values are unordered, (B, S) bool.
        levels: Number of values, 0 if continuous, (B, S) float.
    """

    present: torch.Tensor
    categorical: torch.Tensor
    levels: torch.Tensor

    def of(self, order: torch.Tensor | None) -> SlotKinds:
        """Reordered by (B, S) indices."""
        if order is None:
            return self
        return SlotKinds(*(each.gather(1, order) for each in (self.present, self.categorical, self.levels)))


@functools.cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """A cached tensor of these numbers on the device."""
    return torch.tensor(values, device=device, dtype=dtype)


def value_features(
    config: SurrogateConfig, kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor
) -> torch.Tensor:
    """Features of configurations.

    Args:
        config: Settings of the encoding.
        kinds: Types of the slots.
        position: Values in [0, 1] on each parameter's scale, discrete ones at the centre of their cell, (B, m, S).
        active: Which parameters a configuration has, (B, m, S) bool.

    Returns:
        (B, m, slots * slot_width); columns beyond the slots are summed into the last one.
    """
    used = (active & kinds.present[:, None]).float()
    levels = kinds.levels[:, None]
    # A small categorical has its one-hot code alone: its index is not a number.
    numeric = used * (~(kinds.categorical & (kinds.levels <= config.choices)))[:, None]
    octaves = math.pi * 2.0 ** torch.arange(config.frequencies, device=position.device)
    angle = position[..., None] * octaves
    number = torch.cat([position[..., None] * 2 - 1, angle.sin(), angle.cos()], -1) * numeric[..., None]
    index = (position * levels).long().clamp(min=0) % config.choices
    choice = torch.nn.functional.one_hot(index, config.choices) * (used * kinds.categorical[:, None])[..., None]
    inactive = (~active & kinds.present[:, None]).float()
    width = torch.where(levels > 0, 1 / levels.clamp(min=1), torch.zeros_like(levels))
    grid = ((levels > 0) & ~kinds.categorical[:, None]).float()
    flags = torch.stack(
        [inactive, kinds.categorical[:, None] * used, grid * used, 2 * width.expand_as(used) * used], -1
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
    """Tokens of past trials, (B, n, width).

    Args:
        config: Settings of the encoding.
        kinds: Types of the slots.
        position: See :func:`value_features`.
        active: See :func:`value_features`.
        score: Transformed scores, (B, n); failed trials have the worst one.
        failed: Which trials failed, (B, n) bool.
    """
    octaves = math.pi * 2.0 ** torch.arange(SCORE_WAVES, device=score.device) / config.high
    angle = score[..., None] * octaves
    score_features = torch.cat([score[..., None] / 2, angle.sin(), angle.cos()], -1)
    flags = torch.stack([failed.float(), torch.zeros_like(score)], -1)
    return torch.cat([value_features(config, kinds, position, active), score_features, flags, _study(kinds, score)], -1)


def candidate_features(
    config: SurrogateConfig, kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor, n_trials: int
) -> torch.Tensor:
    """Tokens of candidates, (B, q, width)."""
    shape = position.shape[:2]
    score_features = position.new_zeros(*shape, 1 + 2 * SCORE_WAVES)
    flags = constant((0.0, 1.0), position.device, torch.float32).expand(*shape, 2)
    study = _study(kinds, position.new_zeros(shape[0], n_trials))[:, :1].expand(-1, shape[1], -1)
    return torch.cat([value_features(config, kinds, position, active), score_features, flags, study], -1)


def _study(kinds: SlotKinds, score: torch.Tensor) -> torch.Tensor:
    """Numbers of trials and parameters, which attention cannot count, (B, n, 2)."""
    n = score.shape[1]
    size = torch.full_like(score, math.log2(max(n, 1)) / 4 - 1)
    return torch.stack([size, (kinds.present.sum(1, keepdim=True) / 8.0 - 1).expand_as(score)], -1)


@dataclass(frozen=True, eq=False)
class ScoreTransform:
    """Transform of scores relative to a history (see :class:`optiformer.surrogate.features.ScoreTransform`).

    Attributes:
        best: The lowest value, (B, 1).
        gap: Distance from it to the median, (B, 1), above 0.
        asinh_scale: Distance in gaps at which the transform turns from linear to logarithmic.
    """

    best: torch.Tensor
    gap: torch.Tensor
    asinh_scale: float

    @classmethod
    def of(cls, values: torch.Tensor, counted: torch.Tensor, asinh_scale: float) -> ScoreTransform:
        """The transform of values to minimize, (B, n), given which of them count, (B, n)."""
        values = values.masked_fill(~counted, torch.nan)
        shares = torch.tensor((0.0, *GAP_QUANTILES), device=values.device, dtype=values.dtype)
        found = values.nanquantile(shares, dim=1).T
        best, gaps = found[:, :1], found[:, 1:] - found[:, :1]
        tiny = 1e-12 * (1 + best.abs())
        above = gaps[:, 2:] > tiny
        first = gaps[:, 2:].gather(1, above.int().argmax(1, keepdim=True))
        gap = torch.where(above.any(1, keepdim=True), first, torch.ones_like(first))
        for quantile, steep in ((gaps[:, 1:2], MAX_GAP_RATIO), (gaps[:, :1], MAX_GAP_RATIO**2)):
            gap = torch.where(quantile > tiny, torch.minimum(gap, steep * quantile), gap)
        return cls(best, gap, asinh_scale)

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """Transformed scores of values, both (B, m)."""
        return torch.asinh((values - self.best) / (self.gap * self.asinh_scale))

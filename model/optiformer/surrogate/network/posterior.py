"""Exact GP regression on warped scores, batched over histories and heads, differentiable, in float64.

:mod:`optiformer.gp` is the NumPy version for one history and documents the formulas; a test compares them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch

from optiformer.gp.kernels import (
    AMPLITUDE_PRIOR_TRIALS,
    EPSILON,
    LENGTHSCALES,
    LOG_NOISES,
    MIN_NOISE,
    MISMATCH_SQ,
    HeadKinds,
)
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.features import SlotKinds, constant


@dataclass(frozen=True, eq=False)
class WarpedHistory:
    """A batch of histories with warped scores, the input of the GP heads.

    Attributes:
        config: Settings of the encoding.
        points: The trials' coordinates, (B, n, C).
        score: Transformed scores, (B, n).
        warped: Standardised warped scores, (B, H, n).
        location: Mean of the warped scores, (B, H, 1).
        scale: Their standard deviation, (B, H, 1).
        counted: 1 for successful trials, 0 for failed ones, which the heads ignore, (B, n).
    """

    config: SurrogateConfig
    points: torch.Tensor
    score: torch.Tensor
    warped: torch.Tensor
    location: torch.Tensor
    scale: torch.Tensor
    counted: torch.Tensor

    @classmethod
    def of(
        cls,
        config: SurrogateConfig,
        kinds: SlotKinds,
        position: torch.Tensor,
        active: torch.Tensor,
        score: torch.Tensor,
        failed: torch.Tensor,
    ) -> WarpedHistory:
        u, counted = score.double(), (~failed).double()
        warped = warp(config, u[..., None]).transpose(1, 2)
        share = (counted / counted.sum(1, keepdim=True))[:, None]
        location = (warped * share).sum(2, keepdim=True)
        scale = ((warped - location).square() * share).sum(2, keepdim=True).sqrt().clamp(min=1e-3)
        standardised = (warped - location) / scale * counted[:, None]
        points = coordinates(config, kinds, position, active)
        return cls(config, points, u, standardised, location, scale, counted)

    def subset(self, most: int) -> WarpedHistory:
        """At most ``most`` trials, evenly by rank, including the best and the worst successful ones."""
        n = self.score.shape[1]
        if n <= most:
            return self
        order = torch.where(self.counted > 0, self.score, torch.inf).argsort(dim=1, stable=True)
        even = torch.linspace(0, 1, most, device=order.device, dtype=torch.float64)
        last = (self.counted.sum(1, keepdim=True) - 1).clamp(min=most - 1)
        rows = order.gather(1, (even * last).round().long())
        points = self.points.gather(1, rows[..., None].expand(-1, -1, self.points.shape[2]))
        warped = self.warped.gather(2, rows[:, None].expand(-1, len(self.config.heads), -1))
        return replace(
            self, points=points, score=self.score.gather(1, rows), warped=warped, counted=self.counted.gather(1, rows)
        )

    def solve(self, log_lengthscale: torch.Tensor, log_noise: torch.Tensor) -> GPPosterior:
        """Condition the heads on the histories, given log lengthscales (B, S, H) and log noise shares (B, H)."""
        n, counted = self.warped.shape[2], self.counted[:, None]
        bounded = log_lengthscale.to(self.points.dtype).clamp(*LENGTHSCALES).transpose(1, 2)
        weights = (-bounded).exp().repeat_interleave(self.points.shape[2] // bounded.shape[2], -1)
        noise = MIN_NOISE + log_noise.to(self.points.dtype).clamp(*LOG_NOISES).exp()[..., None]
        scaled = self.points[:, None] * weights[:, :, None]
        square = squares(scaled, scaled)
        eye = torch.eye(n, device=scaled.device, dtype=scaled.dtype)
        # Failed trials are uncorrelated with all others.
        correlations = torch.where(self.pairs > 0, correlation(self.config.head_kinds, square), eye)
        factor = torch.linalg.cholesky_ex(correlations + noise[..., None] * eye).L
        inverse_factor = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        ones = (inverse_factor @ counted[..., None]).squeeze(-1)
        scores = (inverse_factor @ self.warped[..., None]).squeeze(-1)
        mean = (ones * scores).sum(-1, keepdim=True) / (ones.square().sum(-1, keepdim=True) + 1e-3)
        residual = scores - mean * ones
        amplitude = (residual.square().sum(-1, keepdim=True) + AMPLITUDE_PRIOR_TRIALS) / (
            counted.sum(-1, keepdim=True) + AMPLITUDE_PRIOR_TRIALS
        )
        return GPPosterior(self, scaled, square, inverse_factor, residual, mean, amplitude, noise, weights)

    @property
    def pairs(self) -> torch.Tensor:
        """1 for pairs of successful trials, (B, 1, n, n)."""
        return (self.counted[:, :, None] * self.counted[:, None])[:, None]


@dataclass(frozen=True, eq=False)
class GPPosterior:
    """Inverse Cholesky factors and posterior weights of H heads for B histories.

    Attributes:
        history: The histories.
        scaled: The trials' coordinates divided by the lengthscales, (B, H, n, C).
        square: Their squared distances, (B, H, n, n).
        inverse_factor: Inverse of the lower Cholesky factor, (B, H, n, n).
        residual: ``inverse_factor`` times the difference between scores and mean, (B, H, n).
        mean: Prior means in standardised warped scores, (B, H, 1).
        amplitude: Prior variances, (B, H, 1).
        noise: Noise variances as shares of the amplitude, (B, H, 1).
        weights: Inverse lengthscales of the coordinates, (B, H, C).
    """

    history: WarpedHistory
    scaled: torch.Tensor
    square: torch.Tensor
    inverse_factor: torch.Tensor
    residual: torch.Tensor
    mean: torch.Tensor
    amplitude: torch.Tensor
    noise: torch.Tensor
    weights: torch.Tensor

    def slopes(self, slots: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient of the log marginal likelihood by log lengthscales (B, S, H) and log noise (B, H)."""
        alpha = (self.inverse_factor * self.residual[..., None]).sum(-2)
        precision = self.inverse_factor.transpose(-1, -2) @ self.inverse_factor
        outer = 0.5 * (alpha[..., :, None] * alpha[..., None, :] / self.amplitude[..., None] - precision)
        outer = outer * self.history.pairs
        by_noise = outer.diagonal(dim1=-2, dim2=-1).sum(-1) * self.noise.squeeze(-1)
        pull, x = outer * correlation_slope(self.history.config.head_kinds, self.square), self.scaled
        by_coordinate = pull.sum(-1)[..., None] * x.square() - x * (pull @ x)
        each = x.shape[-1] // slots
        by_slot = -4 * by_coordinate.sum(-2).view(*x.shape[:2], slots, each).sum(-1)
        return by_slot.transpose(1, 2).float(), by_noise.float()

    def predict(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and standard deviations of observed warped scores at coordinates (B, m, C), (B, m, H) each.

        One head at a time: allocating larger arrays would cost more than the arithmetic.
        """
        means, reduced = [], []
        for head, kernel in enumerate(self.history.config.head_kinds.kernels):
            square = squares(self.scaled[:, head], points * self.weights[:, head, None])
            correlations = _correlation(kernel, square) * self.history.counted[..., None]
            projected = self.inverse_factor[:, head] @ correlations
            means.append((self.residual[:, head, None] @ projected).squeeze(1))
            reduced.append(projected.square().sum(1))
        left = (1 - torch.stack(reduced, 1)).clamp(min=1e-9)
        deviation = self.history.scale * (self.amplitude * (left + self.noise)).sqrt()
        mean = self.history.location + self.history.scale * (self.mean + torch.stack(means, 1))
        return mean.transpose(1, 2).float(), deviation.transpose(1, 2).float()

    @property
    def evidence(self) -> torch.Tensor:
        """Mean leave-one-out log density of the transformed scores, (B, H)."""
        counted = self.history.counted[:, None]
        return ((self.loo[3] * counted).sum(-1) / counted.sum(-1)).float()

    @functools.cached_property
    def loo(self) -> tuple[torch.Tensor, ...]:
        """Leave-one-out residuals, standard deviations, standardised residuals and log densities, (B, H, n) each.

        The first two are in standardised warped scores; the density is that of the transformed score.
        """
        precision = self.inverse_factor.square().sum(-2)
        error = (self.inverse_factor * self.residual[..., None]).sum(-2) / precision
        deviation = (self.amplitude / precision).sqrt()
        standardised = error / deviation
        slope = log_slope(self.history.config, self.history.score[:, None].expand_as(error), heads=1)
        normal = -0.5 * (standardised.square() + math.log(2 * math.pi))
        density = normal - (deviation * self.history.scale).log() + slope
        return error, deviation, standardised, density.clamp(-8, 8)


def coordinates(
    config: SurrogateConfig, kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor
) -> torch.Tensor:
    """Points that the kernels compare, float64, (B, m, S * (2 + choices)), or (B, m, S * 2) without categoricals."""
    used = active & kinds.present[:, None]
    place = torch.where(used & ~kinds.categorical[:, None], position.double() - 0.5, 0.0)[..., None]
    absent = (~active & kinds.present[:, None]).double()[..., None] * math.sqrt(MISMATCH_SQ)
    if position.device.type == "cpu" and not kinds.categorical.any():  # on a GPU the check costs more than it saves
        return torch.cat([place, absent], -1).flatten(-2)
    index = (position * kinds.levels[:, None]).long().clamp(min=0) % config.choices
    choice = torch.nn.functional.one_hot(index, config.choices) * (used & kinds.categorical[:, None])[..., None]
    return torch.cat([place, absent, choice.double() * math.sqrt(MISMATCH_SQ / 2)], -1).flatten(-2)


def squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distances of scaled coordinates (..., n, C) and (..., m, C), (..., n, m)."""
    norms = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :]
    return (norms - 2 * a @ b.transpose(-1, -2)).clamp(min=0)


def correlation(heads: HeadKinds, squared: torch.Tensor) -> torch.Tensor:
    """Correlations at squared distances (B, H, ...)."""
    return torch.cat([_correlation(kernel, squared[:, run]) for kernel, run in heads.runs], 1)


def _correlation(kernel: str, square: torch.Tensor) -> torch.Tensor:
    if kernel == "rbf":
        return torch.exp(-0.5 * square)
    if kernel == "exponential":
        return torch.exp(-(square + EPSILON).sqrt())
    r = (5 * square + EPSILON).sqrt()
    return (1 + r + r.square() / 3) * torch.exp(-r)


def correlation_slope(heads: HeadKinds, squared: torch.Tensor) -> torch.Tensor:
    """Derivatives of the correlations by the squared distances, (B, H, ...)."""
    return torch.cat([_correlation_slope(kernel, squared[:, run]) for kernel, run in heads.runs], 1)


def _correlation_slope(kernel: str, square: torch.Tensor) -> torch.Tensor:
    if kernel == "rbf":
        return -0.5 * torch.exp(-0.5 * square)
    if kernel == "exponential":
        r = (square + EPSILON).sqrt()
        return -0.5 / r * torch.exp(-r) * (square > 1e-9)
    r = (5 * square + EPSILON).sqrt()
    return -5 / 6 * (1 + r) * torch.exp(-r)


def warp(config: SurrogateConfig, u: torch.Tensor) -> torch.Tensor:
    """Warp transformed scores (..., 1) for each head, (..., H)."""
    asinh_scales = constant(
        config.head_kinds.asinh_scales, u.device, u.dtype if u.is_floating_point() else torch.float32
    )
    return torch.asinh(config.knee * torch.sinh(u) / asinh_scales)


def unwarp(config: SurrogateConfig, warped: torch.Tensor) -> torch.Tensor:
    """Inverse of :func:`warp`, (..., H) to (..., H)."""
    asinh_scales = constant(config.head_kinds.asinh_scales, warped.device, warped.dtype)
    return torch.asinh(asinh_scales * torch.sinh(warped.clamp(-12, 12)) / config.knee)


def log_slope(config: SurrogateConfig, u: torch.Tensor, heads: int = -1) -> torch.Tensor:
    """Log derivative of :func:`warp` at transformed scores; ``heads`` is the dimension of the heads."""
    shape = [1] * u.dim()
    shape[heads] = len(config.heads)
    asinh_scales = constant(config.head_kinds.asinh_scales, u.device, u.dtype).view(shape)
    inner = u.clamp(-12, 12)
    z = config.knee * inner.sinh() / asinh_scales
    return (config.knee / asinh_scales * inner.cosh()).log() - 0.5 * (1 + z.square()).log()

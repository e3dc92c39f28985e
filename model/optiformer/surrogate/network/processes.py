"""The kernel heads' linear systems in training: Gaussian processes of warped scores, a batch of histories at a time.

A head ``h`` models warped scores ``g_h(u) = asinh(z / k_h)``, where ``z = knee * sinh(u)`` is the distance from the
best value in gaps to the median: ``k_h`` goes from logarithmic (what the network sees) to nearly linear. Its mean is
the generalised least squares constant and its amplitude the profile likelihood's, both closed forms (Rasmussen &
Williams, 2006, sections 2.7 and 5.4.2; the latter also has the leave-one-out formulas). All in doubles.
:mod:`optiformer.gp` is the same for one history, without torch; a test compares.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch

from optiformer.gp.kernels import (
    APART,
    BELIEF,
    LEAST_NOISE,
    LENGTHSCALES,
    LOG_NOISES,
    TINY,
    HeadKinds,
)
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.features import SlotKinds, constant


@dataclass(frozen=True, eq=False)
class WarpedHistory:
    """A batch of histories as the heads see it.

    Attributes:
        config: The encoding.
        points: The trials' coordinates, (B, n, C).
        score: Squashed scores, (B, n).
        warped: Standardised warped scores, (B, H, n).
        location: Mean and deviation that standardise warped scores, (B, H, 1) each.
        scale: See ``location``.
        counted: 1 for a trial that succeeded, 0 for one that failed and says nothing here, (B, n).
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

    def part(self, most: int) -> WarpedHistory:
        """At most ``most`` of the trials, of those that succeeded the best and the worst one among them."""
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
        """Factorise the heads' covariances, from log lengthscales (B, S, H) and log noise shares (B, H)."""
        n, counted = self.warped.shape[2], self.counted[:, None]
        bounded = log_lengthscale.to(self.points.dtype).clamp(*LENGTHSCALES).transpose(1, 2)
        weights = (-bounded).exp().repeat_interleave(self.points.shape[2] // bounded.shape[2], -1)
        noise = LEAST_NOISE + log_noise.to(self.points.dtype).clamp(*LOG_NOISES).exp()[..., None]
        scaled = self.points[:, None] * weights[:, :, None]
        square = squares(scaled, scaled)
        eye = torch.eye(n, device=scaled.device, dtype=scaled.dtype)
        # A trial that does not count correlates with none.
        related = torch.where(self.pairs > 0, correlation(self.config.head_kinds, square), eye)
        factor = torch.linalg.cholesky_ex(related + noise[..., None] * eye).L
        inverse_factor = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        ones = (inverse_factor @ counted[..., None]).squeeze(-1)
        scores = (inverse_factor @ self.warped[..., None]).squeeze(-1)
        mean = (ones * scores).sum(-1, keepdim=True) / (ones.square().sum(-1, keepdim=True) + 1e-3)
        residual = scores - mean * ones
        amplitude = (residual.square().sum(-1, keepdim=True) + BELIEF) / (counted.sum(-1, keepdim=True) + BELIEF)
        return GPPosterior(self, scaled, square, inverse_factor, residual, mean, amplitude, noise, weights)

    @property
    def pairs(self) -> torch.Tensor:
        """1 for two trials that both count, (B, 1, n, n)."""
        return (self.counted[:, :, None] * self.counted[:, None])[:, None]


@dataclass(frozen=True, eq=False)
class GPPosterior:
    """The heads' systems for a batch of histories; H heads.

    Attributes:
        history: What they were solved for.
        scaled: The trials' coordinates over the lengthscales, (B, H, n, C).
        square: Their squared distances, (B, H, n, n).
        inverse_factor: Inverse of the lower Cholesky factor, (B, H, n, n).
        residual: ``inverse_factor`` times the scores less the mean, (B, H, n).
        mean: The heads' means, standardised warped scores, (B, H, 1).
        amplitude: Their variances, (B, H, 1).
        noise: Shares of the variance, (B, H, 1).
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
        """The log marginal likelihood's derivatives by log lengthscales (B, S, H) and log noise (B, H)."""
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

    def posterior(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and deviations of warped scores at coordinates (B, m, C), noise included, (B, m, H) each.

        A head at a time: arrays of a megabyte cost more in fresh memory than in arithmetic.
        """
        means, explained = [], []
        for head, kernel in enumerate(self.history.config.head_kinds.kernels):
            square = squares(self.scaled[:, head], points * self.weights[:, head, None])
            related = _correlation(kernel, square) * self.history.counted[..., None]
            projected = self.inverse_factor[:, head] @ related
            means.append((self.residual[:, head, None] @ projected).squeeze(1))
            explained.append(projected.square().sum(1))
        left = (1 - torch.stack(explained, 1)).clamp(min=1e-9)
        deviation = self.history.scale * (self.amplitude * (left + self.noise)).sqrt()
        mean = self.history.location + self.history.scale * (self.mean + torch.stack(means, 1))
        return mean.transpose(1, 2).float(), deviation.transpose(1, 2).float()

    @property
    def evidence(self) -> torch.Tensor:
        """Mean leave-one-out log density of the squashed scores, (B, H)."""
        counted = self.history.counted[:, None]
        return ((self.left_out[3] * counted).sum(-1) / counted.sum(-1)).float()

    @functools.cached_property
    def left_out(self) -> tuple[torch.Tensor, ...]:
        """Each trial given the others: error and deviation, standardised error, log density of the squashed score.

        The first two are in standardised warped scores; (B, H, n) each.
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
    """Points whose squared distances the kernels weigh, doubles, (B, m, S * (2 + choices)).

    Without categorical parameters they are (B, m, S * 2).
    """
    shown = active & kinds.present[:, None]
    place = torch.where(shown & ~kinds.categorical[:, None], position.double() - 0.5, 0.0)[..., None]
    absent = (~active & kinds.present[:, None]).double()[..., None] * math.sqrt(APART)
    if position.device.type == "cpu" and not kinds.categorical.any():  # on a GPU asking costs more than it saves
        return torch.cat([place, absent], -1).flatten(-2)
    index = (position * kinds.levels[:, None]).long().clamp(min=0) % config.choices
    choice = torch.nn.functional.one_hot(index, config.choices) * (shown & kinds.categorical[:, None])[..., None]
    return torch.cat([place, absent, choice.double() * math.sqrt(APART / 2)], -1).flatten(-2)


def squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distances of scaled coordinates (..., n, C) and (..., m, C): (..., n, m)."""
    norms = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :]
    return (norms - 2 * a @ b.transpose(-1, -2)).clamp(min=0)


def correlation(heads: HeadKinds, squared: torch.Tensor) -> torch.Tensor:
    """The heads' correlations at squared distances (B, H, ...)."""
    return torch.cat([_correlation(kernel, squared[:, run]) for kernel, run in heads.runs], 1)


def _correlation(kernel: str, square: torch.Tensor) -> torch.Tensor:
    if kernel == "rbf":
        return torch.exp(-0.5 * square)
    if kernel == "exponential":
        return torch.exp(-(square + TINY).sqrt())
    r = (5 * square + TINY).sqrt()
    return (1 + r + r.square() / 3) * torch.exp(-r)


def correlation_slope(heads: HeadKinds, squared: torch.Tensor) -> torch.Tensor:
    """The correlations' derivatives by the squared distance, (B, H, ...)."""
    return torch.cat([_correlation_slope(kernel, squared[:, run]) for kernel, run in heads.runs], 1)


def _correlation_slope(kernel: str, square: torch.Tensor) -> torch.Tensor:
    if kernel == "rbf":
        return -0.5 * torch.exp(-0.5 * square)
    if kernel == "exponential":
        r = (square + TINY).sqrt()
        return -0.5 / r * torch.exp(-r) * (square > 1e-9)
    r = (5 * square + TINY).sqrt()
    return -5 / 6 * (1 + r) * torch.exp(-r)


def warp(config: SurrogateConfig, u: torch.Tensor) -> torch.Tensor:
    """Squashed scores (..., 1) to the heads' warped ones, (..., H)."""
    knees = constant(config.head_kinds.knees, u.device, u.dtype if u.is_floating_point() else torch.float32)
    return torch.asinh(config.knee * torch.sinh(u) / knees)


def unwarp(config: SurrogateConfig, warped: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`warp`, (..., H) to (..., H)."""
    knees = constant(config.head_kinds.knees, warped.device, warped.dtype)
    return torch.asinh(knees * torch.sinh(warped.clamp(-12, 12)) / config.knee)


def log_slope(config: SurrogateConfig, u: torch.Tensor, heads: int = -1) -> torch.Tensor:
    """Log derivative of :func:`warp` at squashed scores; ``heads`` is the dimension of the heads."""
    shape = [1] * u.dim()
    shape[heads] = len(config.heads)
    knees = constant(config.head_kinds.knees, u.device, u.dtype).view(shape)
    inner = u.clamp(-12, 12)
    z = config.knee * inner.sinh() / knees
    return (config.knee / knees * inner.cosh()).log() - 0.5 * (1 + z.square()).log()

"""Kernel heads: Gaussian processes inside the network, their lengthscales and noise inferred by attention.

A transformer of this size does not learn to solve linear systems in an hour, and on smooth functions that is what
separates it from a Gaussian process. So after a few layers the network reads off the trials what each parameter's
lengthscale and the noise are, corrects that a few times by a learned rule that looks at the marginal likelihood's
gradient, solves a small system for each head (:mod:`optiformer.surrogate.network.processes`), hands the posteriors of
the candidates and the leave-one-out posteriors of the trials back to the layers above, and ends in a mixture of its own
bins and the heads' normals. Everything is trained end to end by the likelihood of the score. Inference, which also fits
what is inferred, is :mod:`optiformer.surrogate.heads`.
"""

from __future__ import annotations

import math

import torch

from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.features import SCORE_WAVES
from optiformer.surrogate.heads import LENGTHSCALE, LOOKED_AT, NOISE, POOLED, SLOT, STATISTICS
from optiformer.surrogate.network.features import SlotKinds
from optiformer.surrogate.network.prediction import Prediction
from optiformer.surrogate.network.processes import GPPosterior, WarpedHistory, coordinates, log_slope, unwarp

#: At the start a correction is this times asinh of half the gradient.
STEP = 0.15
#: Features of one posterior: its mean in squashed scores and waves of it, two log deviations, residual, log density;
#: and its head's evidence.
PER_HEAD = 1 + 2 * SCORE_WAVES + 4 + 1


class KernelHeads(torch.nn.Module):
    """The trained parts around the kernels.

    Args:
        encoding: The encoding.
        hidden_size: Width of the backbone.
    """

    def __init__(self, encoding: SurrogateConfig, hidden_size: int) -> None:
        super().__init__()
        self.encoding, heads = encoding, len(encoding.heads)
        self.pool = torch.nn.Linear(hidden_size, POOLED)
        self.per_slot = torch.nn.Linear(hidden_size, encoding.slots * SLOT)
        self.infer = _small(STATISTICS + POOLED + SLOT, heads)
        self.noise = torch.nn.Linear(hidden_size, heads)
        facts = 3 + STATISTICS + POOLED + SLOT + heads
        self.refine = torch.nn.ModuleList(_small(facts, 1) for _ in range(encoding.refinements))
        self.steps = torch.nn.Parameter(torch.full((encoding.refinements,), STEP))
        self.refine_noise = torch.nn.ModuleList(_small(3 + POOLED + heads, 1) for _ in range(encoding.refinements))
        self.inject = torch.nn.Linear(heads * PER_HEAD, hidden_size)
        self.combine = torch.nn.Linear(hidden_size, 3 * heads + 1)
        with torch.no_grad():
            last = [small[2] for small in (self.infer, *self.refine, *self.refine_noise)]
            for layer in (*last, self.noise, self.combine):
                layer.weight.mul_(0.1)
                layer.bias.zero_()

    def solve(
        self,
        kinds: SlotKinds,
        position: torch.Tensor,
        active: torch.Tensor,
        score: torch.Tensor,
        failed: torch.Tensor,
        hidden: torch.Tensor,
        order: torch.Tensor | None = None,
    ) -> tuple[GPPosterior, torch.Tensor]:
        """Solve the heads' systems.

        Args:
            kinds: The slots' kinds.
            position: The trials' values in [0, 1], (B, n, S); S may be smaller than the encoding's number of slots.
            active: Which parameters they have, (B, n, S).
            score: Squashed scores, (B, n).
            failed: Which trials failed, (B, n), none of the histories as a whole; to the processes they are nothing.
            hidden: The backbone's states of the trials, (B, n, hidden size).
            order: In which the backbone had the columns, (B, S); as they are if ``None``.

        Returns:
            The systems, and the features of the trials' posteriors given the others, (B, n, H * PER_HEAD).
        """
        slots, heads = position.shape[2], len(self.encoding.heads)
        pooled = hidden.mean(1)
        shared = self.pool(pooled)
        slot = self.per_slot(pooled).view(len(position), -1, SLOT)[:, :slots]
        if order is not None:
            place = order.argsort(1).clamp(max=self.encoding.slots - 1)
            slot = slot.gather(1, place[..., None].expand(-1, -1, SLOT))
        statistics = _statistics(kinds, position, active, score, ~failed)
        known = torch.cat([statistics, shared[:, None].expand(-1, slots, -1), slot], -1)
        with torch.autocast(position.device.type, enabled=False):
            known, shared = known.float(), shared.float()
            dimensions = kinds.present.sum(1, dtype=torch.float32).clamp(min=1)[:, None, None]
            start = math.log(LENGTHSCALE) + 0.5 * dimensions.log()
            history = WarpedHistory.of(self.encoding, kinds, position, active, score, failed)
            part = history.part(LOOKED_AT)
            log_lengthscale = start + self.infer(known)
            log_noise = math.log(NOISE) + 2 * self.noise(pooled.float())
            for step, refine, refine_noise in zip(self.steps, self.refine, self.refine_noise, strict=True):
                with torch.no_grad():
                    slope, noise_slope = part.solve(log_lengthscale, log_noise).slopes(slots)
                each = torch.stack([slope, slope / 10], -1).asinh()
                there = (log_lengthscale - start)[..., None]
                facts = torch.cat([each, there, _each_head(known, heads)], -1)
                log_lengthscale = log_lengthscale + refine(facts).squeeze(-1) + step * (slope / 2).asinh()
                noise_facts = torch.stack([noise_slope.asinh(), (noise_slope / 10).asinh(), log_noise / 4], -1)
                noise_facts = torch.cat([noise_facts, _each_head(shared, heads)], -1)
                log_noise = log_noise + refine_noise(noise_facts).squeeze(-1) + step * (noise_slope / 2).asinh()
            solved = history.solve(log_lengthscale, log_noise)
            told = self._left_out(solved)
            if failed.is_cuda or failed.any():  # on a GPU asking costs more than it saves
                asked = solved.posterior(history.points)
                told = torch.where(failed[..., None], self.features(solved, *asked), told)
            return solved, told

    def posterior(
        self, solved: GPPosterior, kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and deviations of candidates' warped scores, noise included, (B, m, H) each."""
        with torch.autocast(position.device.type, enabled=False):
            return solved.posterior(coordinates(self.encoding, kinds, position, active))

    def _left_out(self, solved: GPPosterior) -> torch.Tensor:
        """Features of every trial's posterior given the others, (B, n, H * PER_HEAD)."""
        error, deviation, standardised, density = solved.left_out
        location, scale = solved.history.location, solved.history.scale
        mean = location + scale * (solved.history.warped - error)
        told = (mean, scale * deviation, standardised, density)
        mean, deviation, standardised, density = (t.transpose(1, 2).float() for t in told)
        return _features(self.encoding, mean, deviation, standardised, density, solved.evidence)

    def features(self, solved: GPPosterior, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
        """What the layers above learn of candidates' posteriors, (B, m, H * PER_HEAD)."""
        return _features(
            self.encoding, mean, deviation, torch.zeros_like(mean), torch.zeros_like(mean), solved.evidence
        )

    def mixture(
        self, hidden: torch.Tensor, logits: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor
    ) -> Prediction:
        """The final prediction from the backbone's last states of the candidates, (B, m, hidden size)."""
        heads = len(self.encoding.heads)
        weight, shift, stretch = self.combine(hidden).float().split([heads + 1, heads, heads], -1)
        return Prediction(
            logits.float(),
            torch.log_softmax(weight, -1),
            mean + deviation * shift,
            deviation * stretch.clamp(-2.5, 2.5).exp(),
        )


def _features(
    config: SurrogateConfig,
    mean: torch.Tensor,
    deviation: torch.Tensor,
    residual: torch.Tensor,
    density: torch.Tensor,
    evidence: torch.Tensor,
) -> torch.Tensor:
    """Posteriors as numbers a network can read, (B, m, H * PER_HEAD), from (B, m, H) each and the evidence (B, H)."""
    u = unwarp(config, mean).clamp(config.low, config.high)
    octaves = math.pi * 2.0 ** torch.arange(SCORE_WAVES, device=u.device) / config.high
    angle = u[..., None] * octaves
    log_deviation = deviation.clamp(min=1e-6).log()
    in_u = (log_deviation - log_slope(config, u)).clamp(-7, 3)
    parts = [u / 2, log_deviation / 2 + 1, in_u / 2, residual.clamp(-4, 4), density / 3]
    each = torch.cat([torch.stack(parts, -1), angle.sin(), angle.cos()], -1).flatten(-2)
    relative = evidence - evidence.mean(-1, keepdim=True)
    study = relative[:, None].expand(-1, mean.shape[1], -1)
    return torch.cat([each, study], -1)


def _small(width: int, out: int) -> torch.nn.Sequential:
    """A perceptron of one hidden layer."""
    return torch.nn.Sequential(torch.nn.Linear(width, 48), torch.nn.SiLU(), torch.nn.Linear(48, out))


def _each_head(facts: torch.Tensor, heads: int) -> torch.Tensor:
    """Repeat facts for every head and say which it is, (..., F) to (..., H, F + H)."""
    repeated = facts[..., None, :].expand(*facts.shape[:-1], heads, -1)
    which = torch.eye(heads, device=facts.device).expand(*facts.shape[:-1], -1, -1)
    return torch.cat([repeated, which], -1)


def _statistics(
    kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor, score: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor:
    """What hints at a parameter's lengthscale, of the trials that count (B, n): (B, S, STATISTICS).

    Squared correlation of the score with the value, correlation with its square, correlation of squared differences of
    the score with squared differences of the value over all pairs, presence, and whether it is a categorical.
    """
    weight = counted.to(score.dtype)
    x = torch.where(active & kinds.present[:, None], position - 0.5, 0.0)
    y = score - _mean(score[..., None], weight)[..., 0]
    y = y / _mean(y.square()[..., None], weight)[..., 0].sqrt().clamp(min=1e-3)
    linear = _correlation(x, y, weight)
    bowl = _correlation(x.square(), y, weight)
    apart = (y[:, :, None] - y[:, None]).square().flatten(1)
    pairs = (x[:, :, None] - x[:, None]).square()
    pairs = torch.where(kinds.categorical[:, None, None], (pairs > 1e-9).float(), pairs).flatten(1, 2)
    both = (weight[:, :, None] * weight[:, None]).flatten(1)
    variogram = _correlation(pairs, apart - _mean(apart[..., None], both)[..., 0], both)
    return torch.stack([linear.square(), bowl, variogram, kinds.present.float(), kinds.categorical.float()], -1)


@torch.no_grad()
def most_telling_first(
    kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor, score: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor:
    """The columns by what they tell of the scores, absent ones last, (B, S)."""
    telling = _statistics(kinds, position, active, score, counted)[..., :3]
    key = telling[..., 0] + telling[..., 1].square() + telling[..., 2].clamp(min=0)
    return torch.where(kinds.present, -key, torch.inf).argsort(dim=1, stable=True)


def _correlation(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Of the columns of (B, m, S) with the centred (B, m), the rows weighted by (B, m): (B, S)."""
    weighted = (x - _mean(x, weight)) * weight[..., None]
    norm = weighted.norm(dim=1) * (y * weight).norm(dim=1)[:, None]
    correlation: torch.Tensor = (weighted * y[..., None]).sum(1) / norm.clamp(min=1e-6)
    return correlation


def _mean(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Of (B, m, S) over the rows, weighted by (B, m): (B, 1, S)."""
    return (x * weight[..., None]).sum(1, keepdim=True) / weight.sum(1)[:, None, None]

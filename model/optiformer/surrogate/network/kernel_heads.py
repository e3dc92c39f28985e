"""Kernel heads: Gaussian processes inside the network, whose hyperparameters the network predicts.

A transformer of this size does not learn to solve linear systems, which is what exact regression on smooth functions
needs. After a few layers the network therefore predicts log lengthscales and log noise from the trials' states, applies
learned updates driven by the gradient of the log marginal likelihood, and conditions one GP per head
(:mod:`optiformer.surrogate.network.posterior`). The candidates' posteriors and the trials' leave-one-out posteriors are
added to the residual stream, and the output is a mixture of the bar distribution and the heads' normals. Everything is
trained end to end on the likelihood of the scores. :mod:`optiformer.surrogate.heads` is the NumPy version for
inference, which also fits the hyperparameters.
"""

from __future__ import annotations

import math

import torch

from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.features import SCORE_WAVES
from optiformer.surrogate.heads import LENGTHSCALE, MAX_REFINE_TRIALS, NOISE, POOLED, SLOT, STATISTICS
from optiformer.surrogate.network.features import SlotKinds
from optiformer.surrogate.network.posterior import GPPosterior, WarpedHistory, coordinates, log_slope, unwarp
from optiformer.surrogate.network.prediction import Prediction

#: Initial step size of the updates, which start as ``STEP * asinh(gradient / 2)``.
STEP = 0.15
#: Features of a head's posterior: mean in transformed scores and waves of it, two log deviations, residual, log
#: density, and the head's evidence.
PER_HEAD = 1 + 2 * SCORE_WAVES + 4 + 1


class KernelHeads(torch.nn.Module):
    """Learned parts of the kernel heads.

    Args:
        encoding: Settings of the encoding.
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
        """Predict the heads' hyperparameters and condition the heads on the successful trials.

        Args:
            kinds: Types of the slots.
            position: The trials' values in [0, 1], (B, n, S); S may be smaller than the encoding's number of slots.
            active: Which parameters they have, (B, n, S).
            score: Transformed scores, (B, n).
            failed: Which trials failed, (B, n), not all of a history.
            hidden: The backbone's states of the trials, (B, n, hidden size).
            order: Columns in the backbone's order, (B, S); ``None`` if unchanged.

        Returns:
            The posterior, and features of the trials' leave-one-out posteriors, (B, n, H * PER_HEAD).
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
            subset = history.subset(MAX_REFINE_TRIALS)
            log_lengthscale = start + self.infer(known)
            log_noise = math.log(NOISE) + 2 * self.noise(pooled.float())
            for step, refine, refine_noise in zip(self.steps, self.refine, self.refine_noise, strict=True):
                with torch.no_grad():
                    slope, noise_slope = subset.solve(log_lengthscale, log_noise).slopes(slots)
                each = torch.stack([slope, slope / 10], -1).asinh()
                there = (log_lengthscale - start)[..., None]
                facts = torch.cat([each, there, _each_head(known, heads)], -1)
                log_lengthscale = log_lengthscale + refine(facts).squeeze(-1) + step * (slope / 2).asinh()
                noise_facts = torch.stack([noise_slope.asinh(), (noise_slope / 10).asinh(), log_noise / 4], -1)
                noise_facts = torch.cat([noise_facts, _each_head(shared, heads)], -1)
                log_noise = log_noise + refine_noise(noise_facts).squeeze(-1) + step * (noise_slope / 2).asinh()
            gp = history.solve(log_lengthscale, log_noise)
            features = self._loo_features(gp)
            if failed.is_cuda or failed.any():  # on a GPU the check costs more than it saves
                failed_posterior = gp.predict(history.points)
                features = torch.where(failed[..., None], self.posterior_features(gp, *failed_posterior), features)
            return gp, features

    def posterior(
        self, gp: GPPosterior, kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and standard deviations of candidates' observed warped scores, (B, m, H) each."""
        with torch.autocast(position.device.type, enabled=False):
            return gp.predict(coordinates(self.encoding, kinds, position, active))

    def _loo_features(self, gp: GPPosterior) -> torch.Tensor:
        """Features of the trials' leave-one-out posteriors, (B, n, H * PER_HEAD)."""
        error, deviation, standardised, density = gp.loo
        location, scale = gp.history.location, gp.history.scale
        mean = location + scale * (gp.history.warped - error)
        features = (mean, scale * deviation, standardised, density)
        mean, deviation, standardised, density = (t.transpose(1, 2).float() for t in features)
        return _features(self.encoding, mean, deviation, standardised, density, gp.evidence)

    def posterior_features(self, gp: GPPosterior, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
        """Features of candidates' posteriors, (B, m, H * PER_HEAD)."""
        return _features(self.encoding, mean, deviation, torch.zeros_like(mean), torch.zeros_like(mean), gp.evidence)

    def mixture(
        self, hidden: torch.Tensor, logits: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor
    ) -> Prediction:
        """The predicted mixture from the backbone's last states of the candidates, (B, m, hidden size)."""
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
    """Features of posteriors, (B, m, H * PER_HEAD), from (B, m, H) each and the heads' evidence (B, H)."""
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
    """Repeat facts per head and append its one-hot code, (..., F) to (..., H, F + H)."""
    repeated = facts[..., None, :].expand(*facts.shape[:-1], heads, -1)
    which = torch.eye(heads, device=facts.device).expand(*facts.shape[:-1], -1, -1)
    return torch.cat([repeated, which], -1)


def _statistics(
    kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor, score: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor:
    """Statistics of the parameters over the trials that count, (B, S, STATISTICS).

    See :func:`optiformer.surrogate.heads.statistics`.
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
def by_relevance(
    kinds: SlotKinds, position: torch.Tensor, active: torch.Tensor, score: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor:
    """Columns by decreasing relevance to the score, absent ones last, (B, S)."""
    stats = _statistics(kinds, position, active, score, counted)[..., :3]
    key = stats[..., 0] + stats[..., 1].square() + stats[..., 2].clamp(min=0)
    return torch.where(kinds.present, -key, torch.inf).argsort(dim=1, stable=True)


def _correlation(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted correlations of the columns of (B, m, S) with centred (B, m), (B, S)."""
    weighted = (x - _mean(x, weight)) * weight[..., None]
    norm = weighted.norm(dim=1) * (y * weight).norm(dim=1)[:, None]
    correlation: torch.Tensor = (weighted * y[..., None]).sum(1) / norm.clamp(min=1e-6)
    return correlation


def _mean(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted means of the columns of (B, m, S), (B, 1, S)."""
    return (x * weight[..., None]).sum(1, keepdim=True) / weight.sum(1)[:, None, None]

"""Simulated histories of an optimizer, and candidates as its search generates them.

A model trained on uniform points only is worse than random search once it proposes its own points, since its training
lacks clusters around good and bad trials, boundary points, and candidates next to past trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.features import ScoreTransform, SlotKinds
from optiformer.surrogate.prior.mixture import ProblemBatch, sample_problems
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.prior.recorded import Rows, Surfaces, sample_rows

#: Context lengths with ``few_lengths``.
LENGTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 96, 112, 136, 160)
ROUNDS = 4
REFINEMENTS = 2


@dataclass(frozen=True, eq=False)
class Batch:
    """B histories of n trials with q candidates each.

    Attributes:
        kinds: Types of the slots.
        trials: Past trials in [0, 1], (B, n, S).
        trials_active: Which parameters they have, (B, n, S).
        scores: Their transformed scores, (B, n).
        failed: Which failed, (B, n) bool.
        queries: Candidates in [0, 1], (B, q, S).
        queries_active: Which parameters they have, (B, q, S).
        targets: Transformed scores of the candidates, (B, q).
    """

    kinds: SlotKinds
    trials: torch.Tensor
    trials_active: torch.Tensor
    scores: torch.Tensor
    failed: torch.Tensor
    queries: torch.Tensor
    queries_active: torch.Tensor
    targets: torch.Tensor

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All tensors, kinds first, each with B rows."""
        kinds = self.kinds.present, self.kinds.categorical, self.kinds.levels
        context = self.trials, self.trials_active, self.scores, self.failed
        return *kinds, *context, self.queries, self.queries_active, self.targets

    @classmethod
    def of(cls, tensors: Sequence[torch.Tensor]) -> Batch:
        """The inverse of :meth:`tensors`."""
        return cls(SlotKinds(*tensors[:3]), *tensors[3:])

    def split(self, parts: int, draw: RandomSource) -> list[Batch]:
        """Batches of equal size with shuffled rows."""
        order = torch.randperm(len(self.scores), generator=draw.generator, device=draw.device)
        size, tensors = len(order) // parts, self.tensors()
        rows = [order[part * size : (part + 1) * size] for part in range(parts)]
        return [Batch.of([tensor[chosen] for tensor in tensors]) for chosen in rows]


def context_length(draw: RandomSource, config: SurrogateConfig) -> int:
    """Length of a batch's histories, log-uniform or uniform (``short_share`` of :class:`SurrogateConfig`)."""
    if float(draw.uniform(1)) < config.short_share:
        n = round(float(draw.log_uniform(1, low=2, high=32)))
    else:
        n = int(draw.uniform(1, low=16, high=config.max_trials + 1))
    if not config.few_lengths:
        return n
    lengths = (*(length for length in LENGTHS if length < config.max_trials), config.max_trials)
    return min(lengths, key=lambda length: abs(math.log(length / n)))


def sample_batch(
    draw: RandomSource, config: SurrogateConfig, positions: int, *, times: int = 1, surfaces: Surfaces | None = None
) -> Batch:
    """Draw a batch of at most about ``positions`` trials and candidates, or ``times`` as many.

    If surfaces are given, the configured share of the rows, the last ones, come from them.
    """
    n, q = context_length(draw, config), config.queries
    count = max(4, positions // (n + q)) * times
    recorded = round(config.recorded.share * count) if surfaces is not None else 0
    parts = [_synthetic(draw, config, count - recorded, n, q)] if recorded < count else []
    if surfaces is not None and recorded:
        rows = sample_rows(draw, surfaces, recorded, n, q, noisy=config.prior.noisy / 2)
        lost = draw.log_uniform(recorded, 1, low=0.02, high=0.4) * draw.chance(recorded, 1, of=config.prior.lost)
        parts.append(as_batch(config, rows, draw.uniform(recorded, n) < lost))
    return Batch.of([torch.cat(tensors) for tensors in zip(*(part.tensors() for part in parts), strict=True)])


def _synthetic(draw: RandomSource, config: SurrogateConfig, count: int, n: int, q: int) -> Batch:
    problems = sample_problems(draw, config.prior, count, config.columns)
    space = problems.space
    trials, values = history(draw, problems, n)
    lost = draw.uniform(count, n) < problems.lost
    failed = problems.fails(trials) | lost
    observed = problems.observed(draw, values)
    candidates = queries(
        draw, problems, trials, _worst_where(failed & ~failed.all(1, keepdim=True), observed, observed), q
    )
    answers = problems.observed(draw, problems.function(candidates))
    context = trials, space.active(trials), observed, failed
    return as_batch(
        config,
        Rows(space.kinds, *context, candidates, space.active(candidates), answers, problems.fails(candidates)),
        lost,
    )


def as_batch(config: SurrogateConfig, rows: Rows, lost: torch.Tensor) -> Batch:
    """Transform the scores; lost trials (B, n) fail, too, unless all of a history would."""
    failed = rows.failed | lost
    failed = torch.where(failed.all(1, keepdim=True), rows.failed, failed)
    failed = failed & ~failed.all(1, keepdim=True)
    observed = _worst_where(failed, rows.observed, rows.observed)
    score_transform = ScoreTransform.of(observed, ~failed, config.knee)
    return Batch(
        rows.kinds,
        rows.trials,
        rows.trials_active,
        score_transform.apply(observed).clamp(max=config.high),
        failed,
        rows.queries,
        rows.queries_active,
        score_transform.apply(_worst_where(rows.fails, rows.answers, observed)),
    )


def _worst_where(failed: torch.Tensor, values: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    """Replace failures by the worst value among a history's successes (``among`` is finite)."""
    if values is among:
        worst = among.masked_fill(failed, -torch.inf).amax(1, keepdim=True)
    else:
        worst = among.amax(1, keepdim=True)
    return torch.where(failed, worst.expand_as(values), values)


def history(draw: RandomSource, problems: ProblemBatch, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (B, n, S) and noise-free values (B, n): a random start, then rounds of local and global proposals."""
    space, count = problems.space, len(problems.noise)
    start = (
        n if float(draw.uniform(1)) < 0.15 else min(n, max(1, round(n * float(draw.log_uniform(1, low=0.08, high=1)))))
    )
    trials = space.snap(draw.uniform(count, start, space.kinds.present.shape[1]))
    values = problems.function(trials)
    habit = _Habit.of(draw, count)
    while trials.shape[1] < n:
        size = min(n - trials.shape[1], math.ceil((n - start) / ROUNDS))
        added = habit.propose(draw, problems, trials, values, size)
        trials = torch.cat([trials, added], 1)
        values = torch.cat([values, problems.function(added)], 1)
    return trials, values


@dataclass(frozen=True, eq=False)
class _Habit:
    """Behaviour of one simulated optimizer per row: mix of proposals, step sizes, share of parameters changed."""

    shares: torch.Tensor
    elite: torch.Tensor
    low: torch.Tensor
    changed: torch.Tensor

    @classmethod
    def of(cls, draw: RandomSource, count: int) -> _Habit:
        # uniform, around an elite, between two elites, around any trial, at the boundary
        base = torch.tensor([0.25, 1.0, 0.5, 0.12, 0.1], device=draw.device)
        return cls(
            base * (0.8 * draw.normal(count, 5)).exp(),
            draw.log_uniform(count, 1, low=0.01, high=0.35),
            draw.log_uniform(count, 1, low=0.003, high=0.15),
            draw.uniform(count, 1, low=0.2, high=1.0),
        )

    def propose(
        self, draw: RandomSource, problems: ProblemBatch, trials: torch.Tensor, values: torch.Tensor, size: int
    ) -> torch.Tensor:
        count, n, slots = trials.shape
        kind = torch.multinomial(self.shares, size, replacement=True, generator=draw.generator)[..., None]
        fresh = draw.uniform(count, size, slots)
        order = values.argsort(1)
        rank = (draw.uniform(count, 2 * size) * (self.elite * n).ceil()).long().clamp(max=n - 1)
        first, second = pick(trials, order.gather(1, rank)).chunk(2, 1)
        anyone = pick(trials, draw.integer(count, size, below=n))
        between = torch.where(draw.chance(count, size, slots, of=0.5), first, second)
        centre = torch.where(kind == 1, first, torch.where(kind == 2, between, anyone))
        scale = self.low[..., None] * (draw.uniform(count, size, 1) * math.log(20)).exp()
        near = perturb(draw, problems, centre, scale, self.changed[..., None])
        boundary_points = torch.where(draw.chance(count, size, slots, of=0.4), fresh.round(), fresh)
        return problems.space.snap(torch.where(kind == 0, fresh, torch.where(kind == 4, boundary_points, near)))


def pick(trials: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows of (B, n, S) by (B, m) indices."""
    return trials.gather(1, index[..., None].expand(-1, -1, trials.shape[2]))


def perturb(
    draw: RandomSource, problems: ProblemBatch, centre: torch.Tensor, scale: torch.Tensor, changed: torch.Tensor
) -> torch.Tensor:
    """Gaussian steps of ``scale`` in a fraction ``changed`` of the parameters, categories resampled, not snapped."""
    kinds = problems.space.kinds
    count, m, slots = centre.shape
    moves = draw.uniform(count, m, slots) < changed
    width = torch.where(kinds.levels > 0, 1 / kinds.levels.clamp(min=1), 0.0)[:, None]
    step = torch.maximum(scale, 0.8 * width) * draw.normal(count, m, slots)
    moved = (centre + step).clamp(0, 1)
    redrawn = draw.chance(count, m, slots, of=0.35)
    moved = torch.where(kinds.categorical[:, None], torch.where(redrawn, draw.uniform(count, m, slots), centre), moved)
    return torch.where(moves, moved, centre)


def queries(
    draw: RandomSource, problems: ProblemBatch, trials: torch.Tensor, observed: torch.Tensor, q: int
) -> torch.Tensor:
    """Candidates (B, q, S): uniform, near trials, near and between elites, near the hidden optimum, at the boundary."""
    count, n, slots = trials.shape
    shares = torch.tensor([0.26, 0.12, 0.27, 0.1, 0.2, 0.05], device=draw.device).expand(count, -1)
    kind = torch.multinomial(shares, q, replacement=True, generator=draw.generator)[..., None]
    order = observed.argsort(1)
    rank = (draw.uniform(count, 2 * q).square() * max(1, math.ceil(0.25 * n))).long().clamp(max=n - 1)
    elite, mate = pick(trials, order.gather(1, rank)).chunk(2, 1)
    anyone = pick(trials, draw.integer(count, q, below=n))
    fresh = draw.uniform(count, q, slots)
    between = torch.where(draw.chance(count, q, slots, of=0.5), elite, mate)
    best = hidden_optimum(draw, problems, trials).expand(-1, q, -1)
    centre = torch.where(kind == 1, anyone, torch.where(kind == 2, elite, torch.where(kind == 3, between, best)))
    scale = draw.log_uniform(count, q, 1, low=0.003, high=0.4)
    near = perturb(draw, problems, centre, scale, draw.uniform(count, q, 1, low=0.15, high=1.0))
    boundary_points = torch.where(draw.chance(count, q, slots, of=0.4), fresh.round(), fresh)
    return problems.space.snap(torch.where(kind == 0, fresh, torch.where(kind == 5, boundary_points, near)))


def hidden_optimum(draw: RandomSource, problems: ProblemBatch, trials: torch.Tensor) -> torch.Tensor:
    """Approximate minimizer of each function, (B, 1, S), which need not be in the history."""
    pool = torch.cat([problems.probes, trials], 1)
    values = torch.cat([problems.values, problems.function(trials)], 1)
    top = values.topk(min(3, values.shape[1]), dim=1, largest=False)
    best, value = pick(pool, top.indices), top.values
    one = torch.ones(1, 1, 1, device=draw.device)
    for scale in (0.12, 0.03)[:REFINEMENTS]:
        tried = problems.space.snap(
            perturb(draw, problems, best.repeat_interleave(8, 1), scale * one, draw.uniform(1, 1, 1, low=0.3, high=0.9))
        )
        pool, values = torch.cat([best, tried], 1), torch.cat([value, problems.function(tried)], 1)
        top = values.topk(min(3, values.shape[1]), dim=1, largest=False)
        best, value = pick(pool, top.indices), top.values
    return best[:, :1]

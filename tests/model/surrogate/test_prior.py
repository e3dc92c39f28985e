"""The surrogate's prior: seeded, shaped as search spaces are, and free of the evaluation functions."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.evaluation_functions import EVALUATION_FUNCTIONS, best_shifted_fit

from optiformer.errors import ModelError
from optiformer.sequence.prior.audit import is_separable_bowl
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.surrogate.prior.histories import LENGTHS, Batch, context_length, history, sample_batch
from optiformer.surrogate.prior.mixture import FAMILIES, ProblemBatch, sample_problems
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.prior.spaces import SpaceBatch, sample_spaces
from optiformer.training.config import RunConfig, TrainConfig
from optiformer.training.surrogate import SurrogateEncoding

CONFIG = SurrogateConfig()


@pytest.fixture(scope="module")
def spaces() -> SpaceBatch:
    return sample_spaces(RandomSource(1), CONFIG.prior, 400, CONFIG.slots)


@pytest.fixture(scope="module")
def problems() -> ProblemBatch:
    return sample_problems(RandomSource(2), CONFIG.prior, 200, CONFIG.slots)


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return [sample_batch(RandomSource(seed), CONFIG, 3000) for seed in range(12)]


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {f.name: getattr(batch, f.name) for f in fields(batch) if f.name != "kinds"}


def test_a_seed_determines_a_batch_and_nothing_else_does() -> None:
    torch.manual_seed(1)
    first = sample_batch(RandomSource(7), CONFIG, 1000)
    torch.manual_seed(2)
    second = sample_batch(RandomSource(7), CONFIG, 1000)
    assert all(torch.equal(tensors(first)[name], tensor) for name, tensor in tensors(second).items())
    other = sample_batch(RandomSource(8), CONFIG, 1000)
    assert other.trials.shape != first.trials.shape or not torch.equal(other.trials, first.trials)


def test_drawing_leaves_the_global_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    sample_batch(RandomSource(7), CONFIG, 1000)
    assert torch.equal(before, torch.get_rng_state())


def test_steps_plateaus_and_lost_trials() -> None:
    """Steps make scores repeat, plateaus have the worst value, and lost trials fail anywhere."""
    plain = sample_problems(RandomSource(3), CONFIG.prior, 200, CONFIG.slots)
    assert (plain.step == 0).all()
    assert (plain.lost == 0).all()
    prior = replace(CONFIG.prior, noisy=0.0, crashes=0.0, lost=1.0, plateaus=1.0, stepped=1.0)
    problems = sample_problems(RandomSource(3), prior, 200, CONFIG.slots)
    worst = problems.values.max(1, keepdim=True).values
    at_worst = (problems.values > worst - 1e-5).float().mean(1)
    assert ((at_worst > 0.2).float().mean()) > 0.95
    seen = problems.observed(RandomSource(4), problems.values)
    torch.testing.assert_close((seen / problems.step).round() * problems.step, seen)
    config = replace(CONFIG, prior=prior)
    failed = torch.cat([sample_batch(RandomSource(seed), config, 3000).failed.float().mean(1) for seed in range(8)])
    assert 0.05 < failed.mean() < 0.25


def test_few_lengths_are_listed_and_keep_the_mean() -> None:
    few = replace(CONFIG, few_lengths=True)
    lengths = torch.tensor([[context_length(RandomSource(seed), c) for seed in range(300)] for c in (CONFIG, few)])
    assert set(lengths[1].tolist()) == {*(n for n in LENGTHS if n < CONFIG.max_trials), CONFIG.max_trials}
    assert lengths[1].float().mean() == pytest.approx(float(lengths[0].float().mean()), rel=0.1)


def test_batches_drawn_together_partition_one_batch(tmp_path: Path) -> None:
    train = TrainConfig(draw_ahead=3, batch_tokens=600, seed=2024)
    encoding = SurrogateEncoding(RunConfig("ahead", encoding="surrogate", surrogate=CONFIG, train=train), tmp_path)
    stream = encoding.batches("train", None)
    parts = [encoding._draw(next(stream)[0], "cpu") for _ in range(6)]
    assert len({part.trials.shape for part in parts[:3]}) == 1
    rows = torch.cat([part.trials.flatten(1) for part in parts[:3]])
    assert len(rows.unique(dim=0)) == len(rows)
    resumed = SurrogateEncoding(encoding.run, tmp_path)
    seed, _ = next(resumed.batches("train", {"batch": 4}))
    assert torch.equal(resumed._draw(seed, "cpu").trials, parts[4].trials)
    assert not encoding._held_out  # training batches are not cached, whatever the seed


def test_spaces_have_every_kind_and_1_to_20_parameters(spaces: SpaceBatch) -> None:
    sizes = spaces.kinds.present.sum(1)
    assert sizes.min() == 1
    assert sizes.max() == 20
    discrete = (spaces.kinds.levels > 0).sum(1)
    assert (discrete == 0).float().mean() > 0.3
    assert (discrete == sizes).float().mean() > 0.05
    assert (spaces.kinds.categorical.sum(1) == sizes).any()
    assert 0.1 < spaces.child.any(1).float().mean() < 0.4
    assert spaces.grandchild.any()
    assert (spaces.relevant & ~spaces.kinds.present).sum() == 0
    assert spaces.relevant.any(1).all()


def test_snapping_is_idempotent_and_lands_on_cell_centres(spaces: SpaceBatch) -> None:
    snapped = spaces.snap(torch.rand(400, 30, CONFIG.slots))
    torch.testing.assert_close(spaces.snap(snapped), snapped)
    cells = snapped * spaces.kinds.levels[:, None] - 0.5
    on_grid = (spaces.kinds.levels[:, None] > 0) & spaces.kinds.present[:, None]
    torch.testing.assert_close(
        torch.where(on_grid, cells, 0.0), torch.where(on_grid, cells.round(), 0.0), atol=1e-4, rtol=0
    )


def test_children_follow_their_parents(spaces: SpaceBatch) -> None:
    snapped = spaces.snap(torch.rand(400, 60, CONFIG.slots))
    active = spaces.active(snapped)
    root = ~spaces.child & spaces.kinds.present
    assert active[root[:, None].expand_as(active)].all()
    for row in spaces.child.any(1).nonzero().flatten()[:40].tolist():
        index = (snapped[row, :, spaces.parent[row]] * spaces.kinds.levels[row, spaces.parent[row]]).long()
        for slot in (spaces.child[row] & ~spaces.grandchild[row]).nonzero().flatten().tolist():
            assert torch.equal(active[row, :, slot], spaces.shown_at[row, slot][index])


def test_inactive_and_irrelevant_parameters_have_no_effect(problems: ProblemBatch) -> None:
    space = problems.space
    x = space.snap(torch.rand(200, 40, CONFIG.slots))
    active = space.active(x)
    idle = ~active | ~space.relevant[:, None]
    parents = torch.zeros_like(space.relevant).scatter(1, space.parent[:, None], True)
    parents.scatter_(1, space.second[:, None], True)
    moved = torch.where(idle & ~parents[:, None], space.snap(torch.rand(200, 40, CONFIG.slots)), x)
    assert not torch.equal(moved, x)
    torch.testing.assert_close(problems.function(moved), problems.function(x), atol=1e-4, rtol=1e-4)


def test_functions_are_finite_standardised_and_none_is_constant(problems: ProblemBatch) -> None:
    values = problems.values
    assert values.isfinite().all()
    assert values.mean(1).abs().max() < 1e-3
    assert ((values.std(1) - 1).abs() < 1e-2).float().mean() > 0.95  # a grid of two values may be flat


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_varies_with_its_parameters_alone(family: str) -> None:
    relevant = torch.zeros(20, 5, dtype=torch.bool)
    relevant[:, [0, 3]] = True
    function = FAMILIES[family](RandomSource(3), relevant)
    z = torch.rand(20, 50, 5)
    y = function(z)
    assert y.shape == (20, 50)
    assert y.isfinite().all()
    assert (y.std(1) > 1e-4).all()
    other = z.clone()
    other[..., [1, 2, 4]] = torch.rand(20, 50, 3)
    torch.testing.assert_close(function(other), y, atol=1e-5, rtol=1e-5)


def test_batches_are_like_histories_of_an_optimizer(batches: list[Batch]) -> None:
    lengths = {batch.scores.shape[1] for batch in batches}
    assert min(lengths) < 16 < max(lengths)
    for batch in batches:
        assert all(tensor.isfinite().all() for tensor in tensors(batch).values())
        assert ((batch.trials >= 0) & (batch.trials <= 1)).all()
        assert (batch.scores.min(1).values == 0).all()  # the best trial is 0 on its own scale
    better = torch.cat([(batch.targets < 0).float().flatten() for batch in batches]).mean()
    assert 0.05 < better < 0.6
    assert any(batch.failed.any() for batch in batches)


def test_histories_are_better_than_random_ones_of_the_same_length(problems: ProblemBatch) -> None:
    gains = []
    for seed in range(6):
        draw = RandomSource(seed)
        trials, values = history(draw, problems, 60)
        random = problems.function(problems.space.snap(draw.uniform(*trials.shape)))
        gains.append((random.min(1).values - values.min(1).values).mean())
    assert float(torch.stack(gains).mean()) > 0.05


def test_no_function_of_the_prior_is_an_evaluation_function_or_a_shifted_copy() -> None:
    continuous = FunctionPriorConfig(dimensions=(2, 3), conditional=0.0, unused=0.0)
    problems = sample_problems(RandomSource(11), continuous, 60, 3)
    checked = 0
    for row in range(60):
        d = int(problems.space.kinds.present[row].sum())
        if (problems.space.kinds.levels[row] > 0).any():
            continue
        checked += 1

        def function(x: np.ndarray, row: int = row, d: int = d) -> np.ndarray:
            position = torch.zeros(60, len(x), 3)
            position[row, :, :d] = torch.from_numpy(x).float()
            return problems.function(position)[row].double().numpy()

        assert not is_separable_bowl(function, d)
        if checked <= 6:
            for name in EVALUATION_FUNCTIONS:
                if name != "branin" or d == 2:
                    assert best_shifted_fit(function, d, name, n_shifts=8) < 0.99
    assert checked > 15


def test_invalid_settings_are_refused() -> None:
    with pytest.raises(ModelError, match="sum to 1"):
        FunctionPriorConfig(gp=0.9)
    with pytest.raises(ModelError, match="20 dimensions, which is more than the 4 slots"):
        SurrogateConfig(slots=4)

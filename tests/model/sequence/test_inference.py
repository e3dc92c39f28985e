"""Masks, sampling and the policy on every kind of space."""

from __future__ import annotations

from pathlib import Path

import ConfigSpace as cs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from optiformer.errors import ModelError
from optiformer.sequence.config import SamplingConfig
from optiformer.sequence.network import Checkpoint, load
from optiformer.sequence.policy import Policy, choose, select_context, token_probabilities
from optiformer.space.parameter import Parameter
from optiformer.space.space import Space
from optiformer.space.trial import Trial


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load(tiny_checkpoint)


def space() -> cs.ConfigurationSpace:
    made = cs.ConfigurationSpace(seed=1)
    made.add(
        cs.CategoricalHyperparameter("booster", ["tree", "linear", "dart"]),
        cs.Float("eta", (1e-4, 1.0), log=True),
        cs.Integer("depth", (1, 15)),
        cs.Integer("rounds", (3, 2000), log=True),
        cs.OrdinalHyperparameter("batch", [32, 64, 128]),
        cs.CategoricalHyperparameter("many", [f"v{i}" for i in range(50)]),
        cs.Constant("fixed", "yes"),
        cs.Float("rate", (0.0, 1.0)),
    )
    made.add(cs.InCondition(made["depth"], made["booster"], ["tree", "dart"]))
    made.add(cs.EqualsCondition(made["rate"], made["booster"], "dart"))
    return made


def history(n: int, seed: int = 0) -> list[Trial]:
    configs = space().sample_configuration(n)
    values = np.random.default_rng(seed).normal(size=n)
    return [
        Trial(dict(c), None if i % 6 == 5 else float(v)) for i, (c, v) in enumerate(zip(configs, values, strict=True))
    ]


@pytest.mark.parametrize("n_trials", [0, 3, 10, 80])
def test_every_proposal_is_valid_in_the_space(checkpoint: Checkpoint, n_trials: int) -> None:
    configspace = space()
    policy = Policy(Space.from_configspace(configspace), checkpoint)
    proposals = policy.suggest(history(n_trials), 40, rng=np.random.default_rng(0))
    assert len(proposals) == 40
    for proposal in proposals:
        cs.Configuration(configspace, values=proposal).check_valid_configuration()
    assert len({p["booster"] for p in proposals}) == 3


def test_proposals_are_reproducible_and_distinct(checkpoint: Checkpoint) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint)
    first, second = (policy.suggest(history(20), 8, rng=np.random.default_rng(3)) for _ in range(2))
    assert first == second
    assert len({tuple(sorted(map(str, p.items()))) for p in first}) == 8


def test_a_small_grid_is_searched_without_repeats_until_it_is_exhausted(checkpoint: Checkpoint) -> None:
    grid = Space((Parameter("a", "int", 0, 3), Parameter("b", "ordinal", choices=(1, 2))))
    policy = Policy(grid, checkpoint, sampling=SamplingConfig(n_startup=1))
    rng = np.random.default_rng(0)
    trials: list[Trial] = []
    for _ in range(6):
        config = policy.suggest(trials, rng=rng)[0]
        trials.append(Trial(config, float(config["a"])))
    assert len({tuple(t.config.values()) for t in trials}) == 6
    everything = [Trial({"a": a, "b": b}, 1.0) for a in range(4) for b in (1, 2)]
    assert len(policy.suggest(everything, 3, rng=rng)) == 3


def test_the_order_of_the_history_does_not_matter(checkpoint: Checkpoint) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint)
    trials = [t for t in history(30) if t.value is not None]
    first = policy.suggest(trials, rng=np.random.default_rng(1))
    assert policy.suggest(trials[::-1], rng=np.random.default_rng(1)) == first


@pytest.mark.parametrize("failures", [0, 2])
def test_pending_configurations_are_shown_as_trials_with_the_median_value(
    checkpoint: Checkpoint, failures: int
) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint)
    configs = [t.config for t in history(13)]
    trials = [Trial(config, float(i)) for i, config in enumerate(configs[:9])]
    trials += [Trial(config, None) for config in configs[9 : 9 + failures]]
    out = configs[11:]
    expected = policy._encode([*trials, *(Trial(config, 4.0) for config in out)])
    assert torch.equal(policy._encode(trials, out), expected)
    assert not torch.equal(policy._encode(trials, out[:1]), expected)
    alone, beside = (policy.suggest(trials, rng=np.random.default_rng(1), pending=p) for p in ([], out))
    assert alone != beside


def test_pending_configurations_take_no_more_than_half_of_what_is_shown(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint, sampling=SamplingConfig(context_trials=8))
    trials, out = history(30), [t.config for t in history(6, seed=1)]
    shown: list[Trial] = []
    encode = policy.tokenizer.encode_history
    monkeypatch.setattr(
        policy.tokenizer, "encode_history", lambda found, scale: [shown.extend(found), encode(found, scale)][1]
    )
    policy._encode(trials, out)
    assert len(shown) == 8
    assert [t.config for t in shown if t not in trials] == out[:1:-1]
    assert min(t.value for t in trials if t.value is not None) == shown[-1].value


def test_values_count_only_up_to_scale_and_offset(checkpoint: Checkpoint) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint)
    trials = history(30)
    moved = [Trial(t.config, None if t.value is None else 1024 * t.value - 64) for t in trials]
    first, second = (policy.suggest(h, rng=np.random.default_rng(1)) for h in (trials, moved))
    assert first == second


def test_parameters_beyond_the_vocabularys_names_are_drawn_uniformly(checkpoint: Checkpoint) -> None:
    wide = Space(tuple(Parameter(f"p{i}", "float") for i in range(40)))
    policy = Policy(wide, checkpoint)
    rng = np.random.default_rng(0)
    trials = [Trial(policy.uniform(rng), float(rng.random())) for _ in range(12)]
    proposal = policy.suggest(trials, rng=rng)[0]
    assert len(proposal) == 40


def test_greedy_sampling_needs_no_randomness(checkpoint: Checkpoint) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint, sampling=SamplingConfig(temperature=0))
    first, second = (policy.suggest(history(20), rng=np.random.default_rng(seed)) for seed in (0, 1))
    assert first == second


logits = st.lists(st.floats(-20, 20), min_size=2, max_size=30)


@given(logits, st.floats(0.1, 3), st.integers(0, 10), st.floats(0.05, 1))
def test_top_k_and_top_p_keep_the_likeliest_tokens(row: list[float], temperature: float, k: int, p: float) -> None:
    sampling = SamplingConfig(temperature=temperature, top_k=k, top_p=p)
    array = np.array([row])
    full = token_probabilities(array, SamplingConfig(temperature=temperature))[0]
    cut = token_probabilities(array, sampling)[0]
    kept = cut > 0
    assert cut.sum() == pytest.approx(1)
    assert kept.sum() >= 1
    assert not k or kept.sum() <= k
    assert full[kept].min() >= full[~kept].max(initial=0.0) - 1e-12
    if not k:
        assert full[kept].sum() >= p - 1e-9
        assert full[kept].sum() - full[kept].min() < p + 1e-9


def test_sampling_follows_the_probabilities() -> None:
    row = np.log(np.array([[0.5, 0.3, 0.2]]))
    drawn = choose(np.repeat(row, 3000, axis=0), SamplingConfig(), np.random.default_rng(0).random(3000))
    assert np.allclose(np.bincount(drawn, minlength=3) / 3000, [0.5, 0.3, 0.2], atol=0.03)
    cold = choose(np.repeat(row, 3000, axis=0), SamplingConfig(temperature=0.25), np.random.default_rng(0).random(3000))
    assert (cold == 0).mean() > 0.8


def test_exploration_mixes_in_uniform_probability() -> None:
    row = np.array([[9.0, 0.0, -3.0, 1.0]])
    mixed = token_probabilities(row, SamplingConfig(top_k=1), 0.2)[0]
    assert mixed == pytest.approx([0.85, 0.05, 0.05, 0.05])
    greedy = token_probabilities(np.array([[1.0, 2.0, 2.0]]), SamplingConfig(temperature=0), 0.3)[0]
    assert greedy == pytest.approx([0.1, 0.8, 0.1])


def test_exploration_draws_that_many_parameters_uniformly(checkpoint: Checkpoint) -> None:
    wide = Space(tuple(Parameter(f"p{i}", "float") for i in range(8)))
    rng = np.random.default_rng(0)
    trials = [Trial({f"p{i}": 0.5 for i in range(8)}, float(v)) for v in range(6)]
    policy = Policy(wide, checkpoint, sampling=SamplingConfig(temperature=0, exploration=0.4))
    cache = policy.decoder.empty()
    policy.decoder.advance(policy._encode(trials), cache)
    drawn = [config["p0"] for config in policy._sample(800, cache, rng, 1.0)[0]]
    first = [value != max(set(drawn), key=drawn.count) for value in drawn]
    assert np.mean(first) == pytest.approx(0.4 / 8, abs=0.03)


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=60), st.integers(2, 30))
def test_the_context_is_sorted_short_and_ends_with_the_best(values: list[float | None], limit: int) -> None:
    array = np.array([np.nan if v is None else v for v in values])
    rows = select_context(array, limit)
    shown = array[rows]
    good = shown[~np.isnan(shown)]
    assert len(rows) <= limit
    assert len(set(rows)) == len(rows)
    assert (np.diff(good) <= 0).all()
    assert np.isnan(shown[: len(shown) - len(good)]).all()
    if not np.isnan(array).all():
        assert good[-1] == np.nanmin(array)


def test_reranking_takes_the_sample_with_the_largest_expected_improvement(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint, rerank=6)
    drawn: list[list[dict[str, object]]] = []
    sample = policy._sample

    def watched(*args: object) -> tuple[list[dict[str, object]], NDArray[np.float64]]:
        configs, _ = sample(*args)  # type: ignore[arg-type]
        drawn.append(configs)
        return configs, np.arange(len(configs), dtype=float)

    monkeypatch.setattr(policy, "_sample", watched)
    proposals = policy.suggest(history(8), 2, rng=np.random.default_rng(0))
    assert proposals == [drawn[0][5], drawn[0][11]]


def test_expected_improvement_is_that_of_the_predicted_score(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(Space.from_configspace(space()), checkpoint, rerank=6)
    certain = torch.full((2, policy.tokenizer.vocabulary.n_bins), -100.0)
    certain[0, 0] = certain[1, certain.shape[1] // 2] = 100.0  # at the target, and far beyond the best one
    monkeypatch.setattr(policy.decoder, "logits", lambda hidden, tokens: certain)
    margin = policy.sampling.margin
    found = policy._expected_improvement(torch.zeros(2, 1))
    assert found[0] == pytest.approx(margin / (1 + margin), abs=0.01)
    assert found[1] == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ModelError, match="rerank counts samples"):
        Policy(Space.from_configspace(space()), checkpoint, rerank=-1)

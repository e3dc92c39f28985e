"""Variants of the surrogate's attention, norm and feed-forward part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from optibench_benchmarks.training.attention.network import shipped
from optibench_optimizers import OptimizerError
from optibench_optimizers.adapters.optiformer import OptiFormer
from optiformer.errors import ModelError
from optiformer.network_config import NetworkConfig
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays, default_checkpoint, load
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig, VariantConfig
from optiformer.surrogate.network.attention import MIXES
from optiformer.surrogate.network.layers import hide
from optiformer.surrogate.network.network import SurrogateNetwork, attention_mask, build
from optiformer.surrogate.prior.histories import Batch, sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.surrogate import NetworkSurrogate
from optiformer.training.config import RunConfig, TrainConfig
from optiformer.training.loop import parameter_groups, train
from optiformer.training.schedules import learning_rate, momentum

ENCODING = SurrogateConfig(
    slots=6, bins=32, queries=8, max_trials=16, kernels_after=1, prior=FunctionPriorConfig(dimensions=(1, 2, 3, 6))
)
Doubles = Callable[[SurrogateNetwork, Batch], tuple[SurrogateNetwork, Batch]]
NETWORK = NetworkConfig(64, 2, 2, 160, tie_query_key=True)
VARIANTS = {
    **{name: VariantConfig(attention=name) for name in MIXES if name != "softmax"},
    "layernorm": VariantConfig(norm="layernorm"),
    "gelu": VariantConfig(feed_forward="gelu"),
    "all": VariantConfig("matrix-mixer-low-rank", "layernorm", "gelu", 0.1, 0.1),
}


def network(variant: VariantConfig) -> SurrogateNetwork:
    found = build(replace(ENCODING, variant=variant), NETWORK, seed=1)
    assert found.kernels is not None
    torch.nn.init.normal_(found.kernels.combine.weight, std=0.3, generator=torch.Generator().manual_seed(2))
    return found.eval()


@pytest.fixture(scope="module", params=VARIANTS)
def varied(request: pytest.FixtureRequest) -> SurrogateNetwork:
    return network(VARIANTS[request.param])


@pytest.fixture(scope="module")
def batch() -> Batch:
    return sample_batch(RandomSource(5), ENCODING, 200)


def predict(network: SurrogateNetwork, batch: Batch) -> torch.Tensor:
    observed = batch.trials, batch.trials_active, batch.scores, batch.failed
    return network(batch.kinds, *observed, batch.queries, batch.queries_active).log_mass(ENCODING).exp()


@torch.no_grad()
def test_every_variant_predicts_otherwise_than_the_shipped_network(varied: SurrogateNetwork, batch: Batch) -> None:
    assert (predict(varied, batch) - predict(network(VariantConfig()), batch)).abs().max() > 1e-4


@torch.no_grad()
def test_the_layers_of_variants_are_llamas_where_nothing_differs(batch: Batch) -> None:
    dropout = network(VariantConfig(dropout=0.5))
    plain = network(VariantConfig())
    torch.testing.assert_close(predict(dropout, batch), predict(plain, batch), atol=1e-5, rtol=0)
    assert sorted(dropout.state_dict()) == sorted(plain.state_dict())


def test_networks_of_one_seed_start_with_the_same_weights_and_have_as_many(varied: SurrogateNetwork) -> None:
    plain, found = network(VariantConfig()).state_dict(), varied.state_dict()
    same = [name for name in plain if name in found and plain[name].shape == found[name].shape]
    assert len(same) > 0.8 * len(plain)
    assert all(torch.equal(plain[name], found[name]) for name in same)
    sizes = [sum(weights.numel() for weights in each.values()) for each in (plain, found)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)


# --- the attentions

CAUSAL = {
    "softmax": ("coefficient-dynamics", "standard"),
    "test-time-regression-linear": ("test-time-regression", "standard"),
    "test-time-regression-local": ("test-time-regression", "evolvable"),
    "matrix-mixer-low-rank": ("matrix-mixer", "evolvable"),
}


def heads(n: int, q: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values = torch.randn(3, 2, 3, n + q, 8, generator=generator)
    return queries, keys, values


@pytest.mark.parametrize("name", CAUSAL)
def test_a_candidate_gets_what_the_language_models_last_token_gets(name: str) -> None:
    n, candidates = 9, 4
    q, k, v = heads(n, candidates)
    found = MIXES[name](q, k, v, n, attention_mask(n, candidates))
    causal = shipped(*CAUSAL[name])
    for place in range(n, n + candidates):
        seen = [*range(n), place]
        expected = causal(q[:, :, seen], k[:, :, seen], v[:, :, seen])[:, :, -1]
        torch.testing.assert_close(found[:, :, place], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_trial_gets_what_the_last_token_of_all_trials_gets(name: str) -> None:
    n = 9
    q, k, v = heads(n, 2)
    found = MIXES[name](q, k, v, n, attention_mask(n, 2))
    causal = shipped(*CAUSAL[name])
    for place in range(n):
        seen = [*(other for other in range(n) if other != place), place]
        expected = causal(q[:, :, seen], k[:, :, seen], v[:, :, seen])[:, :, -1]
        torch.testing.assert_close(found[:, :, place], expected, atol=1e-5, rtol=1e-4)


def test_the_softplus_readout_is_its_definition() -> None:
    n, candidates = 5, 2
    q, k, v = heads(n, candidates)
    found = MIXES["coefficient-dynamics-softplus"](q, k, v, n, attention_mask(n, candidates))
    weights = torch.nn.functional.softplus(q @ k.transpose(-2, -1) / 8**0.5) * (attention_mask(n, candidates) == 0)
    torch.testing.assert_close(found, weights / weights.sum(-1, keepdim=True) @ v)


@pytest.mark.parametrize("name", MIXES)
def test_attentions_are_finite_in_bf16_with_large_queries(name: str) -> None:
    q, k, v = (each.bfloat16() for each in heads(7, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = MIXES[name](50 * q, -50 * k.abs(), v, 7, attention_mask(7, 3))
    assert found.dtype == torch.bfloat16
    assert found.isfinite().all()


# --- masking, schedules, weight decay


def test_hidden_values_are_the_trials_own_and_hidden_in_training_only(batch: Batch) -> None:
    features = torch.rand(2, 50, 6 * 4 + 3) + 1
    torch.manual_seed(0)
    hidden = hide(features, 6, 4, 0.3)
    values = hidden[..., :24].unflatten(-1, (6, 4))
    gone = (values == 0).all(-1)
    assert torch.equal(gone, (values == 0).any(-1))
    assert 0.25 < gone.float().mean() < 0.35
    assert torch.equal(hidden[..., 24:], features[..., 24:])
    assert torch.equal(hidden[..., :24].unflatten(-1, (6, 4))[~gone], features[..., :24].unflatten(-1, (6, 4))[~gone])
    found, plain = network(VariantConfig(masking=0.3)), network(VariantConfig())
    with torch.no_grad():
        assert torch.equal(predict(found, batch), predict(plain, batch))
        assert not torch.equal(predict(found.train(), batch), predict(plain.train(), batch))


def test_one_cycle_is_torchs() -> None:
    steps = 40
    config = TrainConfig(steps=steps, schedule="onecycle", warmup=0.3, learning_rate=0.01)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps + 1, pct_start=13 / (steps + 1))
    for step in range(steps + 1):
        if step != 0:
            optimizer.step()
            cycle.step()
        group = optimizer.param_groups[0]
        done = step / steps
        assert learning_rate(config, done) == pytest.approx(group["lr"], rel=1e-6, abs=1e-12)
        assert momentum(config, done) == pytest.approx(group["betas"][0], rel=1e-6)


def test_without_groups_everything_decays() -> None:
    plain = network(VariantConfig())
    for groups, expected in ((True, {0.1, 0.0}), (False, {0.1})):
        found = parameter_groups(plain, TrainConfig(decay_groups=groups, weight_decay=0.1))
        assert {group["weight_decay"] for group in found} == expected
        assert sum(len(group["params"]) for group in found) == len(list(plain.parameters()))


# --- what a variant is allowed to be


def test_a_variant_has_a_hash_of_its_own_and_no_variant_the_old_one() -> None:
    run = RunConfig.load("optiformer")
    assert load(default_checkpoint()).info["run_digest"] == run.digest()
    hashes = {
        replace(run, surrogate=replace(run.surrogate, variant=variant)).digest()
        for variant in (VariantConfig(), *VARIANTS.values())
    }
    assert len(hashes) == 1 + len(VARIANTS)
    for setting in ({"decay_groups": False}, {"schedule": "onecycle"}):
        assert replace(run, train=replace(run.train, **setting)).digest() != run.digest()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention": "sparse"}, "'attention' must be one of softmax, coeff"),
        ({"norm": "none"}, "'norm' must be one of rmsnorm, layernorm"),
        ({"feed_forward": "relu"}, "'feed_forward' must be one of swiglu, gelu"),
        ({"dropout": 1.0}, "'dropout' must be a number of at least 0 and below 1, not 1.0"),
        ({"masking": -0.1}, "'masking' must be a number of at least 0 and below 1, not -0.1"),
    ],
)
def test_unknown_variants_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        VariantConfig(**settings)


def test_variants_cannot_propose() -> None:
    def proposing(variant: VariantConfig) -> NetworkSurrogate:
        made = network(variant)
        return NetworkSurrogate(SurrogateCheckpoint(arrays(made.state_dict()), made.encoding, NETWORK, {}))

    assert proposing(VariantConfig(dropout=0.1, masking=0.1)).encoding.variant.dropout == 0.1
    for name in VARIANTS:
        with pytest.raises(ModelError, match="cannot propose configurations"):
            proposing(VARIANTS[name])


def test_variants_are_refused_before_training(tmp_path: Path) -> None:
    file = tmp_path / "varied.yaml"
    file.write_text("encoding: surrogate\nsurrogate: {variant: {norm: layernorm}}\n")
    with pytest.raises(OptimizerError, match="cannot propose configurations"):
        OptiFormer.training({"train": str(file)})


def test_a_variant_trains_and_resumes_exactly(tmp_path: Path) -> None:
    run = RunConfig(
        "tiny",
        encoding="surrogate",
        surrogate=replace(ENCODING, variant=VARIANTS["all"]),
        network=NETWORK,
        train=TrainConfig(
            steps=4, batch_tokens=120, validate_every=2, validation_batches=1, schedule="onecycle", warmup=0.3
        ),
    )
    whole = train(run, tmp_path, tmp_path / "whole", progress=False)
    train(run, tmp_path, tmp_path / "parts", progress=False, steps=3)
    train(run, tmp_path, tmp_path / "parts", progress=False)
    states = [
        (tmp_path / name / "checkpoints" / "step-00000004" / "state.safetensors").read_bytes()
        for name in ("whole", "parts")
    ]
    assert states[0] == states[1]
    assert load(whole).encoding.variant == VARIANTS["all"]

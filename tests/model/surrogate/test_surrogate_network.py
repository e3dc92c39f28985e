"""The surrogate: what attends to what, checkpoints, training through the common loop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optiformer.errors import ModelError
from optiformer.network_config import NetworkConfig
from optiformer.surrogate.checkpoint import load, save
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig, VariantConfig
from optiformer.surrogate.network.attention import MIXES
from optiformer.surrogate.network.features import ScoreTransform, candidate_features, trial_features
from optiformer.surrogate.network.network import SurrogateNetwork, attention_mask, build
from optiformer.surrogate.network.prediction import Prediction
from optiformer.surrogate.prior.histories import Batch, sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.training.card import ship
from optiformer.training.config import RunConfig, TrainConfig
from optiformer.training.loop import train

ENCODING = SurrogateConfig(
    slots=6, bins=32, queries=8, max_trials=16, prior=FunctionPriorConfig(dimensions=(1, 2, 3, 6))
)
Doubles = Callable[[SurrogateNetwork, Batch], tuple[SurrogateNetwork, Batch]]
NETWORK = NetworkConfig(32, 2, 2, 48, tie_query_key=True)
RUN = RunConfig(
    "tiny",
    encoding="surrogate",
    surrogate=ENCODING,
    network=NETWORK,
    train=TrainConfig(steps=6, batch_tokens=200, validate_every=3, validation_batches=2, precision="fp32"),
)


HEADS = replace(ENCODING, kernels_after=1)
ENCODINGS = {
    "attention only": ENCODING,
    "kernel heads": HEADS,
    **{name: replace(HEADS, variant=VariantConfig(attention=name)) for name in MIXES if name != "softmax"},
    "all": replace(HEADS, variant=VariantConfig("matrix-mixer-low-rank", "layernorm", "gelu", 0.1, 0.1)),
}


@pytest.fixture(scope="module", params=ENCODINGS)
def network(request: pytest.FixtureRequest) -> SurrogateNetwork:
    network = build(ENCODINGS[request.param], NETWORK, seed=1)
    if network.kernels is not None:  # as after training, no part is neutral
        torch.nn.init.normal_(network.kernels.combine.weight, std=0.3)
    return network.eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    return sample_batch(RandomSource(5), ENCODING, 200)


def positions(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    observed = batch.trials, batch.trials_active, batch.scores, batch.failed
    trials = trial_features(ENCODING, batch.kinds, *observed)
    return trials, candidate_features(ENCODING, batch.kinds, batch.queries, batch.queries_active, observed[0].shape[1])


def predict(network: SurrogateNetwork, batch: Batch) -> torch.Tensor:
    observed = batch.trials, batch.trials_active, batch.scores, batch.failed
    return network(batch.kinds, *observed, batch.queries, batch.queries_active).log_mass(ENCODING).exp()


@torch.no_grad()
def test_the_order_of_trials_has_no_effect(network: SurrogateNetwork, batch: Batch, in_doubles: Doubles) -> None:
    network, batch = in_doubles(network, batch)
    order = torch.randperm(batch.scores.shape[1], generator=torch.Generator().manual_seed(0))
    columns = ("trials", "trials_active", "scores", "failed")
    shuffled = replace(batch, **{name: getattr(batch, name)[:, order] for name in columns})
    torch.testing.assert_close(predict(network, batch), predict(network, shuffled), atol=1e-6, rtol=0)


@torch.no_grad()
def test_candidates_do_not_affect_each_other(network: SurrogateNetwork, batch: Batch, in_doubles: Doubles) -> None:
    network, batch = in_doubles(network, batch)
    together = predict(network, batch)
    for index in range(3):
        part = slice(index, index + 1)
        alone = replace(batch, queries=batch.queries[:, part], queries_active=batch.queries_active[:, part])
        torch.testing.assert_close(together[:, part], predict(network, alone), atol=1e-6, rtol=0)


@torch.no_grad()
def test_every_trial_affects_every_candidate(network: SurrogateNetwork, batch: Batch) -> None:
    before = predict(network, batch)
    for index in range(batch.scores.shape[1]):
        scores = batch.scores.clone()
        scores[:, index] += 0.5
        assert (predict(network, replace(batch, scores=scores)) - before).abs().amax((1, 2)).min() > 1e-7


def test_the_attention_mask() -> None:
    mask = attention_mask(2, 3)[0, 0] == 0
    assert mask.int().tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_heads_start_tied(network: SurrogateNetwork) -> None:
    for layer in network.backbone.layers:
        assert torch.equal(layer.self_attn.k_proj.weight, layer.self_attn.q_proj.weight)


def test_features_fill_the_width_and_absent_slots_are_zero(batch: Batch) -> None:
    trials, candidates = positions(batch)
    assert trials.shape[-1] == candidates.shape[-1] == ENCODING.width
    absent = ~batch.kinds.present
    slots = trials[..., : ENCODING.slots * ENCODING.slot_width].unflatten(-1, (ENCODING.slots, -1))
    assert slots.transpose(1, 2)[absent].abs().max() == 0
    assert slots.transpose(1, 2)[~absent].abs().amax((1, 2)).min() > 0


def test_the_score_transform_is_invariant_to_location_and_scale() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0, 10.0, 5.0]], dtype=torch.float64)
    counted = torch.ones_like(values, dtype=torch.bool)
    score_transform = ScoreTransform.of(values, counted, 0.05)
    transformed = score_transform.apply(values)
    assert transformed.min() == 0
    torch.testing.assert_close(transformed[0, 0], torch.asinh(torch.tensor(1 / 0.05, dtype=torch.float64)))
    again = 1e9 * values - 7e9
    torch.testing.assert_close(ScoreTransform.of(again, counted, 0.05).apply(again), transformed)


@pytest.mark.parametrize("values", [[4.0, 4.0, 4.0], [1.0, 1.0, 1.0, 9.0], [7.0], [1e-300, 0.0, 1e-300]])
def test_ties_leave_finite_scores(values: list[float]) -> None:
    tensor = torch.tensor([values], dtype=torch.float64)
    counted = torch.ones_like(tensor, dtype=torch.bool)
    assert ScoreTransform.of(tensor, counted, 0.05).apply(tensor).isfinite().all()


def test_the_loss_is_least_at_the_two_bins_around_the_score() -> None:
    centres = ENCODING.low + ENCODING.bin_width * (torch.arange(ENCODING.bins) + 0.5)
    between = (centres[10] + 0.25 * (centres[11] - centres[10])).reshape(1)
    best = torch.full((1, 32), -30.0)
    best[0, 10], best[0, 11] = torch.log(torch.tensor(0.75)), torch.log(torch.tensor(0.25))
    entropy = -(0.75 * torch.log(torch.tensor(0.75)) + 0.25 * torch.log(torch.tensor(0.25)))
    assert float(Prediction(best).loss(ENCODING, between)) == pytest.approx(float(entropy), abs=1e-3)
    uniform = Prediction(torch.zeros(1, 32))
    assert float(uniform.loss(ENCODING, torch.tensor([99.0]))) == pytest.approx(3.4657, abs=1e-3)


def test_checkpoints_come_back_and_wrong_ones_are_refused(network: SurrogateNetwork, tmp_path: Path) -> None:
    save(tmp_path, network.state_dict(), network.encoding, NETWORK, info={"steps": 3})
    found = load(tmp_path)
    assert found.encoding == network.encoding
    assert found.config == NETWORK
    assert all(np.array_equal(found.weights[name], tensor.numpy()) for name, tensor in network.state_dict().items())
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "encoding": "seq"}))
    with pytest.raises(ModelError, match="needs one of 'surrogate'"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**content, "weights_sha256": "0"}))
    with pytest.raises(ModelError, match="corrupted"):
        load(tmp_path)
    with pytest.raises(ModelError, match="no complete checkpoint"):
        load(tmp_path / "nowhere")


def test_checkpoints_with_the_former_name_load_as_they_are_and_configurations_are_told_the_present(
    tmp_path: Path,
) -> None:
    checkpoint = train(replace(RUN, train=replace(RUN.train, steps=1)), tmp_path, tmp_path / "run", progress=False)
    new, text = load(checkpoint), (checkpoint / "config.json").read_text()
    assert '"trialset"' not in text
    (checkpoint / "config.json").write_text(text.replace('"surrogate"', '"trialset"'))
    old = load(checkpoint)
    assert (old.encoding, old.info, old.digest()) == (new.encoding, new.info, new.digest())
    assert RUN.digest() == "872d9fde7494470a"  # as it was under the former name
    for content in ("encoding: trialset", "encoding: surrogate\ntrialset: {bins: 64}"):
        (tmp_path / "old.yaml").write_text(content)
        with pytest.raises(ModelError, match=r"old\.yaml: the encoding and .* 'trialset' are now called 'surrogate'"):
            RunConfig.load(tmp_path / "old.yaml")


def test_it_trains_in_the_common_loop_and_resumes_exactly(tmp_path: Path) -> None:
    whole = train(RUN, tmp_path, tmp_path / "whole", progress=False)
    train(RUN, tmp_path, tmp_path / "parts", progress=False, steps=4)
    train(RUN, tmp_path, tmp_path / "parts", progress=False)
    first, second = (
        (tmp_path / name / "checkpoints" / "step-00000006" / "state.safetensors").read_bytes()
        for name in ("whole", "parts")
    )
    assert first == second
    assert load(whole).info["run"]["encoding"] == "surrogate"
    losses = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert abs(losses[0]["loss"] - 3.4657) < 0.6


def test_it_trains_where_scipy_optuna_and_configspace_are_not_installed(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path

for name in ("scipy", "optuna", "ConfigSpace"):
    sys.modules[name] = None
from optiformer.training.config import NetworkConfig, RunConfig, TrainConfig
from optiformer.training.loop import train
from optiformer.surrogate.config import SurrogateConfig

encoding = SurrogateConfig(queries=8, max_trials=16, kernels_after=1)
steps = TrainConfig(steps=2, batch_tokens=200, validate_every=1, validation_batches=1, precision="fp32")
run = RunConfig("tiny", encoding="surrogate", surrogate=encoding, network=NetworkConfig(32, 2, 2, 48), train=steps)
train(run, Path({str(tmp_path)!r}), Path({str(tmp_path)!r}) / "run", progress=False)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    assert load(tmp_path / "run" / "best").info["steps"] == 2


def test_settings_of_the_other_encoding_do_not_change_a_run() -> None:
    other = replace(RUN, surrogate=replace(ENCODING, bins=64))
    assert RUN.digest() != other.digest()
    assert replace(RUN, encoding="seq").digest() == replace(other, encoding="seq").digest()


def test_a_shipped_checkpoint_is_half_as_large_and_tells_where_it_comes_from(tmp_path: Path) -> None:
    best = train(RUN, tmp_path, tmp_path / "run", progress=False)
    folder = ship(
        best, tmp_path / "shipped", date="today", hardware="a laptop", command="train", figures="None.", limits="Many."
    )
    assert load(folder).encoding == ENCODING
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, best)]
    assert sizes[0] < 0.6 * sizes[1]
    text = (folder / "README.md").read_text()
    assert all(
        part in text
        for part in ("today", "a laptop", "`train`", "56% Gaussian", "5% expressions", "## Limits\n\nMany.")
    )

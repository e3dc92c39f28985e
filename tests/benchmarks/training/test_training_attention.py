"""The attention tasks: formulas, causality, equal sizes, exact repetition."""

from __future__ import annotations

import inspect
import math
import random
from dataclasses import replace

import pytest
import torch

from optibench_benchmarks import create, families
from optibench_benchmarks.conformance import BenchmarkConformance, plain
from optibench_benchmarks.training.attention import network
from optibench_benchmarks.training.attention.network import AttentionError, Transformer, check_causal, shipped
from optibench_benchmarks.training.attention.tasks import FRAMEWORKS, VARIANTS
from optibench_benchmarks.training.base import DivergedError
from optibench_benchmarks.training.text import stories, text

SIX = [(framework, variant) for framework in FRAMEWORKS for variant in VARIANTS]
CONFIG = {"learning_rate": 3e-3, "warmup": 0.1, "weight_decay": 0.1, "batch_size": 16}
FEW = text.generated("generated stories 1", (20, 10, 10))
SHORT = {"epochs": 1, "data_fraction": 0.1}


def inputs(length=10, width=6, heads=2, seed=0):
    return torch.randn(3, 2, heads, length, width, generator=torch.Generator().manual_seed(seed)).unbind(0)


# --- all six


@pytest.mark.parametrize(("framework", "variant"), SIX)
def test_a_later_token_changes_nothing_before_it(framework, variant):
    check_causal(shipped(framework, variant))
    torch.manual_seed(0)
    model = Transformer(50, 16, 2, 4, shipped(framework, variant)).eval()
    tokens = torch.randint(50, (2, 12))
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 50
    before, after = model(tokens), model(changed)
    assert torch.allclose(before[:, :7], after[:, :7], atol=1e-6)
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-3)
    assert not torch.allclose(before[:, 8:], after[:, 8:], atol=1e-4)  # attention carries it on


@pytest.mark.parametrize(("framework", "variant"), SIX)
def test_a_longer_text_begins_with_the_outputs_of_a_shorter_one(framework, variant):
    q, k, v = inputs(length=9)
    long = shipped(framework, variant)(q, k, v)
    short = shipped(framework, variant)(q[:, :, :5], k[:, :, :5], v[:, :, :5])
    assert long.shape == v.shape
    assert torch.allclose(long[:, :, :5], short, atol=1e-5)


def test_all_have_the_same_number_of_parameters_and_all_of_them_learn():
    counts = set()
    for framework, variant in SIX:
        model = Transformer(50, 16, 2, 4, shipped(framework, variant))
        model(torch.randint(50, (2, 12))).square().sum().backward()
        weights = list(model.parameters())
        counts.add(sum(each.numel() for each in weights))
        assert all(each.grad is not None and each.grad.isfinite().all() for each in weights)
        assert all(each.grad.abs().sum() > 0 for name, each in model.named_parameters() if "inputs.bias" not in name)
    assert len(counts) == 1


def test_the_six_compute_different_things():
    q, k, v = inputs()
    outputs = [shipped(framework, variant)(q, k, v) for framework, variant in SIX]
    for number, one in enumerate(outputs):
        assert all(not torch.allclose(one, other, atol=1e-3) for other in outputs[number + 1 :])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_only_the_evolvable_variants_have_one_marked_block(framework):
    for variant, count in (("standard", 0), ("evolvable", 1)):
        source = inspect.getsource(inspect.getmodule(shipped(framework, variant)))
        lines = [line.strip() for line in source.splitlines()]
        assert lines.count("# EVOLVE-BLOCK-START") == lines.count("# EVOLVE-BLOCK-END") == count
        if count:
            assert lines.index("# EVOLVE-BLOCK-START") < lines.index("# EVOLVE-BLOCK-END")


# --- each by its definition


def test_standard_coefficient_dynamics_is_softmax_attention():
    q, k, v = inputs()
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(shipped("coefficient-dynamics", "standard")(q, k, v), expected, atol=1e-6)


def test_evolvable_coefficient_dynamics_follow_their_recursion():
    from optibench_benchmarks.training.attention.coefficient_dynamics.evolvable import evolved

    q, k, v = inputs(length=7)
    expected = torch.empty_like(v)
    one = torch.ones(1)
    states = torch.empty(2, 2, 0, 6)
    for i in range(7):
        # every state takes one step, and the new token sets off its own
        moved = torch.cat([evolved(states[:, :, j : j + 1], one) for j in range(i)], dim=2) if i else states
        states = torch.cat([moved, k[:, :, i : i + 1] / math.sqrt(6)], dim=2)
        coefficients = (states @ q[:, :, i, :, None])[..., 0].exp()
        coefficients = coefficients / coefficients.sum(-1, keepdim=True)
        expected[:, :, i] = (coefficients[..., None] * v[:, :, : i + 1]).sum(2)
    assert torch.allclose(shipped("coefficient-dynamics", "evolvable")(q, k, v), expected, atol=1e-5)


def test_standard_test_time_regression_fits_what_it_has_seen():
    q, k, v = inputs(length=8)
    found = shipped("test-time-regression", "standard")(q, k, v)
    unit = torch.nn.functional.normalize
    for i in range(8):
        keys, values = unit(k[0, 1, : i + 1], dim=-1), v[0, 1, : i + 1]
        # ridge regression as least squares with rows of zeros to fit
        fitted = torch.linalg.lstsq(torch.cat([keys, torch.eye(6)]), torch.cat([values, torch.zeros(6, 6)])).solution
        assert torch.allclose(unit(q[0, 1, i], dim=-1) @ fitted, found[0, 1, i], atol=1e-5)


def test_evolvable_test_time_regression_is_a_kernel_regression():
    from optibench_benchmarks.training.attention.test_time_regression.evolvable import log_weights

    q, k, v = (torch.nn.functional.normalize(each, dim=-1) for each in inputs(length=8))
    found, weights = shipped("test-time-regression", "evolvable")(q, k, v), log_weights(q, k).exp()
    for i in range(8):
        w = weights[0, 1, i, : i + 1, None]
        mean = (w * v[0, 1, : i + 1]).sum(0) / w.sum()
        assert torch.allclose(mean, found[0, 1, i], atol=1e-5)
    distance = (q[0, 0, 0] - k[0, 0, 0]).square().sum()
    assert weights[0, 0, 0, 0].log() == pytest.approx(-4 * math.sqrt(6) * distance.item(), rel=1e-4)


def test_standard_matrix_mixer_is_a_state_space_recurrence():
    q, k, v = inputs(length=9)
    constants = torch.linspace(0.0, -5.0, 2)
    kept = (-torch.nn.functional.softplus(k.mean(-1) + constants[:, None])).exp()
    state, expected = torch.zeros(2, 2, 6, 6), torch.empty_like(v)
    for i in range(9):
        state = kept[:, :, i, None, None] * state + k[:, :, i, :, None] * v[:, :, i, None, :]
        expected[:, :, i] = (q[:, :, i, None, :] @ state)[:, :, 0] / math.sqrt(6)
    assert torch.allclose(shipped("matrix-mixer", "standard")(q, k, v), expected, atol=1e-5)


def test_evolvable_matrix_mixer_is_lower_triangular_with_rows_that_sum_to_one():
    from optibench_benchmarks.training.attention.matrix_mixer.evolvable import matrix

    q, k, _ = inputs()
    found = matrix(q, k)
    assert torch.allclose(found.sum(-1), torch.ones(2, 2, 10), atol=1e-5)
    assert found.triu(1).abs().max() == 0
    assert found.min() >= 0


# --- the contract


@pytest.mark.parametrize(
    ("mix", "error", "message"),
    [
        (lambda q, k, v: v[..., :-1], AttentionError, r"like the values, not torch.float32 \(2, 2, 12, 7\)"),
        (lambda q, k, v: v.double(), AttentionError, "not torch.float64"),
        (lambda q, k, v: None, AttentionError, "not NoneType"),
        (lambda q, k, v: v / 0 * 0, DivergedError, "a number that is not finite"),
        (lambda q, k, v: v.mean(dim=2, keepdim=True).expand_as(v), AttentionError, "is not causal"),
        (lambda q, k, v: v + 1e-3 * v.roll(-1, dims=2), AttentionError, "is not causal"),
    ],
)
def test_an_attention_that_breaks_its_contract_is_refused(mix, error, message):
    with pytest.raises(error, match=message) as caught:
        check_causal(mix)
    assert "\n" not in str(caught.value)


def test_an_attention_that_is_not_finite_in_a_training_is_a_failed_trial(monkeypatch):
    from optibench.cell.run import run_cell
    from optibench.plan.cells import Cell

    monkeypatch.setattr(network, "shipped", lambda framework, variant: lambda q, k, v: v * math.inf)
    (trial,) = run_cell(Cell("k", "random", "attention/matrix-mixer-standard", 0, 1, 0))
    assert trial.state == "failed"
    assert trial.error is not None
    assert trial.error.startswith("evaluate: DivergedError: The training diverged: the attention gave a number")


def test_positions_are_sines_and_cosines():
    found = network.positions(20, 8)
    assert found.shape == (20, 8)
    assert torch.allclose(found.square().sum(-1), torch.full((20,), 4.0))
    assert found[3, 0].item() == pytest.approx(math.sin(3))
    assert found[3, 3].item() == pytest.approx(math.cos(3 / 10))


# --- trainings


def test_parameters_of_the_training_do_not_change_the_network():
    task = create("attention/matrix-mixer-standard")
    assert len(task.space) == 4
    sizes = {
        task.evaluate(plain(config), seed=0, fidelity=SHORT).info["parameters"]
        for config in task.space.sample_configuration(3)
    }
    assert len(sizes) == 1


@pytest.mark.heavy
class TestConformance(BenchmarkConformance):
    """The suite of every benchmark, on a few stories."""

    name, n = "attention/test-time-regression-evolvable", 2

    def create(self):
        task = create(self.name)
        task.size, task.source = replace(task.size, documents=(20, 10, 10)), FEW
        return task


# --- stories, names, references


def test_stories_are_seeded_and_keep_to_their_hero():
    found = stories.generate(200, seed=0)
    assert found == stories.generate(300, seed=0)[:200]
    assert len(set(found)) == 200
    for story in random.Random(0).sample(found, 50):
        girl = any(f" {word} " in story for word in ("she", "her", "girl"))
        boy = any(f" {word} " in story for word in ("he", "his", "boy"))
        assert girl != boy


@pytest.fixture
def real(data_folder):
    (data_folder / "tinystories").mkdir()
    return data_folder / "tinystories" / "stories.txt"


def test_tinystories_is_read_as_published(real):
    written = stories.generate(120, seed=3)
    real.write_text("\n<|endoftext|>\n".join(story.replace(". ", ".\n") for story in written), encoding="utf-8")
    task = create("attention/matrix-mixer-evolvable-tinystories")
    assert "attention/matrix-mixer-evolvable-tinystories" in families()["attention"].provider().names()
    parts = text.split(task.source)
    assert {story for part in parts for story in part} <= set(written)
    assert sum(map(len, parts)) >= 118
    assert math.isfinite(task.evaluate(CONFIG, seed=0, fidelity={"epochs": 1}).value)
    assert task.reference is None

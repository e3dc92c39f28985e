"""Parts of the headline task: text and tokens, loss, network, schedules and updates."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from optibench_benchmarks import create
from optibench_benchmarks.conformance import plain
from optibench_benchmarks.training.base import Curve, DivergedError
from optibench_benchmarks.training.mainrun import gpt
from optibench_benchmarks.training.network import fit, updates
from optibench_benchmarks.training.text import headlines, language, text

CONFIG = plain(create("mainrun/gpt").space.get_default_configuration())
SMALL = text.generated("generated headlines 1", (60, 20, 20))


# --- the text


def test_headlines_are_seeded_and_more_of_them_begin_with_the_fewer():
    first = headlines.generate(300, seed=0)
    assert first == headlines.generate(500, seed=0)[:300]
    assert len(set(first)) == 300
    assert first != headlines.generate(300, seed=1)
    assert all(line == line.strip() and "\n" not in line and "  " not in line for line in first)


def test_a_companys_products_are_its_own():
    makers: dict[str, set[str]] = {}
    for line in headlines.generate(4000, seed=0):
        if " launches " in line:
            company, _, rest = line.partition(" launches ")
            makers.setdefault(company, set()).add(rest.partition(",")[0])
    assert len(makers) > 20
    assert max(map(len, makers.values())) <= 4


def test_no_headline_is_in_two_parts():
    parts = text.split(SMALL)
    assert [len(part) for part in parts] == [60, 20, 20]
    assert len({line for part in parts for line in part}) == 100


@pytest.mark.parametrize("vocabulary", [text.SMALLEST_VOCABULARY, 300, 5000])
def test_every_vocabulary_represents_the_whole_text(vocabulary):
    encoded = text.encode(SMALL, vocabulary)
    assert encoded.vocabulary <= vocabulary
    for stream, documents in zip((encoded.train, encoded.validation, encoded.test), text.split(SMALL), strict=True):
        assert stream.tokens[0] == text.END
        assert (stream.tokens == text.END).sum() == len(documents) + 1
        assert stream.bytes == len("\n".join(documents).encode()) + 1
        assert not (stream.tokens == text.MASK).any()
        if vocabulary == text.SMALLEST_VOCABULARY:
            assert len(stream.tokens) - 1 == stream.bytes


def test_tokens_are_the_same_in_every_process():
    code = (
        "import hashlib\nfrom optibench_benchmarks.training.text import text\n"
        f"print(hashlib.sha256(text.encode({SMALL!r}, 400).train.tokens.tobytes()).hexdigest())"
    ).replace("Source(", "text.Source(")
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(found) == 1


# --- the loss


@pytest.mark.parametrize("length", [3, 7, 64, 10_000])
def test_a_uniform_guess_costs_the_logarithm_of_the_vocabulary_for_each_token(length):
    encoded = text.encode(SMALL, 300)

    def uniform(tokens):
        return torch.zeros(*tokens.shape, encoded.vocabulary)

    stream = encoded.validation
    expected = (len(stream.tokens) - 1) * math.log(encoded.vocabulary) / stream.bytes
    assert language.nats_per_byte(uniform, stream, length) == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_is_a_divergence():
    stream = text.encode(SMALL, 300).validation
    with pytest.raises(DivergedError, match="its validation loss is not finite"):
        language.nats_per_byte(lambda tokens: torch.full((*tokens.shape, 300), math.nan), stream, 16)


def test_windows_cover_the_stream_and_a_target_is_the_token_after():
    windows = language.Windows(torch.arange(14), 4)
    inputs, targets = windows(torch.arange(windows.rows))
    assert windows.rows == 3
    assert inputs.flatten().tolist() == list(range(12))
    assert torch.equal(targets, inputs + 1)
    moved, _ = windows(torch.tensor([2]), shift=3)
    assert moved.tolist() == [[11, 12, 13, 0]]
    assert language.Windows(torch.arange(5), 64).length == 4


# --- the network


def test_rmsnorm_divides_by_the_root_of_the_mean_square():
    x = 50 * torch.randn(3, 5, 16)
    found = gpt.RMSNorm(16)(x)
    assert torch.allclose(found.square().mean(-1), torch.ones(3, 5), atol=1e-4)
    assert torch.allclose(found, nn.functional.rms_norm(x, (16,), eps=1e-6), atol=1e-6)


def test_swiglu_has_about_as_many_weights_as_the_layer_it_replaces():
    gated = sum(each.numel() for each in gpt.SwiGLU(64).parameters())
    assert gated == pytest.approx(8 * 64**2, rel=0.01)


def network(**changes):
    torch.manual_seed(0)
    return gpt.GPT(300, 32, 2, 4, CONFIG | {"block_size": 16} | changes).eval()


def test_fused_attention_computes_what_the_written_one_does():
    tokens = torch.randint(300, (3, 16))
    assert torch.allclose(network(sdpa=True)(tokens), network(sdpa=False)(tokens), atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"sdpa": True, "norm": "rmsnorm", "feed_forward": "swiglu"}])
def test_a_later_token_changes_nothing_before_it(options):
    model, tokens = network(**options), torch.randint(300, (2, 16))
    changed = tokens.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 300
    before, after = model(tokens), model(changed)
    assert torch.allclose(before[:, :9], after[:, :9], atol=1e-6)
    assert not torch.allclose(before[:, 9:], after[:, 9:], atol=1e-3)


def test_with_groups_only_matrices_decay():
    model = network()
    decaying, not_decaying = gpt.parameter_groups(model, 0.3, groups=True)
    assert (decaying["weight_decay"], not_decaying["weight_decay"]) == (0.3, 0.0)
    assert {each.dim() for each in decaying["params"]} == {2}
    assert {each.dim() for each in not_decaying["params"]} == {1}
    (everything,) = gpt.parameter_groups(model, 0.3, groups=False)
    assert len(everything["params"]) == len(decaying["params"]) + len(not_decaying["params"])


def test_masks_hide_the_share_that_they_should():
    tokens = torch.full((100, 100), 7)
    assert gpt.masked(tokens, 0.0) is tokens
    hidden = gpt.masked(tokens, 0.2)
    assert (hidden == text.MASK).double().mean().item() == pytest.approx(0.2, abs=0.02)
    assert set(hidden.unique().tolist()) == {text.MASK, 7}


# --- the training


@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.2), (100, 0.0), (1, 0.4), (3, 0.01), (50, 0.02)])
def test_a_schedule_rises_to_the_highest_rate_and_falls(kind, steps, warmup):
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=0.5)
    rates, scheduler = [], language.schedule(optimizer, kind, steps=steps, warmup=warmup, highest=0.5)
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert max(rates) <= 0.5 + 1e-12
    if steps == 100:
        top = rates.index(max(rates))
        assert max(rates) == pytest.approx(0.5, rel=0.02)
        assert top == pytest.approx(100 * warmup, abs=2)
        assert rates[: top + 1] == sorted(rates[: top + 1])
        assert rates[top:] == sorted(rates[top:], reverse=True)
        assert rates[-1] < 0.06


def test_accumulated_batches_update_like_one_large_batch():
    data = torch.randn(48, 5)

    def trained(batch_size, accumulate):
        torch.manual_seed(3)
        model = nn.Linear(5, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(4)
        fit(
            model,
            optimizer,
            lambda rows: model(data[rows]).square().mean(),
            dict,
            Curve("epoch", 2),
            rows=48,
            batch_size=batch_size,
            accumulate=accumulate,
        )
        return model.weight.detach()

    assert torch.allclose(trained(8, 3), trained(24, 1), atol=1e-6)
    assert not torch.allclose(trained(8, 1), trained(24, 1), atol=1e-4)
    assert (updates(48, 8, 3), updates(48, 8, 4), updates(49, 8), updates(1, 8)) == (2, 2, 6, 1)

"""The headline task: its text and tokens, its loss, each of its options, exact repetition."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import BenchmarkError, MissingDataError, UnknownBenchmarkError, create, families, references
from benchmarks.conformance import BenchmarkConformance, plain
from benchmarks.training import ablation, gpt, headlines, language, text
from benchmarks.training.base import Curve, DivergedError
from benchmarks.training.network import fit, updates

SHORT = {"epochs": 1, "data_fraction": 0.1}
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
        "import hashlib\nfrom benchmarks.training import text\n"
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


OPTIONS = [
    {"decay_groups": True, "weight_decay": 1.0},
    {"dropout": 0.0},
    {"schedule": "onecycle"},
    {"warmup": 0.3},
    {"accumulation": 2},
    {"block_size": 32},
    {"vocab_size": 500},
    {"norm": "rmsnorm"},
    {"feed_forward": "swiglu"},
    {"ema": True, "ema_decay": 0.9},
    {"amp": True},
    {"token_masking": 0.2},
    {"sequence_augmentation": True},
]


@pytest.fixture(scope="module")
def default():
    return create("mainrun/gpt").evaluate(CONFIG, seed=0, fidelity=SHORT)


@pytest.mark.parametrize("change", OPTIONS, ids=lambda change: next(iter(change)))
def test_every_option_does_something(change, default):
    found = create("mainrun/gpt").evaluate(CONFIG | change, seed=0, fidelity=SHORT)
    assert math.isfinite(found.value)
    assert found.value != default.value
    assert found.value == pytest.approx(default.value, rel=0.5)


def test_fused_attention_changes_the_value_by_rounding_only(default):
    found = create("mainrun/gpt").evaluate(CONFIG | {"sdpa": True}, seed=0, fidelity=SHORT)
    # dropout is drawn in another order: without it, only sums are
    plain_value, fused_value = (
        create("mainrun/gpt").evaluate(CONFIG | {"sdpa": sdpa, "dropout": 0.0}, seed=0, fidelity=SHORT).value
        for sdpa in (False, True)
    )
    assert fused_value == pytest.approx(plain_value, rel=1e-3)
    assert found.value == pytest.approx(default.value, rel=0.05)


def test_the_average_of_the_weights_is_what_is_measured():
    config = CONFIG | {"ema": True, "ema_decay": 0.995}
    slow = create("mainrun/gpt").evaluate(config, seed=0, fidelity=SHORT)
    plain_one = create("mainrun/gpt").evaluate(CONFIG, seed=0, fidelity=SHORT)
    assert slow.curve["train_loss"] == plain_one.curve["train_loss"]
    assert slow.value > plain_one.value  # a few steps: the average is still near the beginning


@pytest.mark.parametrize("change", [{}, {"amp": True, "ema": True, "ema_decay": 0.9, "sdpa": True}])
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(change):
    first, again, other = (
        create("mainrun/gpt").evaluate(CONFIG | change, seed=seed, fidelity=SHORT) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.curve["train_loss"] != other.curve["train_loss"]


def test_another_process_computes_the_same_bits(default):
    code = (
        "from benchmarks import create\n"
        f"print(create('mainrun/gpt').evaluate({CONFIG!r}, seed=0, fidelity={SHORT!r}).curve['train_loss'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(default.curve["train_loss"])


def test_a_short_training_is_the_beginning_of_a_longer_one_and_it_learns():
    task = create("mainrun/gpt")
    short, long = (
        task.evaluate(CONFIG, seed=0, fidelity={"epochs": epochs, "data_fraction": 0.3}) for epochs in (1, 3)
    )
    assert list(long.curve) == ["epoch", "train_loss", "validation_loss"]
    assert {name: values[:1] for name, values in long.curve.items()} == dict(short.curve)
    assert long.value == long.curve["validation_loss"][-1] < 0.9 * short.value
    assert long.info["test_loss"] == pytest.approx(long.value, rel=0.05)
    assert task.direction == "minimize"


def test_a_loss_that_is_no_number_is_a_failed_trial_with_its_reason(monkeypatch):
    from harness.cells import Cell
    from harness.run_cell import run_cell

    monkeypatch.setattr(gpt.GPT, "forward", lambda self, tokens: math.nan * self.tokens(tokens) @ self.tokens.weight.T)
    (trial,) = run_cell(Cell("k", "random", "mainrun/gpt", 0, 1, 0))
    assert trial.state == "failed"
    assert trial.error == "evaluate: DivergedError: The training diverged: its loss became nan in epoch 1."


def test_an_average_has_a_decay_only_where_there_is_one():
    space = create("mainrun/gpt").space
    for config in map(plain, space.sample_configuration(40)):
        assert ("ema_decay" in config) == config["ema"]


@pytest.mark.heavy
class TestConformance(BenchmarkConformance):
    """The suite of every benchmark, on a hundred headlines."""

    name, n = "mainrun/gpt", 2

    def create(self):
        task = create(self.name)
        task.size, task.source = replace(task.size, documents=SMALL.sizes), SMALL
        return task


# --- the ablation


def test_the_committed_ablation_switches_every_option_once():
    found = ablation.read("mainrun")
    assert found.task.name == "mainrun/gpt"
    changed = {name for config in found.changes.values() for name in config if config[name] != found.baseline.get(name)}
    assert changed >= set(CONFIG) - {"learning_rate", "warmup"}
    assert all(config != found.baseline for config in found.changes.values())


def test_effects_are_paired_by_seed_and_sorted_and_a_divergence_is_told(monkeypatch):
    from benchmarks import Evaluation

    def train(self, config, seed, fidelity):
        if config["norm"] == "rmsnorm":
            raise DivergedError("The training diverged.")
        return Evaluation(1.0 + 0.1 * (seed % 3) + 0.2 * config["amp"] - 0.05 * config["sdpa"])

    monkeypatch.setattr("benchmarks.training.mainrun.HeadlineGPT.train", train)
    changes = {"AMP": {"amp": True}, "RMSNorm": {"norm": "rmsnorm"}, "SDPA": {"sdpa": True}}
    task = create("mainrun/gpt")
    spec = ablation.Ablation(task, CONFIG, {name: CONFIG | change for name, change in changes.items()})
    baseline, effects = ablation.run(spec, 3)
    assert [each.name for each in effects] == ["SDPA", "AMP", "RMSNorm"]
    assert effects[1].difference.mean == pytest.approx(0.2)
    assert effects[1].difference.high - effects[1].difference.low == pytest.approx(0.0, abs=1e-9)
    printed = ablation.table(baseline, effects)
    assert "| baseline | 1.1000 | |" in printed
    assert "| SDPA | 1.0500 | -0.0500 [-0.0500, -0.0500] |" in printed
    assert "| RMSNorm | diverged | |" in printed
    with pytest.raises(BenchmarkError, match="at least 2 seeds"):
        ablation.run(spec, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("task: [", "cannot be read"),
        ("task: mainrun/gpt\nbaseline: {}", "has to have the keys task, baseline, changes"),
        ("task: synthetic/sphere-2d\nbaseline: {}\nchanges: {}", "trains nothing"),
        ("task: mainrun/gpt\nbaseline: {dropout: 7}\nchanges: {}", "The baseline of .* is no configuration"),
        ("task: mainrun/gpt\nbaseline: {}\nchanges: {x: {colour: 7}}", "'x' of .* has no parameter colour"),
    ],
)
def test_a_broken_ablation_is_one_sentence(tmp_path, capsys, content, message):
    (tmp_path / "spec.yaml").write_text(content)
    with pytest.raises(BenchmarkError, match=message) as caught:
        ablation.read(str(tmp_path / "spec.yaml"))
    assert "\n" not in str(caught.value)
    assert ablation.main([str(tmp_path / "spec.yaml")]) == 2
    assert str(caught.value) in capsys.readouterr().err


# --- real headlines, names, references


@pytest.fixture
def real(monkeypatch, tmp_path):
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path))
    (tmp_path / "headlines").mkdir()
    return tmp_path / "headlines" / "headlines.txt"


def test_real_headlines_are_read_one_a_line(real):
    lines = headlines.generate(400, seed=5)
    real.write_text("\n\n".join([*lines, lines[0], "  "]), encoding="utf-8")
    assert families()["mainrun"].provider().names() == ["mainrun/gpt", "mainrun/gpt-headlines"]
    task = create("mainrun/gpt-headlines")
    parts = text.split(task.source)
    assert {line for part in parts for line in part} <= set(lines)
    assert [len(part) for part in parts] == [285, 57, 57]
    assert task.reference is None
    assert task.evaluate(CONFIG, seed=0, fidelity={"epochs": 1}).value > 0
    version = task.data_version
    real.write_text("\n".join(lines[:300]), encoding="utf-8")
    assert create("mainrun/gpt-headlines").data_version != version


def test_missing_headlines_are_named_with_the_cure(real):
    assert families()["mainrun"].provider().names() == ["mainrun/gpt"]
    for name in ("mainrun/gpt-headlines", "mainrun/gpt-headlines-full"):
        with pytest.raises(MissingDataError) as caught:
            create(name)
        message = str(caught.value)
        assert str(real) in message
        assert "OPTIBENCH_DATA" in message
        assert "one a line" in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "message"), [(b"one\ntwo\nthree", "has 3 different documents, too few"), (b"\xff\xfe\x00", "UTF-8")]
)
def test_a_broken_file_of_headlines_is_one_sentence(real, content, message):
    real.write_bytes(content)
    with pytest.raises(BenchmarkError, match=message) as caught:
        create("mainrun/gpt-headlines").evaluate(CONFIG, seed=0, fidelity=SHORT)
    assert "\n" not in str(caught.value)


def test_an_unknown_task_gets_the_closest_name():
    with pytest.raises(UnknownBenchmarkError, match="mainrun/gpt"):
        create("mainrun/gtp")


def test_the_full_size_is_the_documents():
    task = create("mainrun/gpt-full")
    assert (task.size.shape, task.size.epochs, task.reference) == ((512, 6, 8), 7, None)
    assert plain(task.space.get_default_configuration())["vocab_size"] == 16_000


def test_the_best_found_is_better_than_the_default():
    entry = references.entries()["mainrun/gpt"]
    assert entry.reference.f_best < 0.45 < entry.reference.f_ref
    assert entry.data_version == create("mainrun/gpt").data_version


@pytest.mark.heavy
def test_the_committed_reference_holds():
    assert references.check(["mainrun/gpt"]) == []

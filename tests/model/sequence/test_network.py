"""The backbone's presets, files and initialisation; the incremental decoder against the full forward pass."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from optiformer.errors import ModelError
from optiformer.files import WEIGHTS
from optiformer.network_config import PRESETS, NetworkConfig
from optiformer.sequence.config import SamplingConfig
from optiformer.sequence.decoder import Decoder
from optiformer.sequence.network import (
    CONFIG,
    VOCABULARY,
    build_network,
    count_parameters,
    expected_shapes,
    load,
    save,
)
from optiformer.sequence.tokenizer import Vocabulary
from optiformer.training.config import RunConfig


def test_presets_are_the_seeds_and_their_true_sizes() -> None:
    shapes = {n: (c.hidden_size, c.n_layers, c.n_heads, c.intermediate_size) for n, c in PRESETS.items()}
    assert shapes["nano"] == (256, 6, 8, 1024)
    assert shapes["small"] == (384, 8, 12, 1536)
    assert shapes["base"] == (512, 12, 16, 2048)
    assert shapes["large"] == (768, 16, 16, 3072)
    with torch.device("meta"):  # shapes alone; some starts need real numbers
        plain = {name: replace(config, copying_start=False, tie_query_key=False) for name, config in PRESETS.items()}
        counts = {name: count_parameters(build_network(config, Vocabulary())) for name, config in plain.items()}
    assert counts == {
        "nano": 6_844_672,
        "small": 19_705_728,
        "base": 51_444_224,
        "large": 152_669_952,
        "pico": 990_592,
    }
    assert counts["pico"] == count_parameters(build_network(PRESETS["pico"], Vocabulary()))


def test_a_checkpoint_gives_the_same_logits_again(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = load(tiny_checkpoint)
    folder = save(
        tmp_path / "copy",
        first.weights,
        first.config,
        first.vocabulary,
        sampling=SamplingConfig(temperature=0.5),
        encoding="seq",
        info={"steps": 3},
    )
    second = load(folder)
    tokens = torch.randint(0, 1000, (2, 30))
    with torch.no_grad():
        assert torch.equal(first.network(tokens).logits, second.network(tokens).logits)
    assert second.sampling.temperature == 0.5
    assert second.info == {"steps": 3}
    assert not list(folder.glob("*.bin")) + list(folder.glob("*.pt")) + list(folder.glob(".*tmp"))


def test_bf16_files_are_half_as_large_and_nearly_the_same(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = load(tiny_checkpoint)
    weights = first.weights
    kwargs = {"sampling": first.sampling, "encoding": "seq", "info": {}}
    folder = save(tmp_path, weights, first.config, first.vocabulary, bf16=True, **kwargs)  # type: ignore[arg-type]
    assert (folder / WEIGHTS).stat().st_size < 0.6 * (tiny_checkpoint / WEIGHTS).stat().st_size
    tokens = torch.randint(0, 1000, (2, 30))
    with torch.no_grad():
        assert torch.allclose(first.network(tokens).logits, load(folder).network(tokens).logits, atol=0.05)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / WEIGHTS).write_bytes(b"junk"), "checksum is wrong"),
        (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-8] + b"\0" * 8), "checksum is wrong"),
        (lambda f: (f / WEIGHTS).unlink(), "no complete checkpoint"),
        (lambda f: (f / CONFIG).write_text("{"), "no complete checkpoint"),
        (lambda f: Vocabulary(n_bins=100).save(f / VOCABULARY), "another vocabulary"),
        (lambda f: (f / VOCABULARY).unlink(), "cannot be read"),
    ],
)
def test_damaged_checkpoints_are_refused(tiny_checkpoint: Path, tmp_path: Path, damage: object, message: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_checkpoint, folder)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_weights_that_do_not_fit_and_a_wrong_vocabulary_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="another vocabulary"):
        load(tiny_checkpoint, vocabulary=Vocabulary(n_bins=100))
    folder = tmp_path / "wider"
    shutil.copytree(tiny_checkpoint, folder)
    content = json.loads((folder / CONFIG).read_text())
    content["network"]["hidden_size"] = 128
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(ModelError, match="do not fit"):
        load(folder)


@pytest.mark.parametrize("preset", ["nano", "pico"])
def test_the_expected_tensors_are_llamas(preset: str) -> None:
    config = PRESETS[preset]
    shapes = {name: tuple(t.shape) for name, t in build_network(config, Vocabulary()).state_dict().items()}
    if config.tie_embeddings:
        del shapes["lm_head.weight"]
    assert shapes == expected_shapes(config, Vocabulary())


def test_suggesting_does_not_import_transformers(tiny_checkpoint: Path) -> None:
    code = (
        "import sys, numpy; from optiformer import Policy, Space; from optiformer.space.parameter import Parameter; "
        "from optiformer.space.trial import Trial; p = Policy(Space((Parameter('x', 'float'),)), sys.argv[1]); "
        "p.suggest([Trial({'x': i / 9}, i) for i in range(9)], rng=numpy.random.default_rng(0)); "
        "assert 'transformers' not in sys.modules and 'gpytorch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny_checkpoint)], check=True)


def test_importing_the_package_is_light() -> None:
    code = "import sys, optiformer; assert not {'torch', 'optuna', 'numpy', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_decoder_with_its_cache_gives_the_full_forward_passes_logits() -> None:
    # fp32 rounding differs between one long and many short products; trained logits span about 10.
    for config in (PRESETS["pico"], NetworkConfig(64, 3, 4, 128)):
        network = build_network(config, Vocabulary(), seed=1).eval()
        decoder = Decoder(config, network.state_dict())
        tokens = torch.randint(0, len(Vocabulary()), (1, 60), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            full = network(tokens).logits[0]
        cache = decoder.empty()
        start = 0
        for length in (17, 1, 2, 1, 3, 20, 1, 15):
            hidden = decoder.advance(tokens[:, start : start + length], cache)
            start += length
            assert torch.allclose(decoder.logits(hidden)[0], full[start - 1], atol=2e-4)
        some = torch.tensor([3, 500, 1003])
        assert torch.allclose(decoder.logits(hidden, some)[0], full[-1][some], atol=2e-4)


def test_continuations_share_a_context_and_do_not_touch_each_other() -> None:
    network = build_network(PRESETS["pico"], Vocabulary(), seed=1).eval()
    decoder = Decoder(PRESETS["pico"], network.state_dict())
    context, ends = torch.randint(0, 1000, (1, 40)), torch.randint(0, 1000, (3, 4))
    cache = decoder.empty()
    decoder.advance(context, cache)
    for _ in range(2):  # the shared context can be continued again
        together = cache.expand(3)
        decoder.advance(ends[:, :2], together)
        hidden = decoder.advance(ends[:, 2:], together)
        with torch.no_grad():
            full = network(torch.cat([context.expand(3, -1), ends], dim=1)).logits[:, -1]
        assert torch.allclose(decoder.logits(hidden), full, atol=2e-4)
    assert cache.length == 40


def test_the_copying_start_finds_the_earlier_values_of_a_parameter() -> None:
    vocabulary = Vocabulary()
    network = build_network(replace(PRESETS["pico"], copying_start=True), vocabulary, seed=0)
    slots = (4, 9, 20)

    def logits(values: list[int], asked: int) -> torch.Tensor:
        trial = [vocabulary.special("TRIAL_SEP")]
        for slot, value in zip(slots, values, strict=True):
            trial += [vocabulary.name(slot), value]
        trial += [vocabulary.special("SCORE"), 500]
        tokens = torch.tensor([trial * 3 + [vocabulary.special("TRIAL_SEP"), vocabulary.name(asked)]])
        with torch.no_grad():
            return network(tokens).logits[0, -1]

    values = [700, 120, 430]
    for index, slot in enumerate(slots):
        before = logits(values, slot)
        for other in range(3):
            changed = [(v + 500) % 1000 if i == other else v for i, v in enumerate(values)]
            rise = float(before[values[other]] - logits(changed, slot)[values[other]])
            assert rise > 0.4 if other == index else abs(rise) < 0.3


def test_the_copying_start_says_what_it_needs() -> None:
    with pytest.raises(ModelError, match="copying_start needs"):
        build_network(NetworkConfig(64, 1, 4, 64, copying_start=True), Vocabulary())


def test_every_committed_configuration_loads() -> None:
    import optiformer

    found = sorted((Path(optiformer.__file__).parent / "configs").glob("**/*.yaml"))
    digests = {RunConfig.load(path).digest() for path in found}
    assert found
    assert len(digests) == len(found)


def test_a_shipped_configuration_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunConfig.load("scale-180-steps").train.steps == 180
    with pytest.raises(ModelError, match=r"no configuration 'scale-180-step'.*scale-180-steps"):
        RunConfig.load("scale-180-step")

"""`optibench variants`: networks trained with the same seeds at equal budget, and compared."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from optibench.cli.main import main
from optibench.errors import HarnessError
from optibench.studies.network_variants import FOLDER, read, train, write

BASE = """
encoding: trialset
network: {hidden_size: 32, n_layers: 2, n_heads: 2, intermediate_size: 48}
trialset: {slots: 6, bins: 32, queries: 8, max_trials: 16, prior: {dimensions: [1, 2, 3]}}
train: {steps: 20, batch_tokens: 120, validate_every: 2, validation_batches: 1, precision: fp32, seed: 7}
"""
SPEC = """
base: {base}
settings: {{train: {{steps: 4}}}}
control: as it is
variants:
  LayerNorm: {{trialset: {{variant: {{norm: layernorm}}}}}}
  2 batches an update: {{train: {{steps: 2, accumulation: 2, validate_every: 1}}}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "spec.yaml").write_text(SPEC.format(base=tmp_path / "base.yaml"))
    return tmp_path / "spec.yaml"


def test_the_shipped_comparison_has_equal_budgets_and_every_attention() -> None:
    from typing import get_args

    from optiformer.surrogate.config import Attention

    found = read("optiformer")
    assert next(iter(found.runs)) == found.control == "as shipped"
    assert {run.trialset.variant.attention for run in found.runs.values()} == set(get_args(Attention))
    assert len({run.digest() for run in found.runs.values()}) == len(found.runs)
    assert all(path.name == "optiformer.yaml" for path in FOLDER.iterdir())


def test_variants_are_trained_compared_and_not_trained_again(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["variants", str(spec), "--seeds", "2", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err.count("LayerNorm, seed ") == 2
    assert "differences from as it is, paired by seed" in shown.out
    assert "nats a candidate" in shown.out
    assert "4 steps of about 120 positions" in shown.out
    table = pd.read_csv(tmp_path / "out" / "variants.csv")
    assert table.groupby(["variant", "seed"])["epoch"].apply(list).map(tuple).to_dict() == {
        (name, seed): steps
        for name, steps in (("as it is", (2, 4)), ("LayerNorm", (2, 4)), ("2 batches an update", (1, 2)))
        for seed in (7, 8)
    }
    assert table["value"].between(1, 6).all()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("variants.md", "variants.csv", "box.png", "curves.png", "trained")
    }

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("optiformer.training.loop.accumulate", refuse)
    assert main(arguments) == 0
    assert capsys.readouterr().out == shown.out


def test_a_training_that_fails_is_told_and_compared_with_nothing(spec: Path, tmp_path: Path) -> None:
    spec.write_text(spec.read_text() + "  no sense: {train: {learning_rate: 1.0e+30}}\n")
    compared = read(str(spec))
    said: list[str] = []
    table = train(compared, 2, tmp_path, progress=said.append)
    assert any(line.startswith("no sense, seed 7: The loss became nan") for line in said)
    assert "| no sense | 0 (2 failed) | none |" in write(table, compared, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 2, ", "steps: 3, ", "'2 batches an update' is trained on 720 positions and 'as it is' on 480"),
        ("variant: {norm: layernorm}", "bins: 64", "'LayerNorm' is judged by other functions"),
        ("{norm: layernorm}", "{norm: layernrom}", "norm must be one of rmsnorm, layernorm"),
        ("{norm: layernorm}", "{norms: layernorm}", "unknown setting 'norms'"),
        ("control: as it is\n", "", "spec.yaml: object missing required field `control`"),
        ("settings: {train: {steps: 4}}", "settings: 4", r"spec\.yaml:\d+: `settings`: expected `object`, got `int`"),
        (
            "LayerNorm: {trialset: {variant: {norm: layernorm}}}",
            "LayerNorm: 3",
            r"spec\.yaml:\d+: `variants.*`: expected `object`, got `int`",
        ),
        ("base.yaml", "absent.yaml", "absent.yaml cannot be read"),
        (
            "{norm: layernorm}",
            "{dropout: .nan}",
            "LayerNorm: trialset: variant: dropout must be a number of at least 0 and",
        ),
        ("{steps: 4}", "{beta2: 7}", "settings: train: beta2 must be a number of at least 0 and below 1, not 7"),
        ("settings: {", "settings: {encoding: trialsets, ", "settings: encoding must be one of seq, trialset"),
        ("settings: {", "settings: {encoding: seq, ", "`base` has the encoding seq, which needs data"),
        ("control: as it is", "control: LayerNorm", "names that differ, and from 'LayerNorm' too"),
    ],
)
def test_a_specification_that_is_none_is_one_sentence(spec: Path, old: str, new: str, message: str) -> None:
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))
    with pytest.raises(HarnessError, match=message):
        read(str(spec))


def test_a_missing_specification_and_a_single_seed_are_refused(spec: Path, tmp_path: Path) -> None:
    with pytest.raises(
        HarnessError,
        match=r"Cannot read the specification nowhere: No such .*; give a YAML file or one of: optiformer\.",
    ):
        read("nowhere")
    with pytest.raises(HarnessError, match="at least 2 seeds, not 1"):
        train(read(str(spec)), 1, tmp_path)

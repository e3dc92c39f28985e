"""`optibench variants`: networks at equal budget, or configurations of a task, compared by seed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optibench.cli.main import main
from optibench.errors import HarnessError
from optibench.studies.specifications import FOLDER, read
from optibench.studies.variants import run
from optibench.yaml_file import by_name
from optibench_benchmarks import Evaluation, create
from optibench_benchmarks.conformance import plain
from optibench_benchmarks.training.base import DivergedError

BASE = """
encoding: surrogate
network: {hidden_size: 32, n_layers: 2, n_heads: 2, intermediate_size: 48}
surrogate: {slots: 6, bins: 32, queries: 8, max_trials: 16, prior: {dimensions: [1, 2, 3]}}
train: {steps: 20, batch_tokens: 120, validate_every: 2, validation_batches: 1, precision: fp32, seed: 7}
"""
SPEC = """
base: {base}
settings: {{train: {{steps: 4}}}}
control: as it is
variants:
  LayerNorm: {{surrogate: {{variant: {{norm: layernorm}}}}}}
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
    assert next(iter(found.fits)) == found.control == "as shipped"
    runs = [fit.args[0] for fit in found.fits.values()]
    assert {run.surrogate.variant.attention for run in runs} == set(get_args(Attention))
    assert len({run.digest() for run in runs}) == len(runs)
    assert list(by_name(FOLDER)) == ["ideas", "mainrun", "moe-router", "optiformer"]


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
    said: list[str] = []
    text = run(read(str(spec)), 2, tmp_path, progress=said.append)
    assert any(line.startswith("no sense, seed 7: The loss became nan") for line in said)
    assert "| no sense | 0 (2 failed) | none |" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "steps: 2, ",
            "steps: 3, ",
            r"spec\.yaml:7: '2 batches an update' is trained on 720 positions and 'as it is' on 480",
        ),
        ("variant: {norm: layernorm}", "bins: 64", "'LayerNorm' is validated on different functions"),
        ("{norm: layernorm}", "{norm: layernrom}", "norm must be one of rmsnorm, layernorm"),
        ("{norm: layernorm}", "{norms: layernorm}", "unknown setting 'norms'"),
        ("control: as it is\n", "", "spec.yaml: object missing required field `control`"),
        ("base: ", "bases: ", r"spec\.yaml:2: unknown key 'bases'"),
        ("base: ", "metrics: [a]\nbase: ", r"spec\.yaml:2: unknown key 'metrics'"),
        ("base: ", "# ", "spec.yaml: give `task`, a task that trains, or `base`"),
        ("settings: {train: {steps: 4}}", "settings: 4", r"spec\.yaml:\d+: `settings`: expected `object`, got `int`"),
        (
            "LayerNorm: {surrogate: {variant: {norm: layernorm}}}",
            "LayerNorm: 3",
            r"spec\.yaml:6: `variants\.LayerNorm`: expected `object`, got `int`",
        ),
        ("base.yaml", "absent.yaml", "absent.yaml cannot be read"),
        (
            "{norm: layernorm}",
            "{dropout: .nan}",
            r"spec\.yaml:6: LayerNorm: surrogate: variant: dropout must be a number of at least 0 and",
        ),
        ("{steps: 4}", "{beta2: 7}", "settings: train: beta2 must be a number of at least 0 and below 1, not 7"),
        ("settings: {", "settings: {encoding: surrogates, ", "settings: encoding must be one of seq, surrogate"),
        ("settings: {", "settings: {encoding: seq, ", "`base` has the encoding seq, which needs data"),
        ("control: as it is", "control: LayerNorm", r"spec\.yaml:4: `variants` need names other than 'LayerNorm'"),
    ],
)
def test_a_specification_that_is_none_is_one_sentence(spec: Path, old: str, new: str, message: str) -> None:
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))
    with pytest.raises(HarnessError, match=message):
        read(str(spec))


def test_a_missing_specification_a_single_seed_and_a_file_for_a_folder_are_refused(spec: Path, tmp_path: Path) -> None:
    with pytest.raises(
        HarnessError,
        match=r"Cannot read the specification nowhere: No such .*; give .*: ideas, mainrun, moe-router, optiformer\.",
    ):
        read("nowhere")
    with pytest.raises(HarnessError, match="at least 2 seeds, not 1"):
        run(read(str(spec)), 1, tmp_path)
    with pytest.raises(HarnessError, match=r"Cannot write to .*base\.yaml: .*; choose another --out"):
        run(read(str(spec)), 2, tmp_path / "base.yaml")


# --- configurations of a task


TASK = """
task: moe-router
baseline: {layer_emb: 11}
control: untuned
variants:
  wide: {units_1: 512}
  no depth: {num_layers: 2}
  best found: reference
metrics: [test_top2]
first_seed: 2_000_000
value: validation Top-2
fidelity: {epochs: 2}
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Mapping[str, Any], int]]:
    """Every training asked of the routing task, which only ends well with layers of 512 units or none too few."""
    found: list[tuple[Mapping[str, Any], int]] = []

    def train(_: object, config: Mapping[str, Any], seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        found.append((config, seed))
        assert fidelity == {"epochs": 2, "data_fraction": 1.0}
        if config["num_layers"] == 2 and config["layer_emb"] == 11 and seed % 2:
            raise DivergedError("The training diverged.")
        value = 0.7 + 0.01 * (seed % 3) + 0.05 * (config["units_1"] == 512)
        curve = {"epoch": [1, 2], "validation_loss": [2.0, 1.0], "validation_top2": [0.5, value]}
        info = {"test_top2": value - 0.5, "parameters": 1000 * config["num_layers"], "kind": "x"}
        return Evaluation(value, info=info, curve=curve)

    monkeypatch.setattr("optibench_benchmarks.training.moe.tasks.MoERouter.train", train)
    (tmp_path / "task.yaml").write_text(TASK)
    return found


def test_configurations_of_a_task_are_paired_by_seed_and_kept(
    asked: list[tuple[Mapping[str, Any], int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["variants", str(tmp_path / "task.yaml"), "--seeds", "4", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    seeds = [2_000_000, 2_000_001, 2_000_002, 2_000_003]
    assert [seed for _, seed in asked] == [seed for seed in seeds for _ in range(4)]
    assert "no depth, seed 2000001: The training diverged." in shown.err
    value, metric = shown.out.split("test_top2:")
    rows = [line.split(" | ") for line in value.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == ["| wide", "| no depth", "| untuned", "| best found"]  # the highest first
    assert rows[0][2:4] == ["0.7625 [0.7473, 0.7777]", "+0.0500 [+0.0500, +0.0500]"]
    assert rows[1][1:4] == ["2 (2 failed)", "0.7150 [0.6515, 0.7785]", "+0.0000 [+0.0000, +0.0000]"]
    assert "Networks of 2,000 to 3,000 parameters." in metric
    assert "| wide | 4 | 0.2625 [0.2473, 0.2777] | +0.0500 [+0.0500, +0.0500] |" in metric
    table = pd.read_csv(tmp_path / "out" / "variants.csv")
    assert table[(table.variant == "wide") & (table.seed == 2_000_000)].value.tolist() == [0.5, 0.77]
    asked.clear()
    next((tmp_path / "out" / "trained").iterdir()).write_text("{")
    assert main(arguments) == 0
    assert capsys.readouterr().out == shown.out
    assert len(asked) == 3  # the damaged one and the two that failed
    assert {2_000_001, 2_000_003} <= {seed for _, seed in asked}


def test_a_variant_is_a_complete_legal_configuration(
    asked: list[tuple[Mapping[str, Any], int]], tmp_path: Path
) -> None:
    from optibench_benchmarks.references.table import entries

    run(read(str(tmp_path / "task.yaml")), 2, tmp_path / "out")
    default = plain(create("moe-router").space.get_default_configuration()) | {"layer_emb": 11}
    shallow = {name: value for name, value in default.items() if name != "units_3"} | {"num_layers": 2}
    best = entries()["moe-router/generated"].best
    assert [config for config, _ in asked[:4]] == [default, default | {"units_1": 512}, shallow, best]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("task: moe-router", "task: moe-router/x", r"task\.yaml:2: Unknown benchmark"),
        ("task: moe-router", "task: synthetic/sphere-2d", r"task\.yaml:2: the values of synthetic"),
        (
            "layer_emb: 11",
            "layer_emb: 99",
            r"task\.yaml:3: `baseline` is not a configuration of moe-router/generated: .*99",
        ),
        ("units_1", "colour", r"task\.yaml:6: 'wide' is not a configuration of .*: there is no parameter colour"),
        ("reference", "refrence", r"task\.yaml:8: `variants\.best found`: invalid enum value 'refrence'"),
        ("epochs: 2", "epoch: 2", r"task\.yaml:12: .*epoch"),
        (
            "[test_top2]",
            "[test_top3, kind]",
            r"task\.yaml:9: 'untuned' has no metric test_top3, kind; its metrics: parameters, test_top2",
        ),
        ("2_000_000", "-1", r"task\.yaml:10: `first_seed`: expected `int` >= 0"),
        ("  wide", "  untuned", r"task\.yaml:4: `variants` need names other than 'untuned'"),
        ("  wide", "  7", r"task\.yaml:5: `variants`: expected `str`, got `int` as a key"),
        ("metrics:", "metric:", r"task\.yaml:9: unknown key 'metric'"),
    ],
)
def test_a_specification_of_a_task_that_is_none_is_one_sentence(
    asked: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert old in TASK
    (tmp_path / "task.yaml").write_text(TASK.replace(old, new))
    assert main(["variants", str(tmp_path / "task.yaml"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert len(asked) <= 1


def test_a_task_without_a_reference_has_no_best_configuration(asked: object, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(TASK.replace("moe-router", "moe-router/generated-full"))
    with pytest.raises(HarnessError, match=r"task\.yaml:8: 'best found': moe-router/generated-full has no reference"):
        read(str(tmp_path / "task.yaml"))


def test_the_shipped_comparisons_of_tasks_are_the_published_ones() -> None:
    ablation, routing = read("mainrun"), read("moe-router")
    configs = [fit.args[1] for fit in ablation.fits.values()]
    baseline = configs[0]
    assert baseline == plain(create("mainrun/gpt").space.get_default_configuration()) | {"learning_rate": 0.008}
    changed = {name for config in configs for name in config if config[name] != baseline.get(name)}
    assert changed >= set(baseline) - {"learning_rate", "warmup"}
    assert sum(config == baseline for config in configs) == 1
    assert (ablation.first_seed, routing.first_seed) == (3_000_000, 2_000_000)
    assert (ablation.measured.direction, routing.measured.direction) == ("minimize", "maximize")

"""Recorded surfaces: packing, sampling and training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

from optiformer.errors import ModelError
from optiformer.network_config import NetworkConfig
from optiformer.surrogate.checkpoint import default_checkpoint
from optiformer.surrogate.config import FunctionPriorConfig, RecordedConfig, SurrogateConfig
from optiformer.surrogate.prior.histories import sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.prior.recorded import Surfaces, main, pack, sample_rows
from optiformer.training.config import RunConfig, TrainConfig
from optiformer.training.loop import train

N, COLUMNS = 40, 5


def space(flat: bool) -> ConfigurationSpace:
    found = ConfigurationSpace(
        {"rate": Float("rate", (1e-3, 1.0), log=True), "trees": Integer("trees", (1, 64), log=True)}
    )
    if not flat:
        found.add(Categorical("kernel", ["a", "b", "c"]), Float("width", (0.0, 1.0)))
        found.add(EqualsCondition(found["width"], found["kernel"], "b"))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of one task each; every seventh configuration of the first one fails."""
    folder = tmp_path_factory.mktemp("recorded")
    for seed, (learner, group) in enumerate((("svm", "linear"), ("forest", "forests"))):
        own = space(flat=learner == "forest")
        own.seed(seed)
        head = {"learner": learner, "group": group, "data": "rows", "space": own.to_serialized_dict()}
        lines: list[dict[str, Any]] = [head]
        for number, config in enumerate(own.sample_configuration(N)):
            values = {name: value.item() if isinstance(value, np.generic) else value for name, value in config.items()}
            fails = learner == "svm" and number % 7 == 3
            scores = {"accuracy": round(values["rate"], 6), "constant": 1.0}
            lines.append({"config": values, "scores": {} if fails else scores})
        (folder / learner).mkdir()
        (folder / learner / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    assert pack(folder, folder / "rows.safetensors", rows=N) == 2  # the constant scores are none
    return folder / "rows.safetensors"


@pytest.fixture(scope="module")
def surfaces(file: Path) -> Surfaces:
    return Surfaces.load(file, COLUMNS)


def test_a_packed_file_holds_the_recorded_values(surfaces: Surfaces) -> None:
    assert (surfaces.names, surfaces.groups) == (["forest/rows/accuracy", "svm/rows/accuracy"], ["forests", "linear"])
    assert surfaces.kinds.present.sum(1).tolist() == [2, 4]
    assert surfaces.kinds.levels[1].tolist() == [3, 0, 0, 0, 0]  # kernel, rate, trees, width
    assert surfaces.failed.sum(1).tolist() == [0, 6]
    svm = surfaces.of(torch.tensor([1]))
    rate, ok = svm.position[0, :, 1], ~svm.failed[0]
    expected = np.log(-svm.value[0][ok].numpy() / 1e-3) / np.log(1e3)  # accuracy is the rate, minimized
    np.testing.assert_allclose(rate[ok], expected, atol=1e-3)
    kernel = (svm.position[0, :, 0] * 3).long()
    assert torch.equal(svm.active[0, :, 3], kernel == 1)


def test_histories_and_candidates_are_disjoint_recorded_rows(surfaces: Surfaces) -> None:
    rows = sample_rows(RandomSource(0), surfaces, 50, 12, 20, noisy=0.0, changed=False)
    for number in range(50):
        surface = int(rows.kinds.present[number].sum() == 4)
        known = {tuple(row) for row in surfaces.position[surface].tolist()}
        observed, candidates = ({tuple(row) for row in each[number].tolist()} for each in (rows.trials, rows.queries))
        assert observed <= known
        assert candidates <= known
        assert not observed & candidates
        assert not rows.failed[number].all()


def test_a_changed_surface_keeps_the_order_of_its_values(surfaces: Surfaces) -> None:
    forest, _ = surfaces.split("linear")
    for seed in range(20):
        rows = sample_rows(RandomSource(seed), forest, 1, 20, 20, noisy=0.0)
        differences = rows.observed[0][rows.trials[0, :, 0].argsort()].diff()
        assert (differences <= 1e-6).all() or (differences >= -1e-6).all()  # the scale may be mirrored


def test_choices_in_another_order_stay_apart(surfaces: Surfaces) -> None:
    _, svm = surfaces.split("linear")
    rows = sample_rows(RandomSource(3), svm, 200, 20, 20, noisy=0.0)
    kernel = (rows.trials[..., 0] * 3).long()
    shows = {tuple(sorted(set(kernel[row][rows.trials_active[row, :, 3]].tolist()))) for row in range(200)}
    assert shows - {()} == {(0,), (1,), (2,)}  # one choice shows the width, any of the three


def test_a_group_can_be_excluded(surfaces: Surfaces) -> None:
    kept, left = surfaces.split("linear")
    assert (kept.groups, left.groups) == (["forests"], ["linear"])
    kept, left = surfaces.split("")
    assert (len(kept), len(left)) == (2, 0)
    with pytest.raises(ModelError, match="No recorded surface is of the group 'linaer', only of forests, linear"):
        surfaces.split("linaer")


def encoding(file: Path, left_out: str = "") -> SurrogateConfig:
    return SurrogateConfig(
        slots=3,
        sorted=True,
        bins=32,
        queries=8,
        max_trials=24,
        prior=FunctionPriorConfig(dimensions=(1, 2, COLUMNS)),
        recorded=RecordedConfig(str(file), 0.5, left_out),
    )


def test_a_batch_has_its_share_of_recorded_rows(file: Path, surfaces: Surfaces) -> None:
    config = encoding(file)
    batch = sample_batch(RandomSource(1), config, 2000, surfaces=surfaces)
    plain = sample_batch(RandomSource(1), config, 2000)
    assert batch.trials.shape == plain.trials.shape
    synthetic = len(batch.scores) - round(0.5 * len(batch.scores))
    assert set(batch.kinds.present[synthetic:].sum(1).tolist()) == {2, 4}
    assert torch.isfinite(batch.targets).all()


def test_training_on_recorded_surfaces_starts_from_a_checkpoint(file: Path, tmp_path: Path) -> None:
    train_config = TrainConfig(
        steps=4, batch_tokens=600, validate_every=4, validation_batches=1, device="cpu", snapshots=2
    )
    run = RunConfig(
        "recorded", "surrogate", surrogate=encoding(file), network=NetworkConfig(16, 1, 2, 16), train=train_config
    )
    first = train(run, tmp_path, tmp_path / "first", progress=False)
    assert sorted(path.name for path in (tmp_path / "first").glob("step-*")) == ["step-2", "step-4"]
    onwards = replace(run, train=replace(train_config, start=str(first), schedule="constant", cooldown=0.5))
    assert train(onwards, tmp_path, tmp_path / "second", progress=False).exists()
    assert onwards.digest() != run.digest()
    wider = replace(onwards, network=NetworkConfig(24, 1, 2, 16))
    with pytest.raises(ModelError, match=r"train.start: .*first.best is a checkpoint of a different network"):
        train(wider, tmp_path, tmp_path / "third", progress=False)


def test_a_folder_is_packed_from_the_command_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(folder), str(tmp_path / "rows.safetensors"), "--rows", str(N)])
    assert capsys.readouterr().out == f"{tmp_path / 'rows.safetensors'}: 2 surfaces.\n"
    with pytest.raises(ModelError, match=rf"has no recorded task of {N + 1} configurations; record more or"):
        main([str(folder), str(tmp_path / "none.safetensors"), "--rows", str(N + 1)])
    (tmp_path / "svm").mkdir()
    (tmp_path / "svm" / "rows.jsonl").write_text('{"learner": "svm"}\n{"config": {"ra')
    with pytest.raises(ModelError, match=r"svm.rows\.jsonl is no recording .*; delete it and record it again"):
        main([str(tmp_path), str(tmp_path / "none.safetensors")])


def test_bad_files_are_refused_in_one_sentence(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"surfaces of 4 parameters, more than the 3 of the prior"):
        Surfaces.load(file, 3)
    with pytest.raises(ModelError, match=r"missing\.safetensors cannot be read"):
        Surfaces.load(tmp_path / "missing.safetensors", 3)
    (tmp_path / "torn.safetensors").write_bytes(file.read_bytes()[:300])
    with pytest.raises(ModelError, match=r"torn\.safetensors cannot be read .* record and pack them"):
        Surfaces.load(tmp_path / "torn.safetensors", COLUMNS)
    with pytest.raises(ModelError, match=r"model\.safetensors holds no recorded surfaces; record and pack them"):
        Surfaces.load(default_checkpoint() / "model.safetensors", COLUMNS)
    with pytest.raises(ModelError, match=f"A history of 30 trials and 20 candidates needs 50 recorded rows, not {N}"):
        sample_rows(RandomSource(0), Surfaces.load(file, COLUMNS), 1, 30, 20, noisy=0.0)
    with pytest.raises(ModelError, match="recorded needs both a file and a share above 0"):
        RecordedConfig(share=0.5)

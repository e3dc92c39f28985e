"""The held-out loss of networks on the same histories."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from optiformer.errors import ModelError
from optiformer.evaluation.held_out import held_out_loss, main, on_rows
from optiformer.network_config import NetworkConfig
from optiformer.surrogate.checkpoint import load
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.training.config import RunConfig, TrainConfig
from optiformer.training.loop import train

SURROGATE = SurrogateConfig(slots=2, bins=32, queries=8, max_trials=24, prior=FunctionPriorConfig(dimensions=(1, 2)))
TRAIN = TrainConfig(steps=2, batch_tokens=256, validation_batches=2, validate_every=2, warmup=0.5, precision="fp32")
RUN = RunConfig("tiny", "surrogate", surrogate=SURROGATE, network=NetworkConfig(16, 1, 2, 16), train=TRAIN)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    return train(RUN, folder, folder, progress=False)


def test_the_loss_is_that_of_the_training_and_the_histories_are_those_of_the_configuration(trained: Path) -> None:
    assert held_out_loss(RUN, trained) == pytest.approx(load(trained).info["validation_loss"], abs=1e-5)
    elsewhere = replace(RUN, train=replace(TRAIN, seed=1))
    assert held_out_loss(elsewhere, trained) != pytest.approx(held_out_loss(RUN, trained), abs=1e-5)
    # the network's own settings are the checkpoint's, whatever the configuration says
    assert held_out_loss(replace(RUN, surrogate=replace(SURROGATE, frequencies=3)), trained) == held_out_loss(
        RUN, trained
    )


def test_networks_for_other_histories_are_refused(trained: Path) -> None:
    wide = replace(RUN, surrogate=replace(SURROGATE, slots=3))
    with pytest.raises(ModelError, match="has histories of 2 columns and tiny of 3: compare others"):
        held_out_loss(wide, trained)
    with pytest.raises(ModelError, match="a checkpoint of a different network"):
        held_out_loss(replace(RUN, surrogate=replace(SURROGATE, bins=16)), trained)


def test_the_table_has_a_column_of_recorded_tunings(
    trained: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(json.dumps(asdict(RUN)))
    main([str(tmp_path / "tiny.yaml"), str(trained), "--rows", str(file)])
    own, recorded = held_out_loss(RUN, trained), held_out_loss(on_rows(RUN, file), trained)
    assert own != pytest.approx(recorded, abs=1e-5)
    parameters, positions = (load(trained).info[name] for name in ("parameters", "tokens"))
    row = f"| {trained} | {parameters:,} | {positions:,} | {own:.3f} | {recorded:.3f} |"
    assert capsys.readouterr().out.splitlines()[2] == row

"""The likelihood on recorded tunings."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from optiformer.errors import ModelError
from optiformer.evaluation import learned_priors
from optiformer.evaluation.recorded import HISTORIES, learned_prior, main, recorded_likelihood
from optiformer.gp.kernels import HEADS
from optiformer.gp.prior import PRIORS, GPPrior
from optiformer.network_config import NetworkConfig
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays, default_checkpoint, load, save
from optiformer.surrogate.config import FunctionPriorConfig, RecordedConfig, SurrogateConfig
from optiformer.surrogate.network.network import build
from optiformer.surrogate.prior.recorded import Surfaces

NETWORK = NetworkConfig(16, 1, 2, 16)


def checkpoint(file: Path, left_out: str) -> SurrogateCheckpoint:
    encoding = SurrogateConfig(
        slots=2,
        bins=32,
        queries=8,
        max_trials=24,
        prior=FunctionPriorConfig(dimensions=(1, 2)),
        recorded=RecordedConfig(str(file), 0.5, left_out),
    )
    return SurrogateCheckpoint(arrays(build(encoding, NETWORK, seed=0).state_dict()), encoding, NETWORK, {})


def test_a_gp_beats_an_untrained_network_on_a_smooth_surface(file: Path) -> None:
    known = checkpoint(file, "linear")
    kept, left_out = Surfaces.load(file, 2).split("linear")
    prior = learned_prior(known.encoding, kept, batches=3)
    found = recorded_likelihood(known, left_out, {"map": GPPrior(), "learned": prior}, functions=6, queries=16)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(("n", "network", "map", "learned"), 6)
    assert found["map"].mean() < found["network"].mean() - 0.5
    assert found["learned"].mean() < found["network"].mean() - 0.5


def test_priors_are_learned_for_each_kind_of_gp_and_written(file: Path, tmp_path: Path) -> None:
    known = checkpoint(file, "trees")
    save(tmp_path / "network", known.weights, known.encoding, NETWORK, info={})
    assert load(tmp_path / "network").priors == load(default_checkpoint()).priors
    learned_priors.main([str(tmp_path / "network"), "--rows", str(file), "--batches", "1"])
    content = json.loads((tmp_path / "network" / PRIORS).read_text())
    assert content["histories"] == HISTORIES
    assert [prior.keys() for prior in content["priors"]] == [asdict(GPPrior()).keys()] * len(HEADS)
    found = load(tmp_path / "network").priors
    assert [prior.log_noise for prior in found] == [prior["log_noise"] for prior in content["priors"]]
    assert found != load(default_checkpoint()).priors


def test_priors_of_recorded_tunings_need_their_file(file: Path, tmp_path: Path) -> None:
    known = checkpoint(file, "trees")
    save(tmp_path / "network", known.weights, known.encoding, NETWORK, info={})
    with pytest.raises(ModelError, match="was trained on recorded tunings, too; name their file with --rows"):
        learned_priors.main([str(tmp_path / "network")])


def test_the_table_names_what_was_left_out(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = checkpoint(file, "trees")
    save(tmp_path / "without-trees", known.weights, known.encoding, NETWORK, info={})
    main([str(file), str(tmp_path / "without-trees"), "--functions", "2", "--prior-batches", "1"])
    assert capsys.readouterr().out.splitlines()[2].startswith("| without-trees | trees | ")
    synthetic = replace(known.encoding, recorded=RecordedConfig())
    save(tmp_path / "synthetic", known.weights, synthetic, NETWORK, info={})
    main([str(file), str(tmp_path / "synthetic"), "--functions", "2", "--prior-batches", "1"])
    assert capsys.readouterr().out.splitlines()[2].startswith("| synthetic | all | ")
    everything = replace(known.encoding, recorded=RecordedConfig(str(file), 0.5))
    save(tmp_path / "all", known.weights, everything, NETWORK, info={})
    with pytest.raises(ModelError, match="all left no group of learners out: there is nothing to test it on"):
        main([str(file), str(tmp_path / "all")])

"""An optimizer's training phase runs once, before its cells, and its cost stands beside that of its suggestions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONFIG = """
data: {n_trajectories: 60, shard_size: 60, teachers: [{name: random, share: 1, n_trials: 30}]}
network: {hidden_size: 64, n_layers: 2, n_heads: 4, intermediate_size: 64}
augment: {max_trials: 6}
train: {steps: 2, batch_tokens: 600, validation_batches: 1, precision: fp32}
"""


def test_a_grid_trains_once_before_its_cells(optibench: Any, table: Any, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(CONFIG)
    grid = ("-o", "random,optiformer-seq:train=small.yaml", "-b", "synthetic/sphere-2d", "-s", 2, "-t", 12, "-j", 1)
    done = optibench("run", *grid, "--out", "one", XDG_CACHE_HOME=str(tmp_path / "cache"))
    cost = json.loads((tmp_path / "one" / "training.json").read_text())["optiformer-seq:train=small.yaml"]
    assert cost["seconds"] > 0
    assert not cost["cached"]
    assert cost["precision"] == "fp32"
    trials = table(tmp_path / "one")
    assert (trials.state == "ok").all(), trials.error.tolist()
    assert "training s" in (tmp_path / "one" / "report" / "report.md").read_text()
    assert "Report:" in done.stdout

    optibench("run", "--no-report", *grid, "--out", "two", XDG_CACHE_HOME=str(tmp_path / "cache"))
    again = json.loads((tmp_path / "two" / "training.json").read_text())["optiformer-seq:train=small.yaml"]
    assert again == {**cost, "cached": True}
    assert table(tmp_path / "two").equals(trials)

    (tmp_path / "small.yaml").write_text(CONFIG.replace("steps: 2", "steps: 3"))
    refused = optibench("run", *grid, "--out", "two", check=2, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert "a different grid" in refused.stderr


def test_a_missing_training_configuration_is_one_sentence(optibench: Any, tmp_path: Path) -> None:
    done = optibench("run", "-o", "optiformer-seq:train=no.yaml", "-b", "synthetic/sphere-2d", "--out", "out", check=2)
    assert "no.yaml" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()

"""Recorded tunings: real evaluations, written down so that a stopped recording goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from ConfigSpace.util import check_configuration

from optibench_benchmarks.live import recorded
from optibench_benchmarks.live.data import DATASETS
from optibench_benchmarks.live.recorded import Recorder, Table, record, tables
from optibench_benchmarks.live.tasks import LEARNERS


def two_moons() -> Any:
    from sklearn.datasets import make_moons

    return make_moons(90, noise=0.2, random_state=0)


MOONS = Table("moons", "made", two_moons)


@pytest.mark.parametrize("learner", sorted(LEARNERS))
def test_every_learner_scores_on_a_table_or_refuses(learner: str) -> None:
    recorder = Recorder(LEARNERS[learner], MOONS)
    configs = recorder.configurations([], 6, seed=0)
    scores = [recorder.scores(config) for config in configs]
    assert any(scores)
    for found in filter(None, scores):
        assert {"accuracy", "balanced"} <= set(found) <= {"accuracy", "balanced", "log_loss"}
        assert 0 <= found["accuracy"] <= 1
    assert scores == [recorder.scores(config) for config in configs]


def test_regression_is_scored_by_what_it_explains_and_by_its_errors() -> None:
    friedman = next(table for table in tables() if table.name == "made-friedman1")
    found = Recorder(LEARNERS["tree"], friedman).scores(
        {"criterion": "squared_error", "splitter": "best", "max_depth": 8, "min_samples_split": 2}
        | {"min_samples_leaf": 4, "max_features": 1.0, "ccp_alpha": 1e-5}
    )
    assert 0.2 < found["r2"] < 1
    assert found["mae"] < 0


def test_half_of_the_configurations_are_near_the_better_ones_and_all_are_valid() -> None:
    recorder = Recorder(LEARNERS["svm"], MOONS)
    first = recorder.configurations([], 40, seed=1)
    elite = first[0] | {"C": 1.0}
    known = [(elite, 1.0), *((config, 0.0) for config in first[1:])]
    later = recorder.configurations(known, 40, seed=2)
    for config in later:
        check_configuration(recorder.space, _vector(recorder.space, config))
    best = {tuple(sorted(config.items())) for config, _ in known[:4]}
    kept = [
        sum(item in dict(items).items() for item in config.items())
        for config in later
        for items in [max(best, key=lambda b: len(set(b) & set(config.items())))]
    ]
    assert np.mean(kept[:20]) > np.mean(kept[20:]) + 1


def _vector(space: ConfigurationSpace, config: dict[str, Any]) -> Any:
    from ConfigSpace import Configuration

    return Configuration(space, config).get_array()


def test_a_stopped_recording_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "tables", lambda: [MOONS])
    monkeypatch.setattr(recorded, "LEARNERS", {name: LEARNERS[name] for name in ("knn", "tree")})
    said: list[str] = []
    record(tmp_path, 4, minutes=5, batch=4, shown=said.append)
    first = {path.name: path.read_text() for path in tmp_path.glob("*/*.jsonl")}
    record(tmp_path, 8, minutes=5, batch=4, shown=said.append)
    for path in tmp_path.glob("*/moons.jsonl"):
        head, *lines = map(json.loads, path.read_text().splitlines())
        assert (head["data"], head["source"], len(lines)) == ("moons", "made", 8)
        assert head["group"] == {"knn": "other", "tree": "trees"}[head["learner"]]
        ConfigurationSpace.from_serialized_dict(head["space"])
    assert set(first) == {"moons.jsonl"}
    assert said[-1] == "Round 2: 2 tasks have 8 configurations each."
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.glob("*/*.jsonl"))
    record(tmp_path, 8, minutes=5, batch=4, shown=said.append)
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.glob("*/*.jsonl")) == before
    record(tmp_path, 99, minutes=0, batch=4, shown=said.append)
    assert said[-1] == "The time is up in round 3, after 0 of 2 tasks."


def test_a_task_that_is_too_slow_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "tables", lambda: [MOONS])
    monkeypatch.setattr(recorded, "LEARNERS", {"tree": LEARNERS["tree"]})
    monkeypatch.setattr(recorded, "MAX_SECONDS", 0.0)
    said: list[str] = []
    record(tmp_path, 20, minutes=5, batch=10, shown=said.append)
    assert said[-1] == "Round 2: 0 tasks have 20 configurations each. Too slow, left out: tree/moons."


def test_nothing_recorded_is_a_task_of_the_bench() -> None:
    names = {table.name for table in tables()} | {table.source for table in tables()}
    assert not names & set(DATASETS)
    assert len(tables()) >= 25
    assert len(LEARNERS) >= 10


@pytest.mark.parametrize("wrong", [("--configurations", "0"), ("--minutes", "-1"), ("--minutes", "nan")])
def test_a_recording_of_nothing_is_refused(
    wrong: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        recorded.main([str(tmp_path / "rows"), *wrong])
    assert stopped.value.code == 2
    assert "--configurations and --minutes must be positive" in capsys.readouterr().err
    assert not (tmp_path / "rows").exists()

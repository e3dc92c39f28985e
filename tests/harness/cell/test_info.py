"""What an evaluation returns beside its value: from a benchmark into the stored table and out of it into a report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import optibench_benchmarks
from optibench.cell.trials import (
    LEFT_OUT,
    MAX_INFO,
    MAX_INFO_ITEMS,
    MAX_INFO_TEXT,
    info_text,
    metric_names,
    metric_values,
)
from optibench.cli.main import main
from optibench.errors import HarnessError
from optibench.plan.plan import Plan
from optibench.store.run_folder import TRIALS, Store

TASK = "hpobench/ml/histgb/iris"


def test_what_an_evaluation_returned_is_in_the_table(stored: pd.DataFrame) -> None:
    trained = stored["task"] == TASK
    assert stored.loc[~trained, "info"].isna().all()
    task = optibench_benchmarks.create(TASK)
    for trial in stored[trained].itertuples():
        assert json.loads(trial.info) == task.evaluate(json.loads(trial.config), seed=0).info


def test_the_directions_of_metrics_are_kept_and_change_no_key(run: Path) -> None:
    store = Store.open(run)
    planned = store.plan()
    assert planned.tasks[TASK].metrics["test_accuracy"] == "maximize"
    assert not planned.tasks["synthetic/sphere-2d"].metrics

    def changed(**changes: Any) -> Plan:
        task = msgspec.structs.replace(planned.tasks[TASK], **changes)
        return msgspec.structs.replace(planned, tasks={**planned.tasks, TASK: task})

    older = changed(metrics={})
    assert list(older.cells()) == list(planned.cells())
    store.refuse_difference(older)  # and a folder of before is the same grid
    with pytest.raises(HarnessError, match="a different grid"):
        store.refuse_difference(changed(direction="minimize"))


def test_a_compact_folder_has_only_the_metrics_that_are_named(run: Path, stored: pd.DataFrame, tmp_path: Path) -> None:
    for name, flags in {"all": (), "none": ("--compact",), "one": ("--compact", "--metric", "test_accuracy")}.items():
        assert main(["publish", str(run), str(tmp_path / name), *flags]) == 0
    everything = pq.read_table(tmp_path / "all" / TRIALS)["info"].drop_null().to_pylist()
    assert everything == stored["info"].dropna().tolist()
    assert pq.read_table(tmp_path / "none" / TRIALS)["info"].null_count == len(stored)
    infos = [json.loads(text) for text in pq.read_table(tmp_path / "one" / TRIALS)["info"].to_pylist() if text]
    assert len(infos) == 12
    assert all(list(info) == ["test_accuracy"] for info in infos)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--compact", "--metric", "test_acuracy"), "did you mean test_accuracy?"),
        (("--metric", "test_accuracy"), "leave --metric out"),
    ],
)
def test_a_metric_that_cannot_be_kept_is_one_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], words: str
) -> None:
    assert main(["publish", str(run), str(tmp_path / "new"), *flags]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class Broken:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class Hostile(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 3


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.1 + 0.2, 0.1 + 0.2),
        (math.nan, None),
        (-math.inf, None),
        (True, True),
        (2**63, 2**63),
        (10**30, 1e30),
        (np.float64(0.25), 0.25),
        (np.float32(0.1), 0.1),
        (np.float64("nan"), None),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array(3.5), 3.5),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([0.5, np.nan]), [0.5, None]),
        ((1, 2), [1, 2]),
        ({"fold": {1: np.float64(0.5)}}, {"fold": {"1": 0.5}}),
        (b"caf\xe9", "caf\\xe9"),
        ("\udcff", "\\udcff"),
        (1 + 2j, "(1+2j)"),
        (Broken(), "<Broken>"),
        pytest.param(10**10_000, "<int>", id="digits"),
        ([Broken(), 1], ["<Broken>", 1]),
    ],
)
def test_any_value_is_kept_as_json(value: Any, kept: Any) -> None:
    text = info_text({"before": 1, "it": value, "after": 2})
    assert text is not None
    text.encode("ascii")
    assert json.loads(text, parse_constant=pytest.fail) == {"before": 1, "it": kept, "after": 2}


@pytest.mark.parametrize(
    "info",
    [
        {"log": "x" * 10**6, "loss": 0.5},
        {"weights": np.zeros((2000, 2000)), "loss": 0.5},
        {"cycle": CYCLE, "loss": 0.5},
        {"deep": {"a": {"b": {"c": {"d": 1}}}}, "loss": 0.5},
        {"grid": [[0.123456789] * 1000] * 1000, "loss": 0.5},
        {("not", "a string"): 1, None: 2, 3: 4, Broken: 5, "loss": 0.5},
    ],
)
def test_the_size_is_bounded_and_a_metric_beside_what_is_large_survives(info: Mapping[Any, Any]) -> None:
    text = info_text(info) or ""
    assert len(text) <= MAX_INFO + 100
    assert json.loads(text)["loss"] == 0.5
    assert metric_values([text, None], "loss")[0] == 0.5


def test_what_does_not_fit_is_counted() -> None:
    many = json.loads(info_text({f"m{i}": i for i in range(10_000)}) or "")
    assert len(many) == MAX_INFO_ITEMS + 1
    assert many[LEFT_OUT] == 10_000 - MAX_INFO_ITEMS
    assert json.loads(info_text({"grid": [["x" * MAX_INFO_TEXT] * 100] * 2, "a": 1}) or "") == {"a": 1, LEFT_OUT: 1}
    assert json.loads(info_text({1: "a", "1": "b"}) or "") == {"1": "a", LEFT_OUT: 1}


def test_an_info_that_is_no_mapping_loses_no_trial() -> None:
    assert info_text(None) is None
    assert info_text({}) is None
    assert info_text([0.5]) == '{"info": [0.5]}'
    assert info_text(Hostile()) == '{"error": "info cannot be read: RuntimeError"}'


def test_the_numbers_of_a_metric() -> None:
    infos = [info_text(info) for info in ({"a": 1, "b": "x"}, {"a": math.nan}, {"b": True}, None, {"a": 0.5, "c": 2})]
    found = metric_values(infos, "a")
    assert [value for value in found if value == value] == [1.0, 0.5]
    assert all(math.isnan(value) for value in metric_values(infos, "b"))
    assert metric_names(infos) == ["a", "c"]
    with pytest.raises(ValueError, match="not the info of a trial"):
        metric_values(['["a"]'], "a")


def test_yahpos_other_metrics_are_kept_and_declared() -> None:
    try:
        task = optibench_benchmarks.create("yahpo/lcbench/3945")
    except optibench_benchmarks.MissingDataError as error:
        pytest.skip(str(error))
    config = dict(task.space.get_default_configuration())
    (alone,), single = task.evaluate_batch([config], seed=0), task.evaluate(config, seed=0)
    assert single.info == alone.info
    assert set(single.info) == set(task.metrics) >= {"val_accuracy", "test_balanced_accuracy", "time"}
    assert (single.info["val_accuracy"], task.metrics["test_cross_entropy"]) == (single.value, "minimize")
    other = optibench_benchmarks.create("yahpo/lcbench/3945/test_cross_entropy+noise=0.1")
    assert other.metrics == task.metrics
    assert other.evaluate(config, seed=0).info == single.info


@pytest.mark.parametrize("name", ["digits/mlp", "hpobench/ml/svm/iris", "moe-router/generated", "mainrun/gpt"])
def test_a_declared_metric_of_a_training_is_one_that_it_returns(name: str) -> None:
    import inspect

    from optibench_benchmarks.training import network
    from optibench_benchmarks.training.hpobench import tasks as hpobench
    from optibench_benchmarks.training.mainrun import gpt
    from optibench_benchmarks.training.moe import model as moe_model

    task = optibench_benchmarks.create(name)
    makers = {"digits": network, "hpobench": hpobench, "moe-router": moe_model, "mainrun": gpt}
    source = inspect.getsource(makers[name.partition("/")[0]])
    assert task.metrics
    for metric in task.metrics:
        assert f'"{metric}":' in source


def test_a_report_shows_a_metric_at_the_incumbent(
    run: Path, stored: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(run), str(tmp_path / "small"), "--compact", "--metric", "test_accuracy"]) == 0
    for folder in (run, tmp_path / "small"):
        out = tmp_path / f"report-{folder.name}"
        assert main(["report", str(folder), "--metric", "test_accuracy", "--out", str(out)]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "By test_accuracy (maximize) at the incumbent that the objective chose," in said
        assert "1 task without test_accuracy, left out of its tables: synthetic/sphere-2d." in (
            (out / "report.md").read_text().replace("\\", "")
        )
        shown = pd.read_csv(out / "tables" / "metric_test_accuracy_tasks_at_3.csv")
        for optimizer, mean in shown.set_index("optimizer")["mean"].items():
            mine = stored[(stored["task"] == TASK) & (stored["optimizer"] == optimizer)]
            best = mine.loc[mine.groupby("seed")["value"].idxmax()]  # the first of several
            assert mean == pytest.approx(np.mean([json.loads(text)["test_accuracy"] for text in best["info"]]))


def test_two_runs_are_compared_by_a_metric(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", str(run), str(tmp_path / "same")]) == 0
    both = ["compare", str(run), str(tmp_path / "same"), "--out", str(tmp_path / "report")]
    assert main([*both, "--metric", "test_accuracy:maximize"]) == 0
    assert "By test_accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("test_acuracy", "No trial in {run} has a metric 'test_acuracy': did you mean test_accuracy?"),
        ("test_accuracy:max", "No trial in {run} has a metric 'test_accuracy:max': did you mean test_accuracy?"),
        ("test_accuracy:minimize", "leave out ':minimize'"),
    ],
)
def test_a_metric_that_cannot_be_shown_is_one_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, words: str
) -> None:
    assert main(["report", str(run), "--out", str(tmp_path / "report"), "--metric", metric]) == 2
    said = capsys.readouterr().err
    assert words.format(run=run) in said
    assert said.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_tables_of_an_earlier_version_are_read_and_have_no_metric(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(run), str(tmp_path / "old")]) == 0
    table = pq.read_table(tmp_path / "old" / TRIALS)
    pq.write_table(table.drop_columns(["info"]), tmp_path / "old" / TRIALS)
    assert main(["report", str(tmp_path / "old")]) == 0
    assert main(["report", str(tmp_path / "old"), "--metric", "test_accuracy"]) == 2
    assert "its trials have none." in capsys.readouterr().err
    assert main(["publish", str(tmp_path / "old"), str(tmp_path / "again"), "--compact"]) == 0
    merged = ["report", str(tmp_path / "old"), str(run), "--out", str(tmp_path / "merged")]
    assert main([*merged, "--metric", "test_accuracy"]) == 0

"""A grid runs to the same table whatever the executor, and faults become failed trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

CHEAP = ("-o", "random,sobol", "-b", "synthetic/sphere-2d,synthetic/ackley-5d", "-s", "3", "-t", "15")


def test_executors_give_the_same_table(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "serial", "--executor", "serial")
    optibench("run", "--no-report", *CHEAP, "--out", "processes", "-j", 2)
    serial, processes = table(tmp_path / "serial"), table(tmp_path / "processes")
    assert len(serial) == 2 * 2 * 3 * 15
    pd.testing.assert_frame_equal(serial, processes)


def test_all_optimizers_of_a_task_and_seed_share_the_initial_design(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out", "--initial-size", 4)
    trials = table(tmp_path / "out")
    initial = trials[trials.phase == "initial"]
    assert set(initial.trial) == {0, 1, 2, 3}
    for _, group in initial.groupby(["task", "seed", "trial"]):
        assert group.config.nunique() == 1
        assert group.value.nunique() == 1
    assert initial.groupby(["task", "seed"]).config.nunique().eq(4).all()
    assert initial[initial.trial == 0].config.nunique() == 2 * 3, "every task and seed has a design of its own"
    search = trials[trials.phase == "search"]
    assert search.groupby(["optimizer", "task"]).config.nunique().eq(3 * 11).all(), "seeds differ"


def test_an_optimizer_can_keep_its_own_initial_design(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out", "--initial", "own")
    assert set(table(tmp_path / "out").phase) == {"search"}


def test_regret_follows_the_incumbent_and_the_reference(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out")
    trials, tasks = table(tmp_path / "out"), json.loads((tmp_path / "out" / "tasks.json").read_text())
    for (_, task, _), cell in trials.groupby(["optimizer", "task", "seed"]):
        reference = tasks[task]["reference"]
        best = cell.value.cummin()
        assert cell.incumbent.tolist() == best.tolist()
        expected = (best - reference["f_best"]) / (reference["f_ref"] - reference["f_best"])
        assert cell.regret.tolist() == pytest.approx(expected.tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "task", "error"),
    [
        ("random", "misbehaving/raise", "evaluate: ValueError: x is negative"),
        ("random", "misbehaving/nan", "the objective returned nan"),
        ("random", "misbehaving/inf", "the objective returned inf"),
        ("bad-ask", "synthetic/sphere-2d", "ask: RuntimeError: no idea"),
        ("bad-setup", "synthetic/sphere-2d", "setting up the optimizer: RuntimeError: no such file"),
        ("illegal", "synthetic/sphere-2d", "the optimizer proposed an illegal configuration"),
        ("random", "misbehaving/die", "evaluate: the worker died (signal SIGKILL)"),
    ],
)
def test_a_fault_becomes_failed_trials_and_the_grid_goes_on(
    optimizer: str, task: str, error: str, optibench: Any, table: Any, tmp_path: Path
) -> None:
    command = ("run", "--no-report", "-o", f"{optimizer},sobol", "-b", task, "-s", "2", "-t", "20")
    optibench(*command, "--initial-size", 2, "-j", 2, "--out", "out", check=3)
    trials = table(tmp_path / "out")
    assert len(trials) == 2 * 2 * 20
    failed = trials[(trials.optimizer == optimizer) & (trials.state == "failed")]
    assert len(failed) > 0
    assert failed.error.str.startswith(error).all(), failed.error.tolist()
    assert failed.value.isna().all()
    assert trials[trials.state == "ok"].value.notna().all()
    assert trials.regret.notna().all()


def test_a_failed_tell_keeps_the_value_and_says_so(optibench: Any, table: Any, tmp_path: Path) -> None:
    grid = ("-o", "bad-tell", "-b", "synthetic/sphere-2d", "-s", "1", "-t", "5", "--initial-size", 2)
    optibench("run", "--no-report", *grid, "--out", "out", check=3)
    trials = table(tmp_path / "out")
    assert (trials.state == "ok").all()
    assert (trials.error == "tell: RuntimeError: not listening").all()


def test_before_the_first_success_the_regret_is_the_worst_reference(optibench: Any, table: Any, tmp_path: Path) -> None:
    grid = ("-o", "bad-ask", "-b", "misbehaving/log", "-s", "1", "-t", "4", "--initial", "own")
    optibench("run", "--no-report", *grid, "--out", "out", check=3)
    assert table(tmp_path / "out").regret.tolist() == [4.0] * 4


def test_a_truncated_result_is_refused_and_mended_by_a_run(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out")
    whole = table(tmp_path / "out")
    victim = sorted((tmp_path / "out" / "cells").glob("*/*.arrow"))[0]
    victim.write_bytes(victim.read_bytes()[:100])
    (tmp_path / "out" / "trials.parquet").unlink()
    done = optibench("report", "out", check=2)
    assert victim.name in done.stderr
    assert "optibench run --out out" in done.stderr
    assert done.stderr.count("\n") == 1
    optibench("run", "--no-report", "--out", "out")
    pd.testing.assert_frame_equal(table(tmp_path / "out"), whole)


def test_a_truncated_compaction_is_made_again(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out")
    whole = table(tmp_path / "out")
    compacted = tmp_path / "out" / "trials.parquet"
    compacted.write_bytes(compacted.read_bytes()[:200])
    pd.testing.assert_frame_equal(table(tmp_path / "out"), whole)


def test_provenance_names_code_packages_machine_and_threads(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out")
    (run,) = json.loads((tmp_path / "out" / "provenance.json").read_text())["runs"]
    assert run["packages"]["optuna"]
    assert run["packages"]["optiformer-bench"]
    assert run["threads"]["OMP_NUM_THREADS"] == "1"
    assert run["cpu"]
    assert run["command"].startswith("optibench run")
    optibench("run", "--no-report", "--out", "out")
    assert len(json.loads((tmp_path / "out" / "provenance.json").read_text())["runs"]) == 1, "nothing was left to run"


def test_a_run_ends_with_its_table_on_screen_and_the_path_of_the_report(optibench: Any, tmp_path: Path) -> None:
    done = optibench("run", *CHEAP, "--out", "out")
    assert "mean rank" in done.stdout
    assert "Report: out/report/report.md" in done.stdout
    assert (tmp_path / "out" / "report" / "report.md").exists()


def test_a_published_run_reports_the_same_and_needs_no_cells(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out")
    optibench("publish", "out", "small")
    assert {path.name for path in (tmp_path / "small").iterdir()} == {
        "fingerprints.json",
        "grid.yaml",
        "provenance.json",
        "tasks.json",
        "trials.parquet",
    }
    pd.testing.assert_frame_equal(table(tmp_path / "small"), table(tmp_path / "out"))
    original, published = optibench("report", "out").stdout, optibench("report", "small").stdout
    assert original.replace("out/", "small/") == published
    assert "exists" in optibench("publish", "out", "small", check=2).stderr


def test_a_compact_one_is_smaller_and_has_the_same_regrets(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out")
    optibench("publish", "out", "whole")
    optibench("publish", "out", "small", "--compact")
    sizes = {name: (tmp_path / name / "trials.parquet").stat().st_size for name in ("whole", "small")}
    assert sizes["small"] < 0.7 * sizes["whole"]
    pd.testing.assert_frame_equal(
        table(tmp_path / "whole").drop(columns="config"), table(tmp_path / "small").drop(columns="config")
    )
    whole, small = (pd.read_parquet(tmp_path / name / "trials.parquet") for name in ("whole", "small"))
    assert small["config"].isna().all()
    assert small["started_at"].isna().all()
    known = whole["ask_seconds"] > 0
    assert (small["ask_seconds"][known] / whole["ask_seconds"][known] - 1).abs().max() < 0.006
    texts = [optibench("report", name).stdout for name in ("whole", "small")]
    assert [line for line in texts[0].splitlines() if "regret" in line] == [
        line for line in texts[1].splitlines() if "regret" in line
    ]


def test_an_unfinished_run_is_not_published(optibench: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", *CHEAP, "--out", "out")
    next((tmp_path / "out" / "cells").glob("*/*.arrow")).unlink()
    assert "1 cells of out are not finished" in optibench("publish", "out", "small", check=2).stderr
    assert not (tmp_path / "small").exists()


def test_a_cell_that_was_run_again_is_compacted_again(optibench: Any, table: Any, tmp_path: Path) -> None:
    optibench("run", "--no-report", "-o", "forgetful", "-b", "misbehaving/log", "-s", 1, "-t", 15, "--out", "out")
    before = table(tmp_path / "out")
    next((tmp_path / "out" / "cells").glob("*/*.arrow")).unlink()
    optibench("run", "--no-report", "--out", "out")
    assert table(tmp_path / "out").value.tolist() != before.value.tolist()


@pytest.mark.parametrize(("initial", "words"), [("shared", "shared: 10 random"), ("own", "each library's own")])
def test_a_report_says_which_initial_design(initial: str, words: str, optibench: Any, tmp_path: Path) -> None:
    optibench("run", *CHEAP, "--initial", initial, "--out", "out")
    assert words in (tmp_path / "out" / "report" / "report.md").read_text()

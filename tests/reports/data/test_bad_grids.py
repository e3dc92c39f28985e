"""`optibench report` of small or empty grids: its conclusions, or why there are none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import yaml

from optibench.cli.main import main
from optibench_reports.data.results import Results

Make = Callable[..., Results]
AsFolder = Callable[[Results, Path], Path]
THREE = ("random", "tpe", "gp-botorch")
TEN = [f"{family}/{i}" for i in range(5) for family in ("a", "b")]
pytestmark = [pytest.mark.usefixtures("quick_figures"), pytest.mark.filterwarnings("error")]


@pytest.fixture
def report(as_folder: AsFolder, tmp_path: Path) -> Callable[..., Path]:
    """Publish the results, each in a folder, and report them with the command; the folder of the report."""

    def write(*grids: Results, options: tuple[str, ...] = ()) -> Path:
        folders = [as_folder(grid, tmp_path / f"grid-{i}") for i, grid in enumerate(grids)]
        out = tmp_path / "out"
        assert main(["report", *map(str, folders), "--out", str(out), *options]) == 0
        return out

    return write


def words(out: Path) -> str:
    """The report's text on one line; it contains no NaN."""
    text = (out / "report.md").read_text(encoding="utf-8")
    assert not {"nan", "inf", "none"} & set(re.sub(r"\W", " ", text.lower()).split())
    return re.sub(r"\\(.)", r"\1", " ".join(text.split()))


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(out / "tables" / f"{name}.csv")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence on standard error of a command that ends with 2."""
    capsys.readouterr()
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert re.fullmatch(r"optibench: [^\n]+\n", streams.err)
    return streams.err


def final(results: Results) -> pd.DataFrame:
    """Mean regret of each task (row) and optimizer (column) after the last trial, with pandas."""
    trials = results.trials.astype({"optimizer": str, "task": str})
    last = trials[trials["trial"] == trials["trial"].max()]
    return last.groupby(["task", "optimizer"])["regret"].mean().unstack()


def test_an_empty_grid(make: Make, as_folder: AsFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = as_folder(make(THREE, TEN, seeds=2, trials=6), tmp_path / "grid")
    (folder / "trials.parquet").unlink()
    (folder / "cells").mkdir()
    (folder / "journal").mkdir()
    message = refused(["report", str(folder)], capsys)
    assert "There is no finished trial to report yet: run the grid first" in message
    assert not (folder / "report").exists()


def test_a_grid_of_nothing(make: Make, as_folder: AsFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = as_folder(make(THREE, TEN, seeds=2, trials=6), tmp_path / "grid")
    grid = yaml.safe_load((folder / "grid.yaml").read_text())
    grid["grid"]["optimizers"] = None
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    assert "damaged" in refused(["report", str(folder)], capsys)


def test_a_partial_grid_counts_what_is_missing_and_compares_complete_tasks(
    make: Make, report: Callable[..., Path]
) -> None:
    missing = [("tpe", "a/0", seed) for seed in range(3)] + [("gp-botorch", "b/1", 2)]
    results = make(THREE, TEN, seeds=3, trials=12, missing=missing)
    out = report(results)
    text = words(out)
    assert "4 of 90 planned cells missing, 0 short." in text
    assert "1 task left out of ranks, means and tests, because a compared optimizer lacks a seed there: a/0." in text
    assert "1 (2/3)" not in text
    complete = final(results).dropna()
    assert len(complete) == 9
    ranks = table(out, "ranks").query("trials == 12").set_index("optimizer")
    np.testing.assert_allclose(ranks.loc[complete.columns, "mean_regret"], complete.mean())
    expected = scipy.stats.rankdata(complete, axis=1).mean(axis=0)
    np.testing.assert_allclose(ranks.loc[complete.columns, "mean_rank"], expected)
    assert table(out, "missing")["missing_seeds"].astype(str).tolist() == ["2", "0 1 2"]


def test_a_grid_of_which_one_cell_is_done(make: Make, report: Callable[..., Path]) -> None:
    results = make(THREE, TEN, seeds=3, trials=12)
    trials = results.trials.astype({"optimizer": str, "task": str})
    one = (trials["optimizer"] == "tpe") & (trials["task"] == "b/3") & (trials["seed"] == 1)
    text = words(report(replace(results, trials=trials[one].reset_index(drop=True))))
    assert "Only tpe of 3 optimizers has finished cells, so there is no winner yet." in text
    assert "Only 1 of 90 planned cells are finished." in text
    assert "89 of 90 planned cells missing, 0 short." in text
    assert "There is one complete task" in text
    assert "1 pair of optimizer and task has a single seed: no interval, no mark." in text


def test_optimizers_without_a_common_task(make: Make, report: Callable[..., Path]) -> None:
    results = make(("random", "tpe"), TEN, seeds=2, trials=8)
    trials = results.trials.astype({"optimizer": str, "task": str})
    apart = (trials["optimizer"] == "tpe") == trials["task"].str.startswith("a/")
    text = words(report(replace(results, trials=trials[apart].reset_index(drop=True))))
    assert "No task was reached by enough optimizers for a comparison after 8 trials." in text
    assert "Nothing can be tested." in text


def test_one_optimizer(make: Make, report: Callable[..., Path]) -> None:
    results = make(("tpe",), TEN, seeds=3, trials=12)
    out = report(results)
    text = words(out)
    assert "Only tpe was run, so there is no winner." in text
    assert "With a single optimizer there is nothing to test." in text
    assert table(out, "ranks")["mean_regret"].iloc[-1] == pytest.approx(final(results)["tpe"].mean())
    assert table(out, "pairs_at_12").empty
    assert table(out, "friedman").empty
    assert not (out / "figures" / "critical_difference.png").exists()


def test_one_task(make: Make, report: Callable[..., Path]) -> None:
    out = report(make(THREE, ("a/0",), seeds=5, trials=12))
    text = words(out)
    assert "There is one complete task: intervals reflect its seeds only and say nothing about other tasks." in text
    assert "Significance cannot be tested: with 1 task the smallest possible p value is 1, above" in text
    assert table(out, "friedman").empty
    assert table(out, "pairs_at_12")[["p", "p_holm", "paired_t_p", "cohens_d"]].isna().all(axis=None)


def test_all_ties(make: Make, report: Callable[..., Path]) -> None:
    results = make(THREE, TEN, seeds=3, trials=12, failures=0.0)
    out = report(replace(results, trials=results.trials.assign(regret=0.25)))
    text = words(out)
    assert "gp-botorch, random and tpe share the best mean rank of 3 optimizers over 10 tasks" in text
    assert "all tie on every task, so there is no winner" in text
    assert "Each has a mean normalised regret of 0.250 [0.250, 0.250]" in text
    assert "There is no difference to test: all tie." in text
    assert "All optimizers tie on 10 tasks after 12 trials." in text
    ranks = table(out, "ranks").query("trials == 12")
    assert (ranks["mean_rank"] == 2.0).all()
    assert (ranks["mean_regret"] == 0.25).all()
    pairs = table(out, "pairs_at_12")
    assert (pairs["ties"] == 10).all()
    assert (pairs["p_holm"] == 1.0).all()
    assert (pairs["a12"] == 0.5).all()
    assert table(out, "friedman")["p"].tolist() == [1.0] * len(table(out, "friedman"))


@pytest.mark.parametrize("regret", [0.0, 0.3, -1e-3])
def test_a_constant_task(make: Make, report: Callable[..., Path], regret: float) -> None:
    results = make(THREE, TEN, seeds=3, trials=12, missing=[("tpe", "b/4", 1)])
    trials = results.trials.copy()
    trials.loc[trials["task"] == "b/4", "regret"] = regret
    out = report(replace(results, trials=trials))
    text = words(out)
    assert "All optimizers tie on 1 task after 12 trials." in text
    rows = table(out, "regret_at_12").query("task == 'b/4'")
    np.testing.assert_allclose(rows["mean_regret"], max(regret, 0.0), atol=1e-15)
    assert not rows["best"].any()
    expected = scipy.stats.rankdata(final(replace(results, trials=trials)).clip(lower=0).round(12), axis=1)
    ranks = table(out, "ranks").query("trials == 12").set_index("optimizer")["mean_rank"]
    np.testing.assert_allclose(ranks.loc[sorted(THREE)], expected.mean(axis=0))
    clipped = "Regret was below 0 and clipped in 96 trials on 1 task (lowest -0.0010)"
    assert (clipped in text) == (regret < 0)


def test_seconds_that_are_not_known(make: Make, report: Callable[..., Path]) -> None:
    results = make(THREE, TEN, seeds=2, trials=8)
    columns = dict.fromkeys(("ask_seconds", "evaluate_seconds", "tell_seconds", "cost_seconds"), np.nan)
    out = report(replace(results, trials=results.trials.assign(**columns)))
    words(out)
    assert not (out / "figures" / "regret_by_ask_time.png").exists()
    assert table(out, "latency")["ask_mean_seconds"].isna().all()
    assert table(out, "convergence")["median_ask_seconds"].isna().all()


def test_mixed_trial_counts_are_compared_where_all_are(make: Make, report: Callable[..., Path]) -> None:
    fast, slow = (make(names, TEN, seeds=3, trials=n) for names, n in ((("random", "tpe"), 40), (("gp-botorch",), 20)))
    out = report(fast, slow, options=("--at", "20,40"))
    text = words(out)
    assert "gp-botorch has the best mean rank of 3 optimizers over 10 tasks after 20 trials" in text
    assert "After 40 trials: not compared, as on fewer than 50% of the tasks: gp-botorch (0 of 10 tasks)." in text
    ranks = table(out, "ranks").set_index(["trials", "optimizer"])
    for count, grids in ((20, (fast, slow)), (40, (fast,))):
        rows = pd.concat([grid.trials[grid.trials["trial"] == count - 1] for grid in grids])
        expected = rows.astype({"optimizer": str, "task": str}).groupby(["optimizer", "task"])["regret"].mean()
        for optimizer, mean in expected.groupby("optimizer").mean().items():
            assert ranks.loc[(count, optimizer), "mean_regret"] == pytest.approx(mean)
    assert np.isnan(ranks["mean_regret"].get((40, "gp-botorch"), np.nan))

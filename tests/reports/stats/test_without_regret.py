"""Tests that need no reference values: signs over tasks, and the seeds of one task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from optibench_reports.data.results import Results
from optibench_reports.stats.analysis import Analysis, analyse
from optibench_reports.stats.without_regret import MAX_TASKS
from optibench_reports.tables.without_regret import without_regret_tables
from optibench_reports.text.summary import cautions, sentences, terminal

Make = Callable[..., Results]
TWO = ("random", "gp-botorch")


def run(results: Results, control: str | None = None) -> Analysis:
    return analyse(results, at=[12], draws=200, seed=0, control=control)


def last_values(results: Results) -> pd.DataFrame:
    """Final incumbents by task and seed, a column an optimizer, lower is better."""
    last = results.trials[results.trials["trial"] == 11].astype({"optimizer": str, "task": str})
    sign = last["task"].map(lambda task: -1.0 if results.tasks[task]["direction"] == "maximize" else 1.0)
    return last.assign(value=sign * last["incumbent"]).pivot(
        index=["task", "seed"], columns="optimizer", values="value"
    )


def tables(analysis: Analysis) -> dict[str, pd.DataFrame]:
    return {table.name: table.data for table in without_regret_tables(analysis)}


def test_tasks_without_reference_values_are_tested_by_signs(make: Make) -> None:
    tasks = [f"t/{i:02}" for i in range(12)]
    results = make((*TWO, "tpe"), tasks, seeds=3, trials=12, without_reference=tasks)
    analysis = run(results)
    signs = tables(analysis)["signs_at_12"].set_index(["a", "b"])
    means = last_values(results).groupby("task").mean()
    for (a, b), row in signs.iterrows():  # type: ignore[misc]
        wins, losses = int((means[a] < means[b]).sum()), int((means[a] > means[b]).sum())
        assert (row["wins"], row["losses"]) == (wins, losses)
        assert row["p"] == pytest.approx(scipy.stats.binomtest(wins, wins + losses).pvalue)
    assert len(signs) == 3
    assert signs["p_holm"].max() == pytest.approx(signs["p"].max())
    assert signs["p_holm"].min() == pytest.approx(3 * signs["p"].min())
    assert "seeds_at_12" not in tables(analysis)
    text = sentences(analysis)
    assert "gp-botorch is significantly better than" in text[2]
    assert "sign test over 12 tasks, Holm over all 3 pairs" in text[2]
    assert "no mean regret" in text[1]
    assert any("only ranks and signs" in note for note in cautions(analysis))
    assert len(tables(run(results, control="random"))["signs_at_12"]) == 2


def test_one_task_is_tested_over_its_seeds_and_the_report_says_so(make: Make) -> None:
    results = make(TWO, ("own/up", "own/down")[:1], seeds=20, trials=12, without_reference=("own/up",))
    analysis = run(results)
    (pair,) = tables(analysis)["seeds_at_12"].to_dict("records")
    ends = last_values(results)
    expected = scipy.stats.wilcoxon(ends[pair["a"]], ends[pair["b"]], zero_method="pratt", method="exact").pvalue
    assert pair["p"] == pair["p_holm"] == pytest.approx(expected)
    assert pair["mean_difference"] == pytest.approx((ends[pair["a"]] - ends[pair["b"]]).mean())
    first, second, third = sentences(analysis)
    assert "gp-botorch has the best mean rank of 2 optimizers over 1 task" in first
    assert "On own/up, the mean best value of gp-botorch is" in second
    assert "over 20 seeds of one task, which says nothing of other tasks" in third
    assert "signs_at_12" not in tables(analysis)
    assert "mean best value of own/up after n trials" in terminal(analysis).replace("\n", " ")


def test_a_task_with_a_reference_has_a_p_value_over_its_seeds_too(make: Make) -> None:
    results = make(TWO, ("own/task",), seeds=20, trials=12)
    analysis = run(results)
    assert analysis.signs == (None,)
    assert list(tables(analysis)) == ["seeds_at_12"]
    assert "over 20 seeds of one task" in sentences(analysis)[2]


def test_a_few_tasks_are_tested_one_by_one(make: Make) -> None:
    tasks = ("a/x", "b/y", "c/z")
    results = make(TWO, tasks, seeds=20, trials=12, without_reference=tasks)
    analysis = run(results)
    assert tables(analysis)["signs_at_12"][["p", "p_holm"]].isna().all(axis=None)
    seeds = tables(analysis)["seeds_at_12"]
    better = int(((seeds["p_holm"] <= 0.05) & (seeds["wins"] > seeds["losses"])).sum())
    assert better > 0
    text = sentences(analysis)[2]
    assert text.startswith("Significance cannot be tested: with 3 tasks the smallest possible p value is 0.25")
    assert f"gp-botorch is better than random on {better} and worse on 0" in text
    assert "Holm over 3 comparisons" in text
    many = [f"t/{i}" for i in range(MAX_TASKS + 1)]
    assert analyse(make(tasks=many, seeds=20, trials=12), at=[12], draws=200, seed=0).seeds == (None,)


def test_too_few_seeds_give_no_p_value_either(make: Make) -> None:
    analysis = run(make(TWO, ("a/x",), seeds=5, trials=12, without_reference=("a/x",)))
    assert tables(analysis)["seeds_at_12"][["p", "p_holm"]].isna().all(axis=None)
    (table,) = [table for table in without_regret_tables(analysis) if table.name.startswith("seeds")]
    assert "No p values: with 5 seeds the smallest possible p value is 0.0625, above 0.05" in table.note
    assert sentences(analysis)[2] == (
        "Significance cannot be tested: with 1 task the smallest possible p value is 1, above 0.05; with 5 seeds the "
        "smallest possible p value is 0.0625, above 0.05."
    )


@pytest.mark.parametrize(("without", "method"), [(1, "signed-rank test over 12 tasks"), (8, "sign test over 13 tasks")])
def test_regrets_are_tested_where_they_can_be_and_signs_use_all_tasks(make: Make, without: int, method: str) -> None:
    tasks = [f"t/{i:02}" for i in range(13)]
    results = make(TWO, tasks, seeds=3, trials=12, without_reference=tasks[-without:])
    analysis = run(results)
    assert method in sentences(analysis)[2]
    assert tables(analysis)["signs_at_12"]["tasks"].tolist() == [13]
    assert len(tables(analysis)["values_at_12"]) == 2 * without


def test_values_are_those_of_the_tasks_own_direction(make: Make) -> None:
    tasks = ("a/down", "b/up")
    results = make(TWO, tasks, seeds=4, trials=12, without_reference=tasks)
    info = {**results.tasks, "b/up": {**results.tasks["b/up"], "random": {"f_ref": -1.5}}}
    results = replace(results, tasks=info)
    found = tables(run(results))["values_at_12"].set_index(["task", "optimizer"])
    last = results.trials[results.trials["trial"] == 11].astype({"optimizer": str, "task": str})
    means = last.groupby(["task", "optimizer"])["incumbent"].mean()
    assert (means.loc["b/up"] < 0).all()
    for key, value in means.items():
        assert found.loc[key, "mean_value"] == pytest.approx(value)  # type: ignore[index]
    assert found.loc["b/up", "best"].sum() == 1
    assert found["best"].idxmax()[1] == "gp-botorch"  # type: ignore[index]
    assert found.loc["b/up", "random_median"].tolist() == [-1.5, -1.5]
    assert np.isnan(found.loc["a/down", "random_median"]).all()

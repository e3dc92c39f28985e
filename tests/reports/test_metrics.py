"""Metrics at the incumbent: the objective chooses the trial, whatever the metric of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import optibench_reports
from optibench_reports.data.results import ReportError, Results
from optibench_reports.stats.analysis import Analysis, analyse
from optibench_reports.stats.metrics import Metric, parse
from optibench_reports.tables.metrics import metric_cautions, metric_sentences, metric_tables

Make = Callable[..., Results]
NAME = "test_accuracy"
THREE = ("tpe", "random", "cmaes")
TASKS = tuple(f"{family}/{i}" for family in ("a", "b") for i in range(6))


def with_metric(results: Results, direction: str | None = "maximize", *, without: tuple[str, ...] = ()) -> Results:
    """The same with a metric that is unrelated to the value and sometimes negative."""
    values = np.random.default_rng(1).normal(0.2, 1.0, len(results.trials))
    values[results.trials["task"].isin(without).to_numpy()] = np.nan
    tasks = {name: dict(task) for name, task in results.tasks.items()}
    for task in tasks.values() if direction else ():
        task["metrics"] = {NAME: direction}
    return replace(results, trials=results.trials.assign(**{f"metric:{NAME}": values}), tasks=tasks)


def run(results: Results, *metrics: Metric, at: tuple[int, ...] = (10, 20)) -> Analysis:
    return analyse(results, at=at, draws=200, seed=0, metrics=metrics or (Metric(NAME),))


def by_hand(results: Results, count: int) -> pd.DataFrame:
    """The metric of each cell after ``count`` trials, found trial by trial."""
    rows = []
    trials = results.trials.astype({"optimizer": str, "task": str})
    for (optimizer, task, seed), cell in trials.groupby(["optimizer", "task", "seed"]):
        sign = 1 if results.tasks[task]["direction"] == "minimize" else -1
        best, found = np.inf, np.nan
        for trial in cell.sort_values("trial").head(count).to_dict("records"):
            if trial["state"] == "ok" and sign * trial["value"] < best:
                best, found = sign * trial["value"], trial[f"metric:{NAME}"]
        if len(cell) >= count:
            rows.append((optimizer, task, seed, found))
    return pd.DataFrame(rows, columns=["optimizer", "task", "seed", "metric"])


@pytest.fixture(scope="module")
def results(make: Make) -> Results:
    return with_metric(make(THREE, TASKS, seeds=4, trials=20, failures=0.2))


def test_the_metric_is_that_of_the_trial_which_the_objective_chose(results: Results) -> None:
    analysis = run(results)
    (metric,) = analysis.metrics
    for a, count in enumerate((10, 20)):
        for row in by_hand(results, count).itertuples():
            o, t = analysis.grid.optimizers.index(row.optimizer), analysis.grid.tasks.index(row.task)
            np.testing.assert_equal(metric.scores[o, t, row.seed, a], row.metric)


def test_a_shuffled_table_gives_the_same(results: Results) -> None:
    shuffled = results.trials.sample(frac=1.0, random_state=0).reset_index(drop=True)
    np.testing.assert_equal(run(replace(results, trials=shuffled)).metrics[0].scores, run(results).metrics[0].scores)


def test_means_ranks_and_tests_are_those_of_pandas_and_scipy(results: Results) -> None:
    analysis = run(results)
    table = by_hand(results, 20).groupby(["task", "optimizer"])["metric"].mean().unstack()
    shown = next(t for t in metric_tables(analysis) if t.name == f"metric_{NAME}_at_20").data
    for family, part in {"a": table.loc["a/0":"a/5"], "b": table.loc["b/0":"b/5"], "all": table}.items():  # type: ignore[misc]
        rows = shown[shown["family"] == family].set_index("optimizer").loc[list(part.columns)]
        np.testing.assert_allclose(rows["mean"], part.mean())
        np.testing.assert_allclose(rows["mean_rank"], scipy.stats.rankdata(-part, axis=1).mean(axis=0))
        assert (rows["mean_low"] <= rows["mean"]).all()
        assert (rows["mean"] <= rows["mean_high"]).all()
    pairs = next(t for t in metric_tables(analysis) if t.name == f"metric_{NAME}_pairs_at_20").data
    assert len(pairs) == 3
    for pair in pairs.itertuples():
        a, b = table[pair.a], table[pair.b]
        assert pair.mean_difference == pytest.approx((a - b).mean())
        assert pair.difference_low <= pair.mean_difference <= pair.difference_high
        assert (pair.wins, pair.ties, pair.losses) == ((a > b).sum(), 0, (a < b).sum())
        assert pair.p == pytest.approx(scipy.stats.wilcoxon(a, b, method="exact").pvalue)
    tasks = next(t for t in metric_tables(analysis) if t.name == f"metric_{NAME}_tasks_at_20").data
    found = tasks.set_index(["task", "optimizer"])["mean"].unstack()
    np.testing.assert_allclose(found, table.loc[found.index, found.columns])
    best = table.mean().idxmax()
    families = next(t for t in metric_tables(analysis) if t.name == f"metric_{NAME}_at_20")
    bold = [name for name, cell in zip(families.header, families.rows[-2], strict=True) if cell.bold]
    assert bold == [best]


def test_the_direction_turns_ranks_and_nothing_else(results: Results) -> None:
    up = run(results).metrics[0]
    undeclared = with_metric(results, None)
    undeclared = replace(undeclared, tasks={n: {**t, "metrics": {}} for n, t in undeclared.tasks.items()})
    down = run(undeclared, Metric(NAME, "minimize")).metrics[0]
    np.testing.assert_equal(up.scores, down.scores)
    assert up.overall[1] is not None
    assert down.overall[1] is not None
    np.testing.assert_allclose(up.overall[1].rank, 4 - down.overall[1].rank)
    np.testing.assert_allclose(up.overall[1].mean, -down.overall[1].mean)


def test_tasks_and_cells_without_it_are_named_and_left_out(make: Make) -> None:
    plain = make(THREE, TASKS, seeds=4, trials=20, failures=0.2)
    analysis = run(with_metric(plain, without=("a/0", "b/3")))
    (metric,) = analysis.metrics
    assert metric.without == ("a/0", "b/3")
    notes = metric_cautions(analysis)
    assert f"2 tasks without {NAME}, left out of its tables: a/0 and b/3." in notes
    names = {row[0].text for row in metric_tables(analysis)[-1].rows}
    assert names == set(TASKS) - {"a/0", "b/3"}
    # the incumbents of one optimizer have none on one task
    holes = with_metric(plain)
    trials = holes.trials.copy()
    where = (trials["task"] == "a/2") & (trials["optimizer"] == "tpe")
    trials.loc[where, f"metric:{NAME}"] = np.nan
    analysis = run(replace(holes, trials=trials))
    assert analysis.metrics[0].lacking[1] == 4
    notes = metric_cautions(analysis)
    assert any(note.startswith(f"4 cells without {NAME} after 20 trials") for note in notes)
    assert f"Left out, as a compared optimizer lacks {NAME} there: a/2." in notes


@pytest.mark.parametrize(
    ("declared", "metric", "words"),
    [
        (
            None,
            Metric(NAME),
            f"No direction of the metric '{NAME}' is declared by a/0, a/1, a/2 and 9 more: say --metric",
        ),
        ("maximize", Metric(NAME, "minimize"), "is to be maximized, as a/0, a/1, a/2 and 9 more declare: leave out"),
        ("maximize", Metric("other"), "The metric 'other' was not read with the trials"),
    ],
)
def test_a_direction_that_is_not_known_is_one_sentence(
    make: Make, declared: str | None, metric: Metric, words: str
) -> None:
    with pytest.raises(ReportError, match=r"^[^\n]+$") as caught:
        run(with_metric(make(THREE, TASKS, seeds=2, trials=20), declared), metric)
    assert words in str(caught.value)


def test_tasks_that_disagree_on_the_direction_are_not_mixed(results: Results) -> None:
    tasks = {**results.tasks, "b/1": {**results.tasks["b/1"], "metrics": {NAME: "minimize"}}}
    with pytest.raises(ReportError, match=r"is minimized on b/1 and maximized on a/0, a/1, a/2 and 8 more"):
        run(replace(results, tasks=tasks))
    with pytest.raises(ReportError, match="minimized in one grid and maximized in another"):
        optibench_reports.merge([results, replace(results, tasks=tasks)])


def test_merged_grids_keep_the_declaration_that_only_one_has(results: Results) -> None:
    older = replace(
        results, tasks={n: {k: v for k, v in t.items() if k != "metrics"} for n, t in results.tasks.items()}
    )
    for grids in ([older, results], [results, older]):
        assert run(optibench_reports.merge(grids)).metrics[0].direction == "maximize"


def test_what_the_option_means() -> None:
    assert parse("test_accuracy") == Metric("test_accuracy")
    assert parse("test_accuracy:maximize") == Metric("test_accuracy", "maximize")
    assert parse("a:b:minimize") == Metric("a:b", "minimize")
    assert parse("a:max") == Metric("a:max")


def test_the_report_and_the_page_show_it(results: Results, tmp_path: Path) -> None:
    report = optibench_reports.write(
        results, tmp_path / "out", at=[10, 20], bootstrap_draws=100, metrics=[Metric(NAME)]
    )
    assert f"By {NAME} (maximize) at the incumbent that the objective chose," in " ".join(report.summary.split())
    text = report.path.read_text()
    assert "## test\\_accuracy at the incumbent after 20 trials" in text
    page = report.path.with_suffix(".html").read_text()
    assert f"{NAME} at the incumbent after 20 trials, by task" in page
    assert f"--metric {NAME}:maximize" in page
    plain = optibench_reports.write(results, tmp_path / "plain", at=[10, 20], bootstrap_draws=100)
    assert not list((plain.path.parent / "tables").glob("metric*"))


def test_names_that_make_one_file_name_get_two(make: Make) -> None:
    found = with_metric(make(THREE, TASKS[:2], seeds=2, trials=20))
    trials = found.trials.assign(**{"metric:a/b": 1.0, "metric:a b": 2.0})
    analysis = run(replace(found, trials=trials), Metric("a/b", "minimize"), Metric("a b", "minimize"), at=(20,))
    names = [table.name for table in metric_tables(analysis)]
    assert len(set(names)) == 6
    assert names[0] == "metric_a_b_at_20"
    assert "share the best mean rank" in metric_sentences(analysis)[0]

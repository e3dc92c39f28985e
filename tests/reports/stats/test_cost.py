"""Regret against cost: which trials count and when; shown only if trials differ in cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optibench_reports import merge, write
from optibench_reports.data.results import Results
from optibench_reports.data.score_array import read
from optibench_reports.stats.analysis import Analysis, analyse
from optibench_reports.stats.cost import CURVE, at_cost
from optibench_reports.tables.cost import cost_sentence

REFERENCE = {"f_best": 0.0, "f_ref": 1.0, "f_worst": 3.0, "source": "made up", "version": 1}


def results(
    cells: dict[tuple[str, str, int], Sequence[tuple[Any, ...]]],
    *,
    budget: float | None = None,
    unit: str = "fidelity",
    direction: str = "minimize",
) -> Results:
    """Cells by optimizer, task and seed; a trial is (value, cost in full evaluations, simulated end, state)."""
    sign = 1.0 if direction == "minimize" else -1.0
    rows = []
    for (optimizer, task, seed), trials in cells.items():
        best = np.nan
        for index, (value, share, end, state) in enumerate(trials):
            best = np.fmin(best, value) if share >= 1 and state == "ok" else best
            rows.append(
                {
                    **{"optimizer": optimizer, "task": task, "seed": seed, "trial": index, "phase": "search"},
                    **{"state": state, "value": sign * value if state == "ok" else np.nan, "incumbent": sign * best},
                    **{"regret": 3.0 if np.isnan(best) else best, "cost_fidelity": share, "simulated_end": end},
                    **{"ask_seconds": 1e-3, "evaluate_seconds": 1e-4, "cost_seconds": 1.0},
                }
            )
    frozen = {key: sign * x if isinstance(x, float) else x for key, x in REFERENCE.items()}
    tasks = {task: {"direction": direction, "reference": frozen, "sampling": "deterministic"} for _, task, _ in cells}
    planned = pd.DataFrame(
        [{"optimizer": o, "task": t, "seed": s, "n_trials": len(c)} for (o, t, s), c in cells.items()]
    )
    if budget is not None:
        planned = planned.assign(unit=unit, budget=budget)
    return Results(pd.DataFrame(rows), tasks, planned, {})


def ok(value: float, share: float = 1.0, end: float = np.nan) -> tuple[Any, ...]:
    return (value, share, end, "ok")


def analysed(given: Results) -> Analysis:
    return analyse(given, at=None, draws=200, seed=0)


CELLS = {
    ("full", "a/b/1", 0): [ok(0.9), ok(0.5), ok(0.7), ok(0.2)],
    ("cheap", "a/b/1", 0): [ok(0.01, 0.25), ok(0.02, 0.25), ok(0.6, 1.0), ok(0.0, 0.5), ok(0.1, 1.0), ok(0.05, 1.0)],
}


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_only_full_evaluations_count_and_all_are_paid_for(direction: str) -> None:
    grid = read(results(CELLS, budget=4.0, direction=direction))
    levels = np.array([[0.5, 1.0, 1.5, 2.0, 3.0, 4.0]])
    scores = at_cost(grid, "fidelity", levels)
    by_name = dict(zip(grid.optimizers, scores[:, 0, 0], strict=True))
    assert by_name["full"].tolist() == [3.0, 0.9, 0.9, 0.5, 0.5, 0.2]
    assert by_name["cheap"].tolist() == [3.0, 3.0, 0.6, 0.6, 0.1, 0.05]


def test_the_budget_is_the_whole_cost_and_otherwise_the_cheapest_run() -> None:
    (found,) = analysed(results(CELLS, budget=3.0)).costs
    assert found.same == 3.0
    (found,) = analysed(results(CELLS)).costs
    assert found.same == 4.0
    assert dict(zip(("cheap", "full"), found.trials, strict=True)) == {"cheap": 6.0, "full": 4.0}
    assert found.full.tolist() == [3.0, 4.0]
    assert found.curve.shape == (2, CURVE)
    assert found.curve[:, -1].tolist() == pytest.approx([0.05, 0.2])


def test_sums_of_tenths_reach_a_whole_number() -> None:
    cells = {("tenths", "a/b/1", 0): [ok(0.5, 0.1)] * 20 + [ok(0.3)], ("full", "a/b/1", 0): [ok(0.4)] * 3}
    grid = read(results(cells, budget=3.0))
    assert at_cost(grid, "fidelity", np.array([[3.0]]))[:, 0, 0, 0].tolist() == [0.4, 0.3]


def test_on_a_simulated_clock_the_order_is_that_of_the_ends() -> None:
    cells = {
        ("two", "a/b/1", 0): [ok(0.9, end=10.0), ok(0.1, end=3.0), (0.0, 1.0, 12.0, "failed"), ok(0.5, end=7.0)],
        ("one", "a/b/1", 0): [ok(0.8, end=4.0), ok(0.3, end=8.0)],
    }
    grid = read(results(cells, budget=8.0, unit="seconds"))
    assert list(grid.ends) == ["seconds"]
    scores = at_cost(grid, "seconds", np.array([[2.0, 3.0, 4.0, 8.0, 20.0]]))
    by_name = dict(zip(grid.optimizers, scores[:, 0, 0].tolist(), strict=True))
    assert by_name == {"two": [3.0, 0.1, 0.1, 0.1, 0.1], "one": [3.0, 3.0, 0.8, 0.3, 0.3]}


def test_a_task_without_a_reference_has_no_regret_at_any_cost() -> None:
    given = results(CELLS, budget=4.0)
    given.tasks["a/b/1"]["reference"] = None  # type: ignore[index]
    given.trials["regret"] = np.nan
    analysis = analysed(given)
    assert analysis.costs == ()
    assert analysis.grid.score.max() <= 0.9 - 0.05 + 3.0  # distances from the best full value, 0.05
    assert analysis.grid.score.min() == 0.0


def test_trial_counts_are_those_that_all_reach() -> None:
    assert analysed(results(CELLS, budget=4.0)).counts[-1] == 4


def test_a_report_shows_it_and_says_so(tmp_path: Path) -> None:
    cells = {
        (name, f"a/b/{task}", seed): [ok(value / (1 + seed), share, end) for value, share, end in trials]
        for task in range(6)
        for seed in range(2)
        for name, trials in {
            "full": [(0.9, 1.0, 5.0), (0.5, 1.0, 9.0)],
            "cheap": [(0.01, 0.5, 2.0), (0.4, 1.0, 6.0), (0.02, 0.5, 9.0)],
        }.items()
    }
    report = write(results(cells, budget=2.0), tmp_path, bootstrap_draws=200)
    assert "cheap       0.3" not in report.summary
    assert (
        "At the cost of 2 full evaluations cheap has the best mean rank of 2 optimizers over 6 tasks: 1.00."
        in " ".join(report.summary.split())
    )
    assert (tmp_path / "figures" / "regret_by_fidelity.png").exists()
    assert (tmp_path / "figures" / "regret_by_seconds.png").exists()
    text = (tmp_path / "report.md").read_text()
    assert "statements after a number of trials count cheap evaluations like full ones" in text
    data = pd.read_csv(tmp_path / "tables" / "regret_by_fidelity.csv")
    row = data[(data["optimizer"] == "cheap") & (data["share"] == 1.0)].iloc[0]
    assert (row["cost"], row["tasks"], row["mean_rank"]) == (2.0, 6, 1.0)
    assert row["mean_regret"] == pytest.approx(0.3)
    table = (tmp_path / "tables" / "regret_by_fidelity.md").read_text()
    assert "6 / 0 / 0 | .031 |" in table or "6 / 0 / 0 | 0.031 |" in table
    assert (tmp_path / "tables" / "regret_by_seconds.csv").exists()


def test_a_tie_is_shared() -> None:
    cells = {(name, "a/b/1", 0): [ok(0.5, 0.5), ok(0.4)] for name in ("one", "other")}
    (found,) = analysed(results(cells)).costs
    cells |= {(name, "a/b/2", 0): [ok(0.5, 0.5), ok(0.4), ok(0.3)] for name in ("one", "other")}
    (unequal,) = analysed(results(cells)).costs
    assert (cost_sentence(unequal, ("one", "other")) or "").startswith("At equal cost in full evaluations one and")
    assert "one and other share the best mean rank" in (cost_sentence(found, ("one", "other")) or "")


def test_where_every_trial_costs_the_same_nothing_is_shown(tmp_path: Path) -> None:
    plain = results({("one", "a/b/1", 0): [ok(0.5), ok(0.4)], ("other", "a/b/1", 0): [ok(0.6), ok(0.3)]})
    assert analysed(plain).costs == ()
    write(plain, tmp_path, bootstrap_draws=200)
    assert not list(tmp_path.glob("*/regret_by_fidelity*"))
    assert "cheap evaluations" not in (tmp_path / "report.md").read_text()


def test_in_a_merge_the_trials_of_an_ordinary_grid_are_full_evaluations() -> None:
    ordinary = results({("other", "a/b/1", 0): [ok(0.6), ok(0.3), ok(0.1), ok(0.01), ok(0.001)]})
    plain = ordinary.trials.drop(columns=["cost_fidelity", "simulated_end"])
    clocked = results({("clocked", "a/b/1", 0): [ok(0.5, end=3.0)]})
    for order in (1, -1):
        grids = [results(CELLS, budget=4.0), Results(plain, ordinary.tasks, ordinary.planned, {}), clocked][::order]
        analysis = analysed(merge(grids))
        assert analysis.grid.optimizers == ("cheap", "clocked", "full", "other")
        fidelity, seconds = analysis.costs
        assert (fidelity.unit, fidelity.same) == ("fidelity", 4.0)
        assert fidelity.curve[:, -1].tolist() == pytest.approx([0.05, 0.5, 0.2, 0.01])
        assert np.isnan(seconds.curve[:, -1]).tolist() == [True, False, True, True]


def scaled(*, third: bool = False) -> Results:
    """Two tasks of a grid with two and with four trials; a third optimizer stopped early on the larger one."""
    cells = {
        ("one", "a/b/small", 0): [ok(0.9), ok(0.4)],
        ("one", "a/b/large", 0): [ok(0.9), ok(0.5), ok(0.7), ok(0.2)],
        ("other", "a/b/small", 0): [ok(0.6), ok(0.8)],
        ("other", "a/b/large", 0): [ok(0.3), ok(0.4), ok(0.4), ok(0.3)],
    }
    if third:
        cells |= {("short", "a/b/small", 0): [ok(0.6), ok(0.8)], ("short", "a/b/large", 0): [ok(0.1), ok(0.4)]}
    given = results(cells)
    own = given.planned["task"].map({"a/b/small": 2, "a/b/large": 4})
    trials = given.trials.drop(columns=["cost_fidelity", "simulated_end"])
    return Results(trials, given.tasks, given.planned.assign(n_trials=own, budget=own, unit="trials"), {})


def test_tasks_with_different_numbers_of_trials_are_compared_after_parts_of_their_own() -> None:
    (found,) = analysed(scaled()).costs
    assert (found.unit, found.same, found.whole.tolist()) == ("trials", None, [4.0, 2.0])
    last = found.overall[-1]
    assert last is not None
    assert last.mean.tolist() == pytest.approx([0.3, 0.45])
    assert found.curve[:, -1].tolist() == pytest.approx([0.3, 0.45])
    analysis = analysed(scaled(third=True))
    scores = at_cost(analysis.grid, "trials", np.array([[1.0, 2.0, 4.0], [0.5, 1.0, 2.0]]))[:, :, 0]
    one, other, short = (scores[i].tolist() for i in range(3))
    assert one == [[0.9, 0.5, 0.2], [3.0, 0.9, 0.4]]
    assert other == [[0.3, 0.3, 0.3], [3.0, 0.6, 0.6]]
    assert short[0][:2] == [0.1, 0.1]
    assert np.isnan(short[0][2]), "it has no fourth trial"
    last = analysis.costs[0].overall[-1]
    assert last is not None
    assert last.mean.tolist() == pytest.approx([0.4, 0.6, 0.6]), "only the task that all have finished"


def test_a_report_says_how_tasks_with_different_numbers_of_trials_are_compared(tmp_path: Path) -> None:
    given = scaled()
    assert analysed(given).counts == (2,), "by default what every task has"
    report = write(given, tmp_path / "default", bootstrap_draws=200)
    text = (tmp_path / "default" / "report.md").read_text()
    assert "At each task's own last trial " in report.summary
    assert "Tasks have 2 to 4 trials: the table and the figure of parts of each task's own number compare them" in text
    assert "cheap evaluations" not in text
    assert (tmp_path / "default" / "figures" / "regret_by_trials.png").exists()
    write(given, tmp_path / "late", bootstrap_draws=200, at=[2, 3])
    late = (tmp_path / "late" / "report.md").read_text()
    assert "After 3 trials, 1 task with fewer trials is not counted: a/b/small." in late


def test_where_tasks_have_the_same_number_of_trials_the_report_is_the_usual_one() -> None:
    given = scaled()
    alike = given.planned.assign(budget=4, n_trials=4)
    assert analysed(Results(given.trials, given.tasks, alike, {})).costs == ()

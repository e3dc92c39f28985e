"""Grids merged, compared side by side, and grids that do not fit together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import optibench_reports
from optibench_reports.data.merge import on_shared_tasks, renamed
from optibench_reports.data.results import Results
from optibench_reports.stats.analysis import analyse
from optibench_reports.tables.significance import pairs_table
from optibench_reports.text.run_info import facts
from optibench_reports.text.summary import cautions

Make = Callable[..., Results]
ROWS = ["optimizer", "task", "seed", "trial"]


@pytest.fixture(scope="module")
def whole(make: Make) -> Results:
    return make(("random", "tpe", "cmaes"), seeds=4, trials=10)


def part(results: Results, keep: Callable[[pd.DataFrame], Any]) -> Results:
    """The rows of trials and plan that ``keep`` chooses."""
    trials, planned = results.trials, results.planned
    return replace(results, trials=trials[keep(trials)], planned=planned[keep(planned)])


def with_trials(results: Results, **columns: Any) -> Results:
    return replace(results, trials=results.trials.assign(**columns))


def with_task(results: Results, task: str, **changes: Any) -> Results:
    return replace(results, tasks={**results.tasks, task: {**results.tasks[task], **changes}})


def plain(results: Results) -> pd.DataFrame:
    text = dict.fromkeys(("optimizer", "task", "phase", "state"), str)
    return results.trials.astype(text).sort_values(ROWS, ignore_index=True)


@pytest.mark.parametrize(
    "halves",
    [
        (lambda x: x["optimizer"] == "tpe", lambda x: x["optimizer"] != "tpe"),
        (lambda x: x["seed"] < 2, lambda x: x["seed"] >= 2),
        (lambda x: x["seed"] < 3, lambda x: x["seed"] >= 1),  # seeds 1 and 2 are in both
        (lambda x: x["task"].astype(str) < "s", lambda x: x["optimizer"] != "tpe", lambda x: x["optimizer"] == "tpe"),
    ],
    ids=["optimizers", "seeds", "overlap", "three"],
)
def test_parts_make_the_whole(whole: Results, halves: tuple[Callable[[pd.DataFrame], Any], ...]) -> None:
    merged = optibench_reports.merge([part(whole, keep) for keep in halves])
    pd.testing.assert_frame_equal(plain(merged), plain(whole))
    assert sorted(merged.planned["n_trials"]) == sorted(whole.planned["n_trials"])
    one, other = (analyse(results, at=None, draws=100, seed=0) for results in (merged, whole))
    pd.testing.assert_frame_equal(pairs_table(one, 0).data, pairs_table(other, 0).data)


def test_one_grid_stays_what_it_is_and_none_is_refused(whole: Results) -> None:
    assert optibench_reports.merge([whole]) is whole
    with pytest.raises(optibench_reports.ReportError, match="no grid to report"):
        optibench_reports.merge([])


def test_a_grid_without_a_plan_brings_its_cells(whole: Results) -> None:
    first = part(whole, lambda x: x["optimizer"] == "tpe")
    second = part(whole, lambda x: x["optimizer"] != "tpe")
    merged = optibench_reports.merge([first, replace(second, planned=second.planned.iloc[:0])])
    assert len(merged.planned) == len(whole.planned)
    assert analyse(merged, at=None, draws=100, seed=0).grid.unplanned == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"direction": "maximize"}, "direction 'minimize' in one grid and 'maximize'"),
        ({"data_version": "2"}, "data version '1' in one grid and '2'"),
        ({"reference": None}, "other reference values"),
        ({"reference": {"f_best": 0.1, "f_ref": 1.0, "f_worst": 3.0, "version": 1}}, "other reference values"),
        ({"reference": {"f_best": 0.0, "f_ref": 1.0, "f_worst": 3.0, "version": 2}}, "other reference values"),
        ({"ideal": [0.0, 0.0], "reference_point": [1.0, 1.0]}, "other reference values"),
        ({"objectives": {"value": "minimize", "cost": "minimize"}}, "other objectives"),
        ({"constraints": ["cost"]}, "other constraints"),
    ],
)
def test_grids_that_disagree_on_a_task_are_refused(whole: Results, change: dict[str, Any], words: str) -> None:
    task = "yahpo/lcbench/3945"
    other = part(whole, lambda x: x["optimizer"] == "cmaes")
    with pytest.raises(optibench_reports.ReportError, match=f"{task}' has .*{words}"):
        optibench_reports.merge([whole, with_task(other, task, **change)])


def test_references_that_another_cpu_rounds_otherwise_are_the_same(whole: Results) -> None:
    task = "yahpo/lcbench/3945"
    reference = dict(whole.tasks[task]["reference"])
    other = with_task(part(whole, lambda x: x["optimizer"] == "cmaes"), task, reference=reference)
    reference["f_ref"] = reference["f_ref"] * (1 + 1e-13)
    assert len(optibench_reports.merge([whole, other]).trials) == len(whole.trials)


def test_a_cell_with_other_trials_is_refused_and_named(whole: Results) -> None:
    changed = whole.trials["value"].to_numpy().copy()
    row = int(np.flatnonzero((whole.trials["seed"] == 2) & (whole.trials["state"] == "ok"))[0])
    changed[row] += 1e-9
    with pytest.raises(
        optibench_reports.ReportError, match=r"1 cell in two grids with different trials, first random on .*seed 2"
    ):
        optibench_reports.merge([whole, with_trials(whole, value=changed)])
    shorter = part(whole, lambda x: x["trial"] < 5 if "trial" in x else x["seed"] >= 0)
    with pytest.raises(optibench_reports.ReportError, match="144 cells in two grids"):
        optibench_reports.merge([whole, shorter])


def test_a_cell_with_other_objectives_or_constraints_is_refused(whole: Results) -> None:
    """Values and states may be equal. NaN equals NaN, and what one grid does not know is not compared."""
    numbers = [None if trial == 3 else np.array([trial, np.nan, 0.0]) for trial in whole.trials["trial"]]
    known = with_trials(whole, values=numbers, constraints=None)
    same = [None if one is None else [*one[:2].tolist(), -0.0] for one in numbers]
    assert len(optibench_reports.merge([known, with_trials(whole, values=same, constraints=numbers)]).trials)
    assert len(optibench_reports.merge([known, part(whole, lambda x: x["seed"] < 2), known]).trials) == len(
        whole.trials
    )
    row = int(np.flatnonzero((whole.trials["seed"] == 2) & (whole.trials["trial"] == 1))[0])
    for column in ("values", "constraints"):
        other = [one if place != row else np.array([1.0, np.nan, 1e-9]) for place, one in enumerate(numbers)]
        grids = with_trials(known, **{column: numbers}), with_trials(known, **{column: other})
        with pytest.raises(
            optibench_reports.ReportError, match=r"^1 cell in two grids with different .* seed 2: .*\.$"
        ):
            optibench_reports.merge(grids)
        with pytest.raises(optibench_reports.ReportError, match="1 cell in two grids"):
            optibench_reports.merge([grids[0], part(whole, lambda x: x["seed"] < 2), grids[1]])
        assert optibench_reports.agreement(*grids).differing == (f"random on {whole.trials['task'].iloc[row]}, seed 2",)


def test_seconds_may_differ_between_runs_of_one_cell(whole: Results) -> None:
    again = with_trials(whole, ask_seconds=whole.trials["ask_seconds"] * 2)
    pd.testing.assert_frame_equal(plain(optibench_reports.merge([whole, again])), plain(whole))


def test_provenance_of_all_grids_is_kept(whole: Results) -> None:
    trained = {"key": "k", "seconds": 5.0}
    first = replace(whole, provenance={"runs": [{"cpu": "x"}], "site": "here", "training": {"tpe": trained}})
    second = replace(whole, provenance={"runs": [{"cpu": "y"}, {"cpu": "x"}], "site": "there", "training": {}})
    merged = optibench_reports.merge([first, second]).provenance
    assert merged == {"runs": [{"cpu": "x"}, {"cpu": "y"}], "site": ["here", "there"], "training": {"tpe": trained}}
    other = replace(whole, provenance={"training": {"tpe": {"key": "other", "seconds": 5.0}}})
    with pytest.raises(optibench_reports.ReportError, match="'tpe' was trained in two ways"):
        optibench_reports.merge([first, other])


def test_agreement_counts_cells(whole: Results) -> None:
    first, second = part(whole, lambda x: x["seed"] < 3), part(whole, lambda x: x["seed"] >= 1)
    value = second.trials["value"].where(~((second.trials["optimizer"] == "tpe") & (second.trials["seed"] == 1)), -1.0)
    found = optibench_reports.agreement(first, with_trials(second, value=value.where(second.trials["state"] == "ok")))
    assert (found.common, found.identical, found.only_a, found.only_b) == (72, 60, 36, 36)
    assert found.differing[0] == "tpe on hpobench/nn/10101, seed 1"
    assert str(found).startswith("60 of 72 common cells are identical; different are tpe on hpobench/nn/10101, seed 1")
    assert str(optibench_reports.agreement(whole, whole)).startswith("144 of 144 common cells are identical; 0 are")


@pytest.mark.usefixtures("no_figures")
def test_comparing_tells_apart_what_changed(whole: Results, tmp_path: Path) -> None:
    better = np.where(whole.trials["optimizer"] == "tpe", 0.5, 1.0)
    trials = whole.trials
    new = with_trials(whole, regret=trials["regret"] * better, value=trials["value"] * better)
    found = optibench_reports.compare_grids(whole, new, ("old", "new"))
    assert sorted(found.trials["optimizer"].unique()) == ["cmaes", "random", "tpe (new)", "tpe (old)"]
    pairs = pairs_table(analyse(found, at=None, draws=100, seed=0), 0).data
    row = pairs[(pairs["a"] == "tpe (new)") & (pairs["b"] == "tpe (old)")].iloc[0]
    assert (row["wins"], row["losses"]) == (12, 0)
    assert "tpe (new)" in optibench_reports.write(found, tmp_path / "out", bootstrap_draws=100).summary


def test_comparing_uses_the_common_tasks_and_both_seeds(whole: Results) -> None:
    first = part(whole, lambda x: x["task"].astype(str).str.startswith("y"))
    second = part(whole, lambda x: (x["seed"] < 2) & (x["optimizer"] != "cmaes"))
    found = optibench_reports.compare_grids(first, second)
    assert set(found.trials["task"].unique()) == set(first.trials["task"].unique())
    names = sorted(found.trials["optimizer"].unique())
    assert names == ["cmaes", "random (a)", "random (b)", "tpe (a)", "tpe (b)"]
    elsewhere = part(whole, lambda x: x["task"].astype(str).str.startswith("s"))
    with pytest.raises(optibench_reports.ReportError, match="no task in common"):
        optibench_reports.compare_grids(first, elsewhere)
    with pytest.raises(optibench_reports.ReportError, match="Both grids are called 'x'"):
        optibench_reports.compare_grids(first, second, ("x", "x"))


def test_a_merged_report_warns_where_grids_are_unlike(whole: Results) -> None:
    halves = []
    for keep, design, version in (("tpe", "shared: 5", "4.9.0"), ("cmaes", "shared: 10", "5.0.0")):
        packages = {"tpe": [{"optuna": version, "numpy": "2.4.6"}], "cmaes": [{"cmaes": "0.13"}]}
        provenance = {"runs": [], "initial_design": design, "optimizer_packages": packages}
        halves.append(replace(part(whole, lambda x, keep=keep: x["optimizer"] == keep), provenance=provenance))
    notes = cautions(analyse(optibench_reports.merge(halves), at=None, draws=100, seed=0))
    assert any("initial designs (shared: 5; shared: 10): seeds" in note and "are not paired" in note for note in notes)
    words = "tpe ran with different packages in the grids (optuna 4.9.0 and 5.0.0) and counts as one optimizer."
    assert words in notes
    shown = dict(facts(analyse(optibench_reports.merge(halves), at=None, draws=100, seed=0)))
    assert shown["optimizer packages"] == "cmaes 0.13, numpy 2.4.6, optuna 4.9.0 and 5.0.0"
    alike = optibench_reports.merge([halves[0], halves[0]])
    assert alike.provenance["optimizer_packages"] == halves[0].provenance["optimizer_packages"]
    assert not any("grid" in note for note in cautions(analyse(alike, at=None, draws=100, seed=0)))


def test_optimizers_that_ran_on_different_tasks_may_get_one_name(whole: Results) -> None:
    provenance = {
        "runs": [],
        "first_model_trials": {"tpe": 11, "cmaes": 6, "random": 1},
        "optimizer_packages": {"tpe": [{"optuna": "5.0.0"}], "cmaes": [{"cmaes": "0.13"}], "random": [{"numpy": "2"}]},
    }
    kept = part(whole, lambda x: (x["optimizer"] != "tpe") | x["task"].astype(str).str.startswith("s"))
    kept = part(kept, lambda x: (x["optimizer"] != "cmaes") | x["task"].astype(str).str.startswith("y"))
    found = renamed(replace(kept, provenance=provenance), {"cma*": "model", "tpe": "model", "*": "chance"})
    assert set(found.trials["optimizer"].unique()) == {"model", "chance"} == set(found.planned["optimizer"].unique())
    assert set(found.trials["task"].unique()) == set(kept.trials["task"].unique())
    assert len(found.trials) == len(kept.trials)
    old, new = (x.trials.set_index(["task", "seed", "trial"]).sort_index() for x in (kept, found))
    rows = old["optimizer"].astype(str).isin(["tpe", "cmaes"]).to_numpy()
    np.testing.assert_array_equal(old["value"][rows], new["value"][new["optimizer"] == "model"])
    assert found.provenance["first_model_trials"] == {"model": 11, "chance": 1}
    assert found.provenance["optimizer_packages"]["model"] == [{"optuna": "5.0.0"}, {"cmaes": "0.13"}]
    assert renamed(kept, {}).trials["optimizer"].tolist() == kept.trials["optimizer"].tolist()
    words = "'cmaes' and 'tpe' cannot have one name, 'model': they ran on .* with the same seed .0.; give them"
    with pytest.raises(optibench_reports.ReportError, match=words):
        renamed(whole, {"cmaes": "model", "tpe": "model"})


def test_shared_tasks_are_those_that_every_optimizer_ran(whole: Results) -> None:
    names = sorted(whole.trials["task"].unique())
    few = {"random": names, "tpe": names[1:], "cmaes": names[:3]}
    grids = [part(whole, lambda x, task=task: x["task"] == task) for task in names]
    grids = [
        part(grid, lambda x: [y in few[o] for o, y in zip(x["optimizer"], x["task"], strict=True)]) for grid in grids
    ]
    found = on_shared_tasks(grids)
    assert sorted(found.trials["task"].unique()) == names[1:3] == sorted(found.tasks)
    assert set(found.trials["optimizer"].unique()) == {*few}
    with pytest.raises(optibench_reports.ReportError, match="No task was run by every optimizer"):
        on_shared_tasks([part(whole, lambda x: (x["optimizer"] == "tpe") == (x["task"] == names[0]))])

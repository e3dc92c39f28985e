"""Reading trials into arrays: step functions, clipping, seeds, missing cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from optibench_reports.data.results import Results
from optibench_reports.data.score_array import family, read

Make = Callable[..., Results]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("yahpo/lcbench/3945", "yahpo/lcbench"),
        ("yahpo/lcbench/3945/val_accuracy", "yahpo/lcbench"),
        ("hpolib/naval", "hpolib"),
        ("synthetic/rotated/sphere-5d", "synthetic/rotated"),
        ("alone", "alone"),
    ],
)
def test_family_is_the_name_without_its_last_part(task: str, expected: str) -> None:
    assert family(task) == expected


def test_scores_are_the_regret_of_exactly_that_trial(make: Make) -> None:
    results = make(seeds=3, trials=12, missing=[("tpe", "synthetic/levy-5d", 1)])
    grid = read(results)
    counts = [1, 5, 12]
    scores = grid.at(counts)
    index = results.trials.set_index(["optimizer", "task", "seed", "trial"])["regret"].sort_index()
    for o, optimizer in enumerate(grid.optimizers):
        for t, task in enumerate(grid.tasks):
            for s in range(3):
                for a, count in enumerate(counts):
                    if (optimizer, task, s) == ("tpe", "synthetic/levy-5d", 1):
                        assert np.isnan(scores[o, t, s, a])
                    else:
                        assert scores[o, t, s, a] == max(0.0, index[optimizer, task, s, count - 1])


def test_order_of_rows_and_dtypes_do_not_matter(make: Make) -> None:
    results = make(seeds=2, trials=6)
    shuffled = results.trials.sample(frac=1, random_state=0)
    plain = shuffled.astype({"optimizer": str, "task": object, "state": str, "phase": str, "seed": "int64"})
    first, second = read(results), read(replace(results, trials=plain))
    np.testing.assert_array_equal(first.at([1, 6]), second.at([1, 6]))
    np.testing.assert_array_equal(first.states, second.states)


def test_regret_is_clipped_at_zero_and_counted(make: Make) -> None:
    results = make(seeds=2, trials=6)
    trials = results.trials.copy()
    rows = (trials["task"] == "hpobench/nn/53") & (trials["optimizer"] == "tpe") & (trials["trial"] >= 4)
    trials.loc[rows, "regret"] = -0.25
    grid = read(replace(results, trials=trials))
    o, t = grid.optimizers.index("tpe"), grid.tasks.index("hpobench/nn/53")
    assert grid.clipped[o, t] == grid.clipped.sum() == 4
    assert grid.lowest[t] == -0.25
    assert grid.at([6])[o, t, :, 0].tolist() == [0.0, 0.0]


def test_seeds_of_tasks_need_not_agree_and_pairs_stay_pairs(make: Make) -> None:
    results = make(optimizers=("random", "tpe"), tasks=("a/x", "b/y"), seeds=3, trials=4)
    trials, planned = results.trials.copy(), results.planned.copy()
    for frame in (trials, planned):
        frame.loc[(frame["task"] == "b/y").to_numpy(), "seed"] += 1000
    gone = (trials["optimizer"] == "tpe") & (trials["task"] == "b/y") & (trials["seed"] == 1000)
    grid = read(replace(results, trials=trials[~gone], planned=planned))
    assert grid.seeds.tolist() == [[0, 1, 2], [1000, 1001, 1002]]
    scores = grid.at([4])[..., 0]
    assert np.isnan(scores[1, 1]).tolist() == [True, False, False]
    assert scores.shape == (2, 2, 3)


def test_a_short_cell_is_missing_beyond_its_end(make: Make) -> None:
    grid = read(make(seeds=2, trials=20, lengths={"gp-botorch": 8}))
    scores = grid.at([8, 9, 20])
    o = grid.optimizers.index("gp-botorch")
    assert not np.isnan(scores[o, ..., 0]).any()
    assert np.isnan(scores[o, ..., 1:]).all()
    assert not np.isnan(np.delete(scores, o, axis=0)).any()


def test_without_reference_the_score_orders_by_value_in_the_tasks_direction(make: Make) -> None:
    tasks = ("up/a", "down/b")  # the generator maximizes every second task
    with_reference = read(make(tasks=tasks, seeds=2, trials=9, failures=0.0))
    without = read(make(tasks=tasks, seeds=2, trials=9, failures=0.0, without_reference=tasks))
    assert not without.has_regret.any()
    a, b = with_reference.at([9]), without.at([9])
    for t in range(2):
        np.testing.assert_array_equal(np.argsort(a[:, t].ravel()), np.argsort(b[:, t].ravel()))
        np.testing.assert_allclose(np.diff(a[:, t].ravel()), np.diff(b[:, t].ravel()), atol=1e-12)
    assert b.min() == 0.0


def test_without_reference_a_cell_with_no_success_stands_at_the_worst_value(make: Make) -> None:
    results = make(tasks=("up/a",), seeds=2, trials=3, failures=0.0, without_reference=("up/a",))
    trials = results.trials.copy()
    rows = (trials["optimizer"] == "tpe") & (trials["seed"] == 0)
    trials.loc[rows, ["value", "incumbent"]] = np.nan
    trials["state"] = trials["state"].astype(str)
    trials.loc[rows, "state"] = "failed"
    grid = read(replace(results, trials=trials))
    ok = trials["value"].dropna()
    assert grid.at([3])[grid.optimizers.index("tpe"), 0, 0, 0] == pytest.approx(ok.max() - ok.min())


def test_cells_outside_the_plan_are_counted(make: Make) -> None:
    results = make(optimizers=("random", "tpe"), seeds=2, trials=4)
    planned = results.planned[results.planned["optimizer"] == "random"]
    assert read(replace(results, planned=planned)).unplanned == 2 * 12
    assert read(replace(results, planned=planned.iloc[:0])).unplanned == 0

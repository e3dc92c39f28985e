"""Effect sizes and speed of convergence against scipy, plain loops and pandas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optibench_reports.data.results import Results
from optibench_reports.stats.analysis import analyse
from optibench_reports.stats.effect_sizes import interquartile_mean, paired_t
from optibench_reports.stats.thresholds import first_reached
from optibench_reports.tables.convergence import convergence_table

Make = Callable[..., Results]


@pytest.mark.parametrize("difference", [np.zeros(5), np.full(5, 0.1), np.array([0.3])])
def test_paired_t_without_spread_does_not_exist(difference: np.ndarray) -> None:
    assert np.isnan([paired_t(difference).p, paired_t(difference).d]).all()


def test_interquartile_mean_cuts_a_quarter_of_the_runs_from_either_end() -> None:
    x = np.random.default_rng(2).random((5, 9))
    for scores in (x, x[1:], x[:1], x[0, :1]):
        ordered = sorted(scores.ravel().tolist())
        cut = len(ordered) // 4
        middle = ordered[cut : len(ordered) - cut]
        assert interquartile_mean(scores) == pytest.approx(sum(middle) / len(middle))
    without = x.copy()
    without[0] = np.nan
    assert interquartile_mean(without) == pytest.approx(interquartile_mean(x[1:]))
    assert np.isnan(interquartile_mean(np.full((2, 3), np.nan)))


def test_first_reached_is_what_a_loop_finds(make: Make) -> None:
    results = make(("random", "gp-botorch"), seeds=3, trials=30, missing=[("random", "hpobench/nn/53", 1)])
    analysis = analyse(results, at=[20], draws=100, seed=0)
    trials, seconds = first_reached(analysis, 0.1, 20)
    groups = dict(list(results.trials.astype({"optimizer": str, "task": str}).groupby(["optimizer", "task", "seed"])))
    never = 0
    for o, optimizer in enumerate(analysis.grid.optimizers):
        for t, task in enumerate(analysis.grid.tasks):
            for s in range(3):
                rows = groups.get((optimizer, task, s))
                if rows is None:
                    assert np.isnan(trials[o, t, s])
                    continue
                hits = np.flatnonzero(rows["regret"].to_numpy()[:20] <= 0.1)
                never += not len(hits)
                assert trials[o, t, s] == (hits[0] + 1 if len(hits) else np.inf)
                spent = rows["ask_seconds"].to_numpy()[: hits[0] + 1].sum() if len(hits) else np.inf
                assert seconds[o, t, s] == pytest.approx(spent, abs=1e-9)
    assert never > 0


def test_seconds_of_asking_are_summed_inside_each_cell(make: Make) -> None:
    results = make(("random", "gp-botorch"), seeds=2, trials=9)
    analysis = analyse(results, at=[9], draws=100, seed=0)
    asked = analysis.grid.ask_seconds([1, 7, 9])
    for a, count in enumerate((1, 7, 9)):
        rows = results.trials[results.trials["trial"] < count].astype({"optimizer": str, "task": str})
        expected = rows.groupby(["optimizer", "task", "seed"])["ask_seconds"].sum().to_numpy()
        np.testing.assert_allclose(asked[..., a].ravel(), expected, atol=1e-9)


def test_runs_that_never_arrive_are_counted_and_make_the_median_infinite(make: Make) -> None:
    analysis = analyse(make(("random", "tpe"), seeds=4, trials=6), at=[6], draws=100, seed=0)
    table = convergence_table(analysis)
    row = table.data[(table.data["optimizer"] == "random") & (table.data["threshold"] == 0.01)].iloc[0]
    assert row["never_reached"] == row["runs"] * (1 - row["share_reached"])
    assert np.isinf(row["median_trials"])
    assert table.rows[0][-2].text == "never"

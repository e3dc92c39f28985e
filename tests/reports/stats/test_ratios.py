"""Ratios of regrets over tasks in groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from optibench_reports.stats.ratios import FLOOR, ratio


def runs(scores: dict[str, np.ndarray]) -> pd.DataFrame:
    """Of scores (tasks, seeds) by optimizer."""
    n, seeds = next(iter(scores.values())).shape
    index = pd.MultiIndex.from_product([[f"t{i}" for i in range(n)], range(seeds)], names=["task", "seed"])
    return pd.DataFrame({name: values.ravel() for name, values in scores.items()}, index=index)


def test_it_is_the_geometric_mean_of_the_ratios_of_mean_regrets() -> None:
    a, b = np.array([[0.1, 0.3], [0.04, 0.04], [0.0, 0.0]]), np.array([[0.1, 0.1], [0.16, 0.16], [1e-4, 0.0]])
    found = ratio(runs({"a": a, "b": b}), "a", "b", {f"t{i}": "g" for i in range(3)}, draws=200)
    assert found.mean == pytest.approx(np.sqrt(2.0 * 0.25))
    assert (found.tasks, found.at_floor) == (2, 1)
    assert found.low <= found.mean <= found.high


def test_a_regret_below_the_floor_counts_as_the_floor() -> None:
    found = ratio(runs({"a": np.zeros((1, 3)), "b": np.full((1, 3), 0.1)}), "a", "b", {"t0": "g"}, draws=50)
    assert found.mean == pytest.approx(FLOOR / 0.1)
    with pytest.raises(ValueError, match="at the floor on every task"):
        ratio(runs({"a": np.zeros((1, 3)), "b": np.zeros((1, 3))}), "a", "b", {"t0": "g"})
    missing = runs({"a": np.array([[np.nan, 1.0]]), "b": np.ones((1, 2))})
    with pytest.raises(ValueError, match="a run of one of the two is missing"):
        ratio(missing, "a", "b", {"t0": "g"})


def test_tasks_of_one_group_are_one_kind_of_evidence() -> None:
    """Twenty copies of one task are no twenty pieces of evidence: the interval is as wide as with its group alone."""
    rng = np.random.default_rng(0)
    b = np.full((22, 5), 0.1)
    a = b * np.concatenate([np.full((20, 1), 0.5), np.full((2, 1), 1.5)]) * np.exp(rng.normal(0, 0.01, (22, 5)))
    one_group_each = {f"t{i}": "many" if i < 20 else f"other{i}" for i in range(22)}
    apart = {f"t{i}": f"g{i}" for i in range(22)}
    grouped, single = (ratio(runs({"a": a, "b": b}), "a", "b", groups, draws=500) for groups in (one_group_each, apart))
    assert grouped.mean == pytest.approx(single.mean)
    assert grouped.high > 1.1 > single.high

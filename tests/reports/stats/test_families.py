"""Every family counts once, whatever the number of its tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from optibench_reports.stats.families import balanced, balanced_difference, family_means


def runs(values: dict[str, float], seeds: int = 4, spread: float = 0.0) -> pd.DataFrame:
    """Runs of `a` at a task's value and of `b` at 0, with noise on both."""
    rng = np.random.default_rng(1)
    index = pd.MultiIndex.from_product([values, range(seeds)], names=["task", "seed"])
    a = np.array([values[task] for task, _ in index]) + spread * rng.standard_normal(len(index))
    return pd.DataFrame({"a": a, "b": spread * rng.standard_normal(len(index))}, index=index)


def test_a_family_of_a_hundred_tasks_weighs_as_much_as_one_of_two() -> None:
    tasks = {f"many/{i}": 1.0 for i in range(100)} | {"few/x/1": 3.0, "few/x/2": 5.0}
    table = pd.DataFrame({"a": pd.Series(tasks), "b": 0.0})
    assert family_means(table)["a"].to_dict() == {"few/x": 4.0, "many": 1.0}
    assert balanced(table).to_dict() == {"a": 2.5, "b": 0.0}
    assert balanced_difference(runs(tasks), "a", "b", draws=200).mean == 2.5


def test_the_interval_is_that_of_families_and_not_of_tasks() -> None:
    """Two families, 1 and 0 without any noise: a quarter of the draws has only one of them, so the ends are reached."""
    tasks = {f"one/{i}": 1.0 for i in range(50)} | {f"none/{i}": 0.0 for i in range(50)}
    found = balanced_difference(runs(tasks), "a", "b", draws=2000)
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_the_interval_covers_noise_of_tasks_and_seeds() -> None:
    """With one family it is the interval of its tasks and seeds: about two standard errors to each side."""
    table = runs({f"f/{i}": 0.0 for i in range(40)}, seeds=10, spread=1.0)
    found = balanced_difference(table, "a", "b", draws=4000)
    error = float((table["a"] - table["b"]).std() / np.sqrt(400))
    assert found.low < found.mean < found.high
    # tasks are drawn and seeds of each again: twice the variance of independent runs
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error * np.sqrt(2), rel=0.25)


def test_a_seed_drives_the_draws_and_missing_runs_are_refused() -> None:
    table = runs({"f/1": 1.0, "g/1": 2.0}, spread=1.0)
    one, other = (balanced_difference(table, "a", "b", draws=300, seed=seed) for seed in (0, 1))
    assert one == balanced_difference(table, "a", "b", draws=300, seed=0) != other
    with pytest.raises(ValueError, match="missing"):
        balanced_difference(table.iloc[1:], "a", "b", draws=300)

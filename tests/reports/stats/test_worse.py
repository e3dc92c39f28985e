"""Whether a second run is worse: significantly, or, on too few tasks for a test, by its whole interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from optibench_reports.data.results import ReportError, Results
from optibench_reports.data.selection import select
from optibench_reports.stats.worse import changes

Make = Callable[..., Results]


@pytest.fixture(scope="module")
def first(make: Make) -> Results:
    return make(("random", "tpe"), seeds=5, trials=20, failures=0)


def scaled(results: Results, optimizer: str, factor: float) -> Results:
    """The results with the regret of one optimizer multiplied."""
    trials = results.trials
    rows = trials["optimizer"].astype(str) == optimizer
    columns: dict[str, pd.Series] = {}
    for name in ("value", "incumbent", "regret"):
        columns[name] = trials[name].where(~rows, trials[name] * factor)
    return replace(results, trials=trials.assign(**columns))


def test_an_optimizer_with_a_higher_regret_on_every_task_is_worse_and_no_other(first: Results) -> None:
    worse, same = sorted(changes(first, scaled(first, "tpe", 1.5)), key=lambda change: not change.worse)
    assert (worse.optimizer, worse.worse, worse.n, worse.attainable, worse.count) == ("tpe", True, 12, True, 20)
    assert worse.second == pytest.approx(1.5 * worse.first)
    assert worse.p_holm == pytest.approx(2 * 2.0**-11)  # the smallest of 12 tasks, two comparisons
    assert (same.optimizer, same.worse, same.first, same.p_holm) == ("random", False, same.second, 1.0)
    assert "tpe after 20 trials: mean regret" in str(worse)
    assert "on 12 tasks, p 0.0010 (signed-rank, Holm)" in str(worse)


def test_a_better_or_an_equal_run_is_not_worse(first: Results) -> None:
    for factor in (1.0, 0.5):
        assert not any(change.worse for change in changes(first, scaled(first, "tpe", factor), at=[10, 20]))


def test_on_few_tasks_the_interval_decides(first: Results, make: Make) -> None:
    few = select(first, tasks=["synthetic/*"], optimizers=["tpe"])
    (change,) = changes(few, scaled(few, "tpe", 4.0))
    assert (change.n, change.attainable, change.worse) == (4, False, True)
    assert change.low > 0
    assert str(change).endswith("on 4 tasks, interval wholly worse")
    again = make(("random", "tpe"), seeds=5, trials=20, failures=0, random_seed=1)  # other noise, the same skill
    (change,) = changes(few, select(again, tasks=["synthetic/*"], optimizers=["tpe"]))
    assert change.low < 0 < change.high
    assert not change.worse


def test_what_cannot_be_compared_is_refused(first: Results, make: Make) -> None:
    with pytest.raises(ReportError, match="no optimizer in common"):
        changes(first, make(("sobol",), seeds=2, trials=20))
    with pytest.raises(ReportError, match="between 1 and 20"):
        changes(first, first, at=[21])
    none = make(("random", "tpe"), ("synthetic/a", "synthetic/b"), without_reference=("synthetic/a", "synthetic/b"))
    with pytest.raises(ReportError, match="No shared optimizer has finished a shared task with reference values"):
        changes(none, none)

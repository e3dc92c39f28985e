"""The adapters' history: failures cost the worst success so far, handles come back oldest first."""

from __future__ import annotations

import math

import pytest

from optibench_optimizers import Observation
from optibench_optimizers.history import Pending, Values, succeeded


@pytest.mark.parametrize(
    ("observation", "good"),
    [
        (Observation({}, 1.0), True),
        (Observation({}, math.nan), False),
        (Observation({}, math.inf), False),
        (Observation({}, 1.0, "timeout"), False),
        (Observation({}, 1.0, "infeasible"), False),
    ],
)
def test_what_counts_as_success(observation: Observation, good: bool) -> None:
    assert succeeded(observation) is good


def test_a_failure_costs_the_worst_success_so_far_and_more_once_a_worse_one_is_known() -> None:
    values = Values()
    values.add(Observation({}, math.nan, "failed"))
    assert values.imputed() == [0.0]
    assert not values.any_succeeded
    values.add(Observation({}, -5.0))
    assert values.imputed() == [-5.0, -5.0]
    values.add(Observation({}, 3.0))
    assert values.imputed() == [3.0, -5.0, 3.0]
    assert (values.best, values.worst, len(values)) == (-5.0, 3.0, 3)


def test_handles_come_back_oldest_first_whatever_the_order_of_the_parameters() -> None:
    pending: Pending[int] = Pending()
    pending.add({"a": 1, "b": 2}, 10)
    pending.add({"b": 2, "a": 1}, 11)
    assert pending.pop({"a": 1, "b": 3}) is None
    assert [pending.pop({"a": 1, "b": 2}) for _ in range(3)] == [10, 11, None]

"""Parallel coordinates: where lines pass, and what cannot be drawn."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from reports.parallel import MISSING_PLACE, axis_of, parallel_coordinates
from reports.results import ReportError


def test_numbers_lie_linearly_or_by_their_logarithm() -> None:
    places, ticks = axis_of([0, 5, 10])
    np.testing.assert_allclose(places, [0, 0.5, 1])
    assert [text for _, text in ticks] == ["0", "5.00", "10.0"]
    places, ticks = axis_of([1e-4, 1e-2, 1.0])
    np.testing.assert_allclose(places, [0, 0.5, 1])
    assert ticks[1] == (0.5, "0.0100")


def test_categories_lie_in_their_order_and_what_is_inactive_below() -> None:
    places, ticks = axis_of(["b", "a", None, "c"])
    np.testing.assert_allclose(places, [0.5, 0, MISSING_PLACE, 1])
    assert [text for _, text in ticks] == ["a", "b", "c"]
    places, _ = axis_of([True, False, None])
    np.testing.assert_allclose(places, [1, 0, MISSING_PLACE])
    assert axis_of([3.0, None])[0].tolist() == [0.5, MISSING_PLACE]
    assert axis_of([None, None])[0].tolist() == [MISSING_PLACE] * 2


def run(values: list[float], configs: list[dict[str, object]], states: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"config": [json.dumps(config) for config in configs], "value": values, "state": states})


@pytest.mark.parametrize(("direction", "best"), [("minimize", 0.1), ("maximize", 0.9)])
def test_the_best_trial_lies_in_front(direction: str, best: float) -> None:
    configs = [{"x": 0.0, "kernel": "rbf"}, {"x": 1.0, "kernel": "linear"}, {"x": 0.5}, {"x": 0.2}]
    trials = run([0.1, 0.9, 0.4, float("nan")], configs, ["ok", "ok", "ok", "failed"])
    axis = parallel_coordinates(trials, direction=direction, value="error").axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["kernel", "x", "error"]
    lines = [line for line in axis.get_lines() if len(line.get_xdata()) == 3]
    assert len(lines) == 3
    assert lines[-1].get_ydata()[-1] == pytest.approx((best - 0.1) / 0.8)


def test_what_cannot_be_drawn_is_refused() -> None:
    trials = run([1.0], [{"x": 1}], ["ok"])
    with pytest.raises(ReportError, match=r"lacks the column\(s\) config"):
        parallel_coordinates(trials.drop(columns="config"), direction="minimize")
    with pytest.raises(ReportError, match="no successful trial"):
        parallel_coordinates(trials.assign(state="failed"), direction="minimize")
    with pytest.raises(ReportError, match="not JSON"):
        parallel_coordinates(trials.assign(config="{"), direction="minimize")

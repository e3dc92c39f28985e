"""Median attained fronts: against a brute force, with runs that attain nothing, and drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optibench_reports.figures.attained_fronts import AttainedFronts, attained


def share(runs: list[np.ndarray], point: np.ndarray) -> float:
    """The share of the runs that dominate a point, or have it."""
    return sum(any((one <= point).all() for one in run) for run in runs) / len(runs)


@pytest.mark.parametrize("n_runs", [1, 2, 3, 6])
def test_half_of_the_runs_dominate_the_corners_and_nothing_better(n_runs: int) -> None:
    rng = np.random.default_rng(n_runs)
    runs = [rng.random((rng.integers(0 if index else 1, 12), 2)) for index in range(n_runs)]
    runs = [np.empty((0, 2)) if n_runs == 6 and index in (1, 4) else run for index, run in enumerate(runs)]
    found = attained(runs)
    whole = np.concatenate(runs)
    for corner in found:
        assert share(runs, corner) >= 0.5
        assert share(runs, corner - [1e-9, 0.0]) < 0.5 or share(runs, corner - [0.0, 1e-9]) < 0.5
    # wherever coordinates of trials cross, half of the runs dominate exactly what a corner dominates
    for x in whole[:, 0]:
        for y in whole[:, 1]:
            point = np.array([x, y])
            assert (share(runs, point) >= 0.5) == any((corner <= point).all() for corner in found)


def test_nothing_is_attained_where_most_runs_have_no_feasible_trial() -> None:
    assert attained([np.empty((0, 2)), np.empty((0, 2)), np.array([[0.5, 0.5]])]).shape == (0, 2)


def fronts() -> AttainedFronts:
    rng = np.random.default_rng(0)
    rows = [
        {
            **{"optimizer": o, "task": t, "seed": s, "trial": n, "cost_fidelity": 1.0, "values": v},
            "state": "ok" if rng.random() < 0.7 else "infeasible",
        }
        for o in ("random", "$tpe$")
        for t in ("a/first", "a/second")
        for s in range(3)
        for n, v in enumerate(rng.random((9, 2)).tolist())
    ]
    rows.append(
        {"optimizer": "random", "task": "a/first", "seed": 3, "trial": 0, "state": "failed", "cost_fidelity": 1.0}
    )
    task = {
        "objectives": {"gain": "maximize", "cost": "minimize"},
        "reference_point": [0.0, 1.0],
        "front": [[1.0, 0.5], [0.5, 0.0]],
    }
    return AttainedFronts(
        pd.DataFrame(rows), {"a/first": task, "a/second": {k: v for k, v in task.items() if k != "front"}}
    )


def test_it_is_drawn_and_can_be_filtered(tmp_path: Path) -> None:
    ((name, caption),) = fronts().draw(tmp_path, ["random", "$tpe$", "absent"])
    assert (tmp_path / f"{name}.png").stat().st_size > 5_000
    assert (tmp_path / f"{name}.pdf").exists()
    assert "on 2 tasks with two objectives" in caption
    first = (tmp_path / f"{name}.png").read_bytes()
    fronts().draw(tmp_path, ["random", "$tpe$"])
    assert (tmp_path / f"{name}.png").read_bytes() == first
    one = fronts().only({"random"}, {"a/first"})
    assert one is not None
    assert set(one.trials["optimizer"]) == {"random"}
    assert fronts().only({"random"}, {"elsewhere"}) is None


def test_trials_at_a_lower_fidelity_attain_nothing(tmp_path: Path) -> None:
    def drawn(found: AttainedFronts) -> bytes:
        ((name, _),) = found.draw(tmp_path, ["random", "$tpe$"])
        return (tmp_path / f"{name}.png").read_bytes()

    usual = fronts()
    cheap = usual.trials[usual.trials["state"] == "ok"].assign(
        cost_fidelity=0.1, values=lambda rows: [[2.0, -1.0]] * len(rows)
    )
    more = pd.concat([usual.trials, cheap], ignore_index=True)
    assert drawn(replace(usual, trials=more)) == drawn(usual)
    assert drawn(replace(usual, trials=more.assign(cost_fidelity=1.0))) != drawn(usual)


def test_the_page_gets_what_no_other_trial_dominates_in_the_objectives_own_directions() -> None:
    found = fronts()
    first, second = found.drawn(["random", "$tpe$", "absent"])
    assert (first["task"], second["task"]) == ("a/first", "a/second")
    assert first["objectives"] == ["gain", "cost"]
    assert (first["front"], second["front"]) == ([[1.0, 0.5], [0.5, 0.0]], [])
    assert first["runs"][2] is None
    rows = found.trials[(found.trials["task"] == "a/first") & (found.trials["optimizer"] == "random")]
    ok = rows[rows["state"] == "ok"]
    points = {(s, n + 1): v for s, n, v in zip(ok["seed"], ok["trial"], ok["values"], strict=True)}
    best = {
        key: point
        for key, point in points.items()
        if not any(o[0] >= point[0] and o[1] <= point[1] and o != point for o in points.values())
    }
    shown = {(seed, trial): [gain, cost] for gain, cost, seed, trial in first["runs"][0]["points"]}
    assert shown.keys() == best.keys()
    assert all(shown[key] == pytest.approx(best[key], rel=1e-4) for key in best)
    by_seed = [np.array([v for (s, _), v in points.items() if s == seed]) * [-1, 1] for seed in range(3)]
    corners = attained([*(run.reshape(-1, 2) for run in by_seed), np.empty((0, 2))]) * [-1, 1]
    inside = corners[(corners[:, 0] > 0) & (corners[:, 1] < 1)]
    np.testing.assert_allclose(first["runs"][0]["surface"], inside, rtol=1e-4)


def test_many_points_are_thinned_and_what_is_worse_than_the_reference_is_left_out() -> None:
    line = [[x, x] for x in np.linspace(-0.5, 1.5, 401).tolist()]  # gain and cost rise together: none dominates another
    columns = {"optimizer": "random", "task": "a", "seed": 0, "state": "ok", "cost_fidelity": 1.0, "values": line}
    trials = pd.DataFrame(columns | {"trial": range(401)})
    task = {"objectives": {"gain": "maximize", "cost": "minimize"}, "reference_point": [0.0, 1.0], "front": line}
    (found,) = AttainedFronts(trials, {"a": task}).drawn(["random", *map(str, range(999))])
    points = found["runs"][0]["points"]
    assert len(points) == 40  # of the 40,000 that a page draws
    assert all(0.0 < gain < 1.0 and 0.0 < cost < 1.0 for gain, cost, *_ in points)
    assert len(found["front"]) == 200
    poor = trials.assign(values=[[-1.0, 2.0]] * 401)
    assert AttainedFronts(poor, {"a": task}).drawn(["random"])[0]["runs"] == [None]

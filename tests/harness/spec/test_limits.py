"""Limits are enforced by killing the worker, and a trial that kills its worker costs only itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from optibench.errors import HarnessError
from optibench.options import declared
from optibench.plan.plan import Plan
from optibench.spec.grid import Grid
from optibench.spec.limits import Limits
from optibench.store.run_folder import Store

GRID = Grid(("random",), ("synthetic/sphere-2d",), (0, 1), 8)


def test_an_evaluation_that_ends_its_worker_costs_only_its_own_trial(
    optibench: Any, trials_of: Any, tmp_path: Path
) -> None:
    habits = {
        "die": ("failed", "evaluate: the worker died (signal SIGKILL)", 3),
        "crash": ("failed", "evaluate: the worker died (signal SIGSEGV)", 3),
        "exit": ("failed", "evaluate: the worker died (exit status 3)", 3),
        "hog": ("failed", "evaluate: the worker was stopped at ", 3),
        "hang": ("timeout", "evaluate: stopped at its limit of 4 s", 1),
        "die-once": ("ok", "", 2),
    }
    (tmp_path / "once").mkdir()
    (tmp_path / "grid.yaml").write_text(
        f"optimizers: random\nbenchmarks: [{', '.join(f'misbehaving/{habit}' for habit in habits)}]\nseeds: 1\n"
        "trials: 9\ninitial_size: 4\nevaluation_limit: 4s\nmemory_limit: 320M\nretries: 2\n"
    )
    optibench("run", "grid.yaml", "--no-report", "-j", 2, "--out", "out", check=3, ONCE=str(tmp_path / "once"))
    trials = trials_of(tmp_path / "out")
    assert len(trials) == len(habits) * 9
    for habit, (state, text, attempts) in habits.items():
        cell = trials[trials.task == f"misbehaving/{habit}"].sort_values("trial")
        assert cell.trial.tolist() == list(range(9))
        x = cell.config.map(lambda config: json.loads(config)["x"])
        bad, good = cell[x < -0.5], cell[x >= -0.5]
        assert len(bad) > 0
        assert (bad.state == state).all(), bad.error.tolist()
        assert bad.error.fillna("").str.startswith(text).all(), bad.error.tolist()
        assert (bad.attempts == attempts).all()
        assert (good.state == "ok").all(), good.error.tolist()
        assert (good.attempts == 1).all()
        assert cell.regret.notna().all()
    hangs = trials[trials.state == "timeout"]
    assert hangs.evaluate_seconds.between(4, 30).all()
    events = Store.open(tmp_path / "out").events()
    assert {event["event"] for event in events} == {
        "worker died, its trial is tried again",
        "worker died, its trial is recorded as failed",
        "worker stopped at a limit, its trial is tried again",
        "worker stopped at a limit, its trial is recorded as failed",
        "worker stopped at a limit, its trial is recorded as timeout",
    }
    failures = sum(int(row.attempts) - (row.state == "ok") for row in trials.itertuples() if row.attempts > 1)
    assert len(events) == failures + len(hangs), "every attempt is on record"


def test_an_optimizer_that_ends_its_worker_is_named_with_its_step(
    optibench: Any, trials_of: Any, tmp_path: Path
) -> None:
    optibench(
        *("run", "-o", "hang-ask,hang-tell,crash-ask,hang-setup", "-b", "synthetic/sphere-2d", "-s", "1"),
        *("-t", "8", "--initial-size", "4", "--ask-limit", "1", "--cell-limit", "6s", "--no-report", "-j", 2),
        *("--out", "out"),
        check=3,
    )
    trials = trials_of(tmp_path / "out")
    cells = {name: cell.sort_values("trial") for name, cell in trials.groupby("optimizer")}
    assert all(cell.trial.tolist() == list(range(8)) for cell in cells.values())
    asks = cells["hang-ask"].iloc[6:]
    assert asks.state.tolist() == ["timeout"] * 2, "told as often as before, it hangs in the next ask as well"
    assert asks.error.tolist() == ["ask: stopped at its limit of 1 s"] * 2
    assert asks.config.isna().all()
    crashes = cells["crash-ask"].iloc[6:]
    assert crashes.state.tolist() == ["failed"] * 2
    assert crashes.error.tolist() == ["ask: the worker died (signal SIGSEGV)"] * 2
    assert crashes.attempts.tolist() == [2, 2]
    tells = cells["hang-tell"]
    assert tells.state.tolist() == ["ok"] * 8, "what was evaluated keeps its value"
    assert tells.error.tolist()[5:] == ["tell: stopped at its limit of 1 s"] * 3, "still told five"
    assert tells.error.iloc[:5].isna().all()
    setup = cells["hang-setup"]
    assert setup.state.tolist() == ["timeout"] * 8
    assert (setup.error == "cell: stopped at its limit of 6 s").all()
    for name in ("hang-ask", "crash-ask"):
        assert cells[name].state.tolist()[:6] == ["ok"] * 6


def test_a_cell_that_takes_too_long_times_out_between_trials_and_inside_one(
    optibench: Any, trials_of: Any, tmp_path: Path
) -> None:
    optibench(
        *("run", "-o", "random", "-b", "misbehaving/sleep,misbehaving/hang", "-s", "3-3", "-t", "400"),
        *("--cell-limit", "2", "--no-report", "-j", 2, "--out", "out"),
        check=3,
    )
    trials = trials_of(tmp_path / "out")
    for task, cell in trials.groupby("task"):
        cell = cell.sort_values("trial")
        done = (cell.state == "ok").sum()
        assert 0 < done < 400, task
        assert cell.state.tolist() == ["ok"] * done + ["timeout"] * (400 - done)
        assert (cell.error[cell.state == "timeout"] == "cell: stopped at its limit of 2 s").all()
        assert cell.evaluate_seconds.sum() < 10


def test_an_optimizer_that_cannot_be_replayed_goes_on_after_a_limit(
    optibench: Any, trials_of: Any, tmp_path: Path
) -> None:
    optibench(
        *("run", "-o", "stubborn", "-b", "misbehaving/hang", "-s", "2", "-t", "10", "-j", "2"),
        *("--initial", "own", "--evaluation-limit", "1", "--no-report", "--out", "out"),
        check=3,
    )
    trials = trials_of(tmp_path / "out")
    for seed, cell in trials.groupby("seed"):
        cell = cell.sort_values("trial")
        assert len(cell) == 10, seed
        known = cell[cell.state == "ok"]
        assert len(known) > 0
        assert known.config.map(lambda config: json.loads(config)["x"] >= -0.5).all()
        # the configuration that hung is not asked for again, so that its trial has another one
        assert (cell.error[cell.state == "timeout"] == "evaluate: stopped at its limit of 1 s").all()


def test_limits_identify_a_grid_only_where_there_are_some() -> None:
    def keys(**limits: Any) -> set[str]:
        return {cell.key for cell in Plan.of(msgspec.structs.replace(GRID, limits=Limits(**limits))).cells()}

    assert Plan.of(GRID).grid.limits == Limits()
    assert keys(retries=1) == keys()
    changes: list[dict[str, Any]] = [
        *({"evaluation_limit": 5.0}, {"ask_limit": 5.0}, {"cell_limit": 5.0}, {"memory_limit": 2**30}, {"retries": 3}),
        {"evaluation_limit": 6.0},
    ]
    every = [keys(), *(keys(**change) for change in changes)]
    assert len(set.union(*every)) == 2 * len(every)


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("evaluation_limit", 90, 90.0),
        ("evaluation_limit", "0.5", 0.5),
        ("ask_limit", "5m", 300.0),
        ("cell_limit", "1.5 h", 5400.0),
        ("cell_limit", "none", None),
        ("memory_limit", "500M", 500 * 2**20),
        ("memory_limit", "1.5G", 3 * 2**29),
        ("retries", "0", 0),
    ],
)
def test_limits_are_times_and_sizes_with_units(key: str, written: Any, value: Any) -> None:
    assert declared(Limits)[key].value(written, "here") == value


@pytest.mark.parametrize("key", Limits.__struct_fields__)
@pytest.mark.parametrize("written", [-1, "0x", "", "many", True, [], "1e400", "-5s", "5 parsecs", "nan", "inf", 1e300])
def test_other_limits_are_refused(key: str, written: Any) -> None:
    with pytest.raises(HarnessError, match=f"here: `{key}` is a"):
        declared(Limits)[key].value(written, "here")


def test_a_limit_without_a_worker_to_kill_is_refused(optibench: Any, tmp_path: Path) -> None:
    grid = ("-o", "random", "-b", "synthetic/sphere-2d", "-s", 1, "-t", 15)
    done = optibench("run", *grid, "--executor", "serial", "--ask-limit", "3", "--out", "out", check=2)
    assert "`ask_limit`" in done.stderr
    assert "--executor processes" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    optibench("run", *grid, "--no-report", "--retries", 4, "--out", "out")
    again = optibench("run", *grid, "--no-report", "--out", "out", check=2)
    assert 'grid.limits: {"retries": 4} there, null here' in again.stderr
    assert "--retries" in optibench("run", "--retries", 2, "--out", "out", check=2).stderr

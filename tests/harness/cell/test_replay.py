"""Every registered optimizer resumes exactly in the middle of a cell, or says that it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import optibench_optimizers
from optibench.store.run_folder import Store

QUICK = {"random", "sobol", "tpe", "tpe-univariate", "cmaes", "optiformer", "asha", "hyperband"}
NAMES = sorted(optibench_optimizers.entries())
GRID = ("-b", "misbehaving/conditional", "-s", 1, "-t", 15, "--no-report")
"""Ten trials of initial design, then the optimizer's own; the worker is killed in the third of those."""


def killed_and_whole(names: list[str], optibench: Any, table: Any, tmp_path: Path) -> dict[str, Any]:
    """Run a grid with one worker killed in every cell, and undisturbed; compare what replayable optimizers gave."""
    (tmp_path / "once").mkdir()
    optibench("run", "-o", ",".join(names), *GRID, "--executor", "serial", "--out", "whole")
    optibench("run", "-o", ",".join(names), *GRID, "-j", 1, "--out", "killed", ONCE=str(tmp_path / "once"))
    killed, whole = table(tmp_path / "killed"), table(tmp_path / "whole")
    assert (whole.attempts == 1).all()
    events: dict[str, list[str]] = {name: [] for name in names}
    cells = dict(zip(killed.cell, killed.optimizer, strict=True))
    for event in Store.open(tmp_path / "killed").events():
        events[cells[event["cell"]]].append(event["event"])
    for name in names:
        one, other = (frame[frame.optimizer == name].reset_index(drop=True) for frame in (killed, whole))
        assert (one.state == "ok").all(), one.error.tolist()
        if optibench_optimizers.entries()[name].capabilities.replay:
            assert one.attempts.tolist() == [1] * 12 + [2] + [1] * 2, f"{name}: its worker was killed in trial 12"
            assert events[name] == ["worker died, its trial is tried again"]
            pd.testing.assert_frame_equal(one.drop(columns="attempts"), other.drop(columns="attempts"))
    return events


def test_quick_optimizers_resume_exactly(optibench: Any, table: Any, tmp_path: Path) -> None:
    killed_and_whole([name for name in NAMES if name in QUICK], optibench, table, tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize("name", [name for name in NAMES if name not in QUICK])
def test_slow_optimizers_resume_exactly(name: str, optibench: Any, table: Any, tmp_path: Path) -> None:
    killed_and_whole([name], optibench, table, tmp_path)


def test_the_cell_of_an_optimizer_that_cannot_be_replayed_goes_on(optibench: Any, table: Any, tmp_path: Path) -> None:
    (tmp_path / "once").mkdir()
    optibench("run", "-o", "stubborn", *GRID, "-j", 1, "--out", "killed", check=3, ONCE=str(tmp_path / "once"))
    trials, events = table(tmp_path / "killed"), [e["event"] for e in Store.open(tmp_path / "killed").events()]
    assert len(trials) == 15
    assert events[0] == "worker died, its trial is tried again"
    # random proposals differ, so it is killed there again: one retry is what the grid allows
    assert trials.state.tolist() == ["ok"] * 12 + ["failed"] + ["ok"] * 2
    assert sum(event.startswith("a resumed cell would try something else") for event in events) >= 1
    assert "cannot be replayed: a resumed cell continues" in optibench("list", "optimizers").stdout

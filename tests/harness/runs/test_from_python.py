"""Called from Python - a thread, a script with its own classes, a notebook - a run leaves its caller as it was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optibench_benchmarks
import optibench_optimizers
from optibench.errors import HarnessError
from optibench.runs.run import run
from optibench.spec.grid import Grid, Settings
from optibench.store.run_folder import Store

GRID = Grid(("random",), ("synthetic/sphere-2d",), (0, 1), 12)
SCRIPT = """
import optibench_optimizers
from optibench.spec.grid import Grid, Settings
from optibench.runs.run import run
from optibench_optimizers import Entry
from optibench_optimizers.adapters.random_search import RandomSearch
from pathlib import Path


class Mine(RandomSearch):
    pass


optibench_optimizers.register(Entry("mine", "m", "__main__:Mine", RandomSearch.capabilities))

if __name__ == "__main__":
    grid = Grid(("mine",), ("synthetic/sphere-2d",), (0,), 12)
    print(run(grid, Settings(Path("out"), 1, EXECUTOR)).failed)
"""


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_the_caller_is_left_as_it_was(executor: str, tmp_path: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    environment, folder = dict(os.environ), Path.cwd()
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    outcome = run(GRID, Settings(tmp_path / "out", 2, executor))
    assert (outcome.finished, outcome.failed) == (2, 0)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert dict(os.environ) == environment
    assert Path.cwd() == folder
    assert states == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index, union-attr]  # noqa: NPY002
    (recorded,) = json.loads((tmp_path / "out" / "provenance.json").read_text())["runs"]
    assert recorded["command"] == "Python"


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_thread_may_run_a_grid(executor: str, tmp_path: Path) -> None:
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(GRID, Settings(tmp_path / "out", 1, executor))))
    thread.start()
    thread.join(120)
    assert [outcome.finished for outcome in outcomes] == [2]


def test_a_callers_children_keep_their_exit_status(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    run(GRID, Settings(tmp_path / "out", 1, "processes"))
    assert child.wait(timeout=60) == 7


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_an_optimizer_of_a_script_reaches_the_workers(
    executor: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT).replace("EXECUTOR", repr(executor)))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "0\n", done.stderr
    (cell,) = Store.open(tmp_path / "out").finished()
    assert Store(tmp_path / "out").cells.read(cell).column("optimizer").unique().to_pylist() == ["mine"]


def test_an_optimizer_that_no_worker_can_import_is_refused_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    source = SCRIPT.replace("EXECUTOR", "'processes'")
    done = subprocess.run(
        [sys.executable, "-"], input=source, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "Optimizer 'mine' is __main__:Mine, which worker processes cannot import" in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_only_this_process_has_is_refused(tmp_path: Path, fresh_registries: None) -> None:
    import types

    import optibench_optimizers
    from optibench_optimizers.adapters.random_search import RandomSearch

    module = types.ModuleType("made_here")
    module.Mine = RandomSearch  # type: ignore[attr-defined]
    sys.modules["made_here"] = module
    try:
        optibench_optimizers.register(
            optibench_optimizers.Entry("here", "h", "made_here:Mine", RandomSearch.capabilities)
        )
        grid = Grid(("here",), ("synthetic/sphere-2d",), (0,), 12)
        with pytest.raises(HarnessError, match="worker processes cannot import"):
            run(grid, Settings(tmp_path / "out", 1, "processes"))
        with pytest.raises(HarnessError, match="registered only in this process, and Dask's workers"):
            run(grid, Settings(tmp_path / "out", 1, "dask", "tcp://127.0.0.1:1"))
        assert not (tmp_path / "out").exists()
        assert run(grid, Settings(tmp_path / "out", 1, "serial")).failed == 0
    finally:
        del sys.modules["made_here"]


def test_what_a_plug_in_needs_is_in_one_place_and_costs_nothing_before() -> None:
    import optibench as ob

    assert all(getattr(ob, name) is not None for name in ob.__all__)
    assert (ob.Optimizer, ob.Benchmark) == (optibench_optimizers.Optimizer, optibench_benchmarks.Benchmark)
    with pytest.raises(AttributeError, match="module 'optibench' has no attribute 'Optimiser'"):
        ob.Optimiser  # noqa: B018
    code = "import sys, optibench; print(*{'ConfigSpace', 'numpy', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == ""


def test_options_are_keywords_that_mean_what_they_mean_in_a_file(tmp_path: Path) -> None:
    import optibench as ob

    (tmp_path / "grid.yaml").write_text("benchmarks: [synthetic/sphere-2d]\nseeds: 5\ntrials: 12\n")
    options = {"optimizers": ["random"], "seeds": "0-1", "initial_size": 3, "retries": 2, "executor": "serial"}
    run = ob.run(tmp_path / "grid.yaml", out=tmp_path / "out", **options)
    assert (run.finished, len(run.cells), len(run.failed)) == (True, 2, 0)
    grid = Store.open(run.folder).plan().grid
    assert (grid.seeds, grid.trials, grid.initial_size, grid.limits.retries) == ((0, 1), 12, 3, 2)
    assert ob.run(out=tmp_path / "out").finished  # resumed
    with pytest.raises(HarnessError, match="`tasks` and `benchmarks` are one option under two names"):
        ob.run("demo", tasks=["hpobench"], benchmarks="hpobench")
    with pytest.raises(HarnessError, match=r"^The call: unknown key 'trails'; did you mean 'trials'\?"):
        ob.run("demo", trails=3)
    with pytest.raises(HarnessError, match=r"^The call: `trials` is a whole number .* like 20D, not 0\.$"):
        ob.run("demo", trials=0)
    with pytest.raises(HarnessError, match=r"^--trials would change the grid in .*out"):
        ob.run(out=tmp_path / "out", trials=20)

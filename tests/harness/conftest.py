from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import optibench_benchmarks
import optibench_optimizers
from optibench.cell.trials import TIMINGS
from optibench.external import registry
from optibench.store.run_folder import Store

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"harness_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_plugin, _loopback, _server = _load("plugin"), _load("loopback"), _load("command_server")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of a user is remembered in the test's folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path.with_name(f"{tmp_path.name}-state")))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the misbehaving third-party package is installed."""
    folder = _plugin.install(tmp_path / "site")
    return {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "OPTIBENCH_DATA": str(tmp_path / "no-data")}


@pytest.fixture(scope="session")
def command_server() -> Iterator[Any]:
    server = _server.CommandServer()
    yield server
    server.close()


@pytest.fixture
def optibench(environment: dict[str, str], tmp_path: Path, command_server: Any) -> Command:
    """Run the command line in a process of its own, in an empty folder."""

    def command(*arguments: object, check: int | None = 0, **extra: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str]
        done = command_server.run([*map(str, arguments)], {**environment, **extra}, tmp_path)
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    return command


@pytest.fixture
def trials_of() -> Callable[[Path], pd.DataFrame]:
    """Read a run's trials."""

    def read(folder: Path) -> pd.DataFrame:
        store = Store.open(folder)
        frame: pd.DataFrame = store.trials(store.plan().cells()).to_pandas()
        return frame.astype(dict.fromkeys(frame.select_dtypes("category"), str))

    return read


@pytest.fixture
def table(trials_of: Callable[[Path], pd.DataFrame]) -> Callable[[Path], pd.DataFrame]:
    """Read a run's trials without the timings: what two runs of one grid have in common."""
    return lambda folder: trials_of(folder).drop(columns=[*TIMINGS, "run"])


@pytest.fixture
def fresh_registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registries as a new process has them; external definitions of a test are forgotten afterwards."""
    optibench_optimizers.entries(), optibench_benchmarks.families()
    monkeypatch.setattr("optibench.external.registry._registered", {})
    monkeypatch.setattr("optibench.external.benchmark._workers", {})
    monkeypatch.setattr("optibench_optimizers.registry._entries", dict(optibench_optimizers.registry._entries))
    monkeypatch.setattr("optibench_benchmarks.registry._families", dict(optibench_benchmarks.registry._families))
    registry._load_variable.cache_clear()
    yield
    registry._load_variable.cache_clear()


@pytest.fixture
def loopback(environment: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    found = _loopback.Loopback(
        {**environment, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"}, tmp_path / "cluster"
    )
    yield found
    found.close()


@pytest.fixture
def dask_pair(loopback: Any) -> Any:
    """A scheduler with two workers."""
    loopback.start_scheduler()
    for _ in range(2):
        loopback.start_worker()
    return loopback

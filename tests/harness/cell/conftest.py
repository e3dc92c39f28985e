"""A small run of a task that trains and of one that does not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from optibench.cli.main import main
from optibench.store.run_folder import Store

GRID = ("-o", "random,tpe", "-b", "hpobench/ml/histgb/iris,synthetic/sphere-2d", "-s", "2", "-t", "3")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder, which tests only read."""
    folder = tmp_path_factory.mktemp("run") / "out"
    size = ("--initial-size", "1", "--executor", "serial", "--no-report")
    assert main(["run", *GRID, *size, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def stored(run: Path) -> pd.DataFrame:
    """Its trials."""
    store = Store.open(run)
    return store.trials(list(store.plan().cells())).to_pandas()

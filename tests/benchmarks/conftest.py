"""Shared by the tests of benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path))
    return tmp_path

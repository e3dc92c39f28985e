"""The example package, built and installed as a third party's would be, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "optibench-plugin"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, for the build leaves files beside what it builds."""
    ignore = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".pytest_cache")
    return Path(shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "plugin", ignore=ignore))


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it is installed into; no network is needed."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", target, source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def python_path(installed: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(installed)}


def test_it_is_listed_run_and_named_by_doctor(optibench: Callable[..., Any], python_path: dict[str, str]) -> None:
    assert "hill-climber" in optibench("list", "optimizers", **python_path).stdout
    assert "8 20" in optibench("list", "benchmarks", **python_path).stdout
    arguments = ["-o", "random,hill-climber:stdev=0.5", "-b", "bits/*", "-s", "2", "-t", "15"]
    done = optibench("run", *arguments, "--out", "out", **python_path)
    assert "hill-climber:stdev=0.5" in done.stdout
    assert "plug-in hill-climber" in optibench("doctor", check=None, **python_path).stdout
    assert (
        "is a number above 0"
        in optibench("run", "-o", "hill-climber:stdev=7", "-b", "bits/8", check=2, **python_path).stderr
    )


def test_its_own_tests_pass(source: Path, python_path: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=source,
        env={**os.environ, **python_path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_a_plug_in_that_cannot_be_imported_is_one_sentence_and_hurts_nobody_else(
    optibench: Callable[..., Any], installed: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(installed, broken)
    (broken / "optibench_plugin" / "__init__.py").write_text("import no_such_dependency\n")
    python_path = {"PYTHONPATH": str(broken)}
    done = optibench("list", **python_path)
    assert "gp-botorch" in done.stdout
    assert "hpobench" in done.stdout
    assert done.stderr.count("\n") == 2, "one sentence for the optimizer, one for the benchmark"
    assert "'hill-climber' (optibench_plugin:HILL_CLIMBER, of optibench.optimizers) is broken: " in done.stderr
    assert "ModuleNotFoundError: No module named 'no_such_dependency'" in done.stderr
    done = optibench("run", "-o", "hill-climber", "-b", "synthetic/sphere-2d", check=2, **python_path)
    assert done.stderr.count("\n") == 1
    assert "is broken" in done.stderr
    done = optibench("doctor", check=1, **python_path)
    assert "fix or uninstall it" in done.stdout

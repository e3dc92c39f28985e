"""The command line is light, and what it lists is what is registered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import optibench_benchmarks
import optibench_optimizers
from optibench_benchmarks import data

HEAVY = ("torch", "smac", "sklearn", "optuna", "skopt", "botorch", "transformers", "pandas", "matplotlib")


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"], ["run", "--help"], ["doctor"]])
def test_a_light_command_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom optibench.cli.main import main\n"
        f"main({arguments!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]", done.stderr


def test_the_listing_has_every_entry_and_says_how_conditions_are_flattened(optibench: Any) -> None:
    found = json.loads(optibench("list", "--json").stdout)
    assert set(optibench_optimizers.entries()) <= set(found["optimizers"])
    assert found["optimizers"]["tpe"]["conditional"] == "native"
    assert "default" in found["optimizers"]["gp-skopt"]["conditional"]
    assert set(optibench_benchmarks.families()) <= set(found["benchmarks"])
    assert "optibench data fetch" in found["benchmarks"]["yahpo"]["missing"]
    assert {"demo", "dev", "test"} <= set(found["suites"])
    assert "demo" in found["grids"]
    text = optibench("list", COLUMNS="100").stdout
    assert max(map(len, text.splitlines())) <= 100
    for name in optibench_optimizers.entries():
        assert f"  {name} " in text


def test_third_parties_are_listed_and_shown_by_the_doctor(optibench: Any) -> None:
    assert "bad-ask" in json.loads(optibench("list", "optimizers", "--json").stdout)
    assert "misbehaving/nan" in json.loads(optibench("list", "benchmarks", "--json").stdout)["misbehaving"]["names"]
    assert "misbehaving:BAD_ASK" in optibench("doctor", check=None).stdout


def test_the_doctor_is_well_without_optional_data_and_says_how_to_get_it(optibench: Any) -> None:
    done = optibench("doctor")
    assert "optibench data fetch yahpo/lcbench" in done.stdout
    assert "All is well; data of some tasks is not fetched" in done.stdout
    for name in ("torch", *(f"optimizer {name}" for name in ("gp-optuna", "smac-rf", "bad-ask"))):
        assert name in done.stdout


def test_the_doctor_is_not_well_with_damaged_or_half_fetched_data(optibench: Any, tmp_path: Path) -> None:
    first = data.manifest()["yahpo/lcbench"].files[0]
    damaged = tmp_path / "no-data" / first.path
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"short")
    done = optibench("doctor", check=1)
    assert "Something is missing" in done.stdout
    assert "not fetched" in done.stdout  # the other data sets are optional still


def test_status_counts_cells_and_trials(optibench: Any) -> None:
    optibench("run", "--no-report", "-o", "random", "-b", "synthetic/sphere-2d", "-s", 2, "-t", 15, "--out", "out")
    found = json.loads(optibench("status", "out", "--json").stdout)
    assert (found["cells"], found["finished"], found["trials"], found["trials_in_all"]) == (2, 2, 30, 30)
    assert "2 of 2 cells finished" in optibench("status", "out").stdout


def test_data_commands_find_and_refuse(optibench: Any, tmp_path: Path) -> None:
    assert optibench("data", "path").stdout.strip() == str(tmp_path / "no-data")
    assert "missing" in optibench("data", "list").stdout
    optibench("data", "verify", check=1)
    assert "optibench data fetch mnist" in optibench("data", "path", "mnist", check=2).stderr
    assert "mnist" in optibench("data", "fetch", "mnits", check=2).stderr
    assert "mnist" in optibench("data", "list", "mnits", check=2).stderr


@pytest.mark.parametrize(
    "example", sorted((Path(__file__).parents[3] / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_examples_run(example: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()

"""The command line is light, and what it lists is what is registered."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import optibench_benchmarks
import optibench_optimizers
from optibench.cli.main import main
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


@pytest.mark.parametrize(
    "typed",
    [
        "rnu",
        "run --sedes 3",
        "run -o rnadom -b demo",
        "run -o random,tpe:grop=true -b demo",
        "run -o gp-botorch:n_initial=x -b demo",
        "run -o random -b synthetic/spere-2d",
        "run -o random -b demoo",
        "run dmeo",
        "references sythetic/branin",
        "data fetch mnits",
        "train optifromer",
        "report nowhere",
        "compare nowhere elsewhere --out out",
        "report {results}/test --optimizer tpee",
        "report {results}/test --task synthetic/brainn-2d",
        "report {results}/test --control nobody",
        "report {results}/test --rename tpee=TPE",
        "report {results}/test --rename tpe",
    ],
)
def test_a_slip_is_answered_before_anything_heavy_is_imported(typed: str) -> None:
    heavy = ("ConfigSpace", "scipy", "pandas", "matplotlib", "torch", "optuna", "sklearn", "transformers")
    arguments = typed.format(results=Path(__file__).parents[3] / "results").split()
    code = (
        f"import sys\nfrom optibench.cli.main import main\nassert main({arguments!r}) == 2\n"
        f"assert not {{*{heavy}}} & {{*sys.modules}}, {{*{heavy}}} & {{*sys.modules}}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1


def test_the_listing_has_every_entry_and_says_how_conditions_are_flattened(optibench: Any) -> None:
    found = json.loads(optibench("list", "--json").stdout)
    assert set(optibench_optimizers.entries()) <= set(found["optimizers"])
    assert found["optimizers"]["tpe"]["conditional"] == "native"
    assert "default" in found["optimizers"]["gp-skopt"]["conditional"]
    assert set(optibench_benchmarks.families()) <= set(found["benchmarks"])
    assert "optibench data fetch" in found["benchmarks"]["yahpo"]["missing"]
    kept = found["benchmarks"]["bbob"]["kept"]
    assert all(name in found["benchmarks"]["bbob"]["names"] for name in kept)
    assert {"demo", "dev", "test"} <= set(found["suites"])
    assert "demo" in found["grids"]
    text = optibench("list", COLUMNS="100").stdout
    assert max(map(len, text.splitlines())) <= 100
    for name in optibench_optimizers.entries():
        assert f"  {name} " in text
    words = " ".join(text.split())
    assert all(f"{name.removeprefix('bbob/')} (kept)" in words for name in kept)
    assert words.count("(kept)") == sum(len(family["kept"]) for family in found["benchmarks"].values())


def test_third_parties_are_listed_and_shown_by_the_doctor(optibench: Any) -> None:
    assert "bad-ask" in json.loads(optibench("list", "optimizers", "--json").stdout)
    assert "misbehaving/nan" in json.loads(optibench("list", "benchmarks", "--json").stdout)["misbehaving"]["names"]
    assert "misbehaving:BAD_ASK" in optibench("doctor", check=None).stdout


def test_the_doctor_is_well_without_optional_data_and_says_how_to_get_it(optibench: Any) -> None:
    done = optibench("doctor")
    assert "optibench data fetch yahpo/lcbench" in done.stdout
    assert "Everything works. The data of some tasks is not fetched" in done.stdout
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


def test_status_is_watched_until_all_cells_are_finished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"cells": 3, "finished": 0, "begun": 1, "trials": 0}
    state = {"folder": "out", "cells": 3, "trials": 0, "trials_in_all": 30, "optimizers": {"random": counts}}
    states = [{**state, "finished": done, "events": []} for done in (0, 0, 1, 1, 3)] * 2
    monkeypatch.setattr("optibench.cli.run._found", lambda folder: states.pop(0))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert main(["status", "out", "--watch", "--every", "5"]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("out: ")]
    assert [line.split()[1] for line in shown] == ["0", "1", "3"]
    assert main(["status", "out", "--watch", "--json"]) == 0
    assert [json.loads(line)["finished"] for line in capsys.readouterr().out.splitlines()] == [0, 1, 3]
    assert states == []


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    grid = ["-o", "random,sobol", "-b", "synthetic/sphere-2d,synthetic/levy-2d", "-s", "3", "-t", "12"]
    assert main(["run", *grid, "--executor", "serial", "--no-report", "--out", str(folder)]) == 0
    return folder


def test_a_report_shows_only_what_is_asked_for(run_folder: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["report", str(run_folder), "--optimizer", "ran*", "--task", "synthetic/levy-2d", *out]) == 0
    table = pd.read_csv(tmp_path / "out" / "tables" / "regret_at_12.csv")
    assert set(table["optimizer"]) == {"random"}
    assert set(table["task"]) == {"synthetic/levy-2d"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "optibench report DIR &#39;--optimizer=ran*&#39; --task=synthetic/levy-2d --at " in page


def test_a_report_calls_optimizers_as_asked(run_folder: Path, tmp_path: Path) -> None:
    given = ["--rename", "ran*=chance", "--rename", "sobol=grid-like", "--control", "chance"]
    assert main(["report", str(run_folder), *given, "--out", str(tmp_path / "out")]) == 0
    assert set(pd.read_csv(tmp_path / "out" / "tables" / "regret_at_12.csv")["optimizer"]) == {"chance", "grid-like"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "optibench report DIR &#39;--rename=ran*=chance&#39; --rename=sobol=grid-like --at " in page
    assert "over 1 comparison with chance" in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("merge {run} {run} --out {out}", "{run} is named twice; merging needs different run folders."),
        ("compare {run} {run}/. --out {out}", "{run} is named twice; a comparison needs two run folders."),
        ("run -o random -b synthetic/levy-2d -s 1 -t 12 --out {long}", "...: File name too long; give another path."),
        ("report {long}", "...: File name too long; give another path."),
        ("train {long}.yaml", "File name too long"),
    ],
)
def test_a_folder_named_twice_and_a_name_that_is_too_long_are_one_sentence(
    run_folder: Path, tmp_path: Path, given: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"run": run_folder, "out": tmp_path / "out", "long": "a" * 300}
    assert main(given.format(**names).split()) == 2
    error = capsys.readouterr().err
    assert words.format(**names) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_compare_ends_with_status_1_where_the_second_run_is_worse(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = tmp_path / "worse"
    assert main(["publish", str(run_folder), str(worse)]) == 0
    trials = pd.read_parquet(worse / "trials.parquet")
    rows = trials["optimizer"].astype(str) == "sobol"
    for column in ("value", "incumbent", "regret"):
        trials[column] = trials[column].where(~rows, 10 * trials[column])
    trials.to_parquet(worse / "trials.parquet")
    compare = ["--fail-if-worse", "--out", str(tmp_path / "out")]
    capsys.readouterr()
    assert main(["compare", str(run_folder), str(worse), *compare]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        rf"Worse in {worse}: sobol after 12 trials: mean regret \S+ instead of \S+, difference \S+ \[\S+, \S+\] "
        r"on 2 tasks, interval wholly worse\.",
        last,
    )
    assert main(["compare", str(worse), str(run_folder), *compare]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Nothing is worse in {run_folder}: random, sobol."


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
def test_examples_run(example: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()

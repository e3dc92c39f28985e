"""Hundreds of malformed inputs: each is one sentence on standard error and exit status 2, and leaves nothing behind."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import optiformer
from optibench.cli.main import main
from optibench.store.run_folder import Store

sys.path.insert(0, str(Path(__file__).parent))  # where the package of cases is
from malformed import SEED, cases
from malformed.journals import KINDS, damaged_lines, journal

CASES = cases()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What cases damage a copy of."""
    folder = tmp_path_factory.mktemp("base")
    grid = ("-o", "random,sobol", "-b", "synthetic/sphere-2d,synthetic/levy-2d", "-s", "2", "-t", "4")
    size = ("--initial-size", "3", "--no-report", "--executor", "serial")
    assert main(["run", *grid, *size, "--out", str(folder / "run")]) == 0
    assert main(["publish", str(folder / "run"), str(folder / "published")]) == 0
    shutil.copytree(Path(optiformer.__file__).parent / "checkpoints" / "optiformer", folder / "checkpoint")
    trials = {"optimizer": ["mine"] * 4, "task": ["synthetic/sphere-2d"] * 4, "seed": [0] * 4, "trial": range(4)}
    pd.DataFrame({**trials, "value": [0.5] * 4}).to_parquet(folder / "trials.parquet")
    return folder


def test_there_are_enough_and_the_seed_makes_them() -> None:
    assert len(CASES) >= 150
    assert [case.name for case in cases()] == [case.name for case in CASES]
    kinds = {case.arguments[0] for case in CASES}
    assert {"run", "report", "status", "publish", "import", "train", "latency"} <= kinds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.encode("ascii", "backslashreplace").decode())
@pytest.mark.usefixtures("fresh_registries")
def test_it_is_one_sentence(
    case: Any, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    case.lay_out(tmp_path, base)
    before = {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}
    capsys.readouterr()
    status = main(list(case.arguments))
    shown = capsys.readouterr()
    assert status == 2, shown
    assert shown.out == ""
    assert shown.err.count("\n") == 1, shown.err
    assert "Traceback" not in shown.err
    assert len(shown.err) < 1500
    assert {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", ["list of nothing", "grid that is a surrogate"])
def test_it_is_one_sentence_in_a_process_of_its_own(
    name: str, base: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (case,) = (case for case in CASES if case.name == name)
    (tmp_path / "here").mkdir()
    case.lay_out(tmp_path / "here", base)
    done = subprocess.run(
        [sys.executable, "-m", "optibench.cli.main", *(word.replace("\0", "") for word in case.arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path / "here",
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_journal_costs_only_what_is_damaged(
    kind: str,
    base: Path,
    table: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A journal is what a kill may cut anywhere: whatever is in it, the run goes on and gives the same table."""
    rng = random.Random(f"{SEED} {kind}")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base / "run", tmp_path / "run")
    whole = Store(tmp_path / "run")
    expected = table(whole.folder)
    cell = rng.choice(list(whole.plan().cells()))
    lines = journal(expected, cell)
    (tmp_path / "run" / "journal" / f"{cell.key}.jsonl").write_bytes(damaged_lines(lines, kind, rng))
    whole.cells.path(cell.key).unlink()
    assert main(["run", "--out", "run", "--executor", "serial", "--no-report"]) == 0
    assert "Traceback" not in capsys.readouterr().err
    found = table(whole.folder)  # what was made of the damaged one is signed as such
    assert found.drop(columns="fingerprint").equals(expected.drop(columns="fingerprint"))

"""`make latency` in Optuna studies: the script measures every row, `optibench latency` makes tables of its file."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.optimizers import study_latency

from optibench.cli.main import main
from optibench_reports.studies import latency


def row(sampler: str, wall: list[float], cpu: list[float], over: float | None = None, **place: Any) -> dict[str, Any]:
    times = {"wall_seconds": wall, "cpu_seconds": cpu, "over_limit": over, "load_average": 0.5}
    return {"sampler": sampler, "storage": "memory", "n": 10, "d": 2} | place | times


CONTENT = {
    "machine_info": {"cpu": {"brand_raw": "Some CPU", "count": 2}, "python_version": "3.11.7"},
    "datetime": "2026-01-02T03:04:05+00:00",
    "studies": [
        row("TPESampler", [1.0, 2.0, 4.0], [0.5, 1.0, 2.0]),
        row("OptiFormerSampler", [2.0, 5.0], [1.0, 4.0]),
        row("GPSampler", [3.0], [3.0], 7.0),
        row("OptiFormerSampler", [1.0], [1.0], n=50),
    ],
}


def written(folder: Path, content: Any) -> Path:
    path = folder / "studies.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_ratios_compare_the_same_round_and_a_stopped_row_says_its_limit(tmp_path: Path) -> None:
    shown = latency.write(written(tmp_path, CONTENT), tmp_path / "out")
    names = {f"{name}.{kind}" for name in ("studies", "studies_ratio") for kind in ("csv", "tex")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"latency.md"}
    table = pd.read_csv(tmp_path / "out" / "studies.csv").set_index(["sampler", "past_trials"])
    ours = table.loc[("OptiFormerSampler", 10)]
    assert (ours["wall_to_tpe"], ours["cpu_to_tpe"]) == (2.25, 3.0)  # of 2 and 2.5; of 2 and 4
    assert (ours["wall_p50_seconds"], ours["cpu_p50_seconds"], ours["rounds"]) == (3.5, 2.5, 2)
    gp = table.loc[("GPSampler", 10)]
    assert gp["over_limit_seconds"] == 7.0
    assert gp[["wall_p50_seconds", "wall_to_tpe", "cpu_to_tpe"]].isna().all()
    assert table.loc[("OptiFormerSampler", 50), ["wall_to_tpe", "cpu_to_tpe"]].isna().all()
    stopped = next(line for line in shown.splitlines() if line.startswith("GPSampler"))
    assert stopped.split()[5:] == [">", "7000", "—", ">", "7000", ">", "3.5", ">", "7.0"]
    assert "> 7.00 s" in shown.split("as a multiple of TPE's")[1]
    assert "Some CPU, 2 cores" in shown
    assert "busy" not in shown


def altered(**changes: Any) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    content["studies"][0] |= changes  # type: ignore[index]
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"studies": 3}, "was not written by pytest-benchmark"),
        ({"studies": []}, "has no TPESampler"),
        ({"studies": ["text"]}, "has a damaged row"),
        (altered(cpu_seconds="fast"), "has a damaged row"),
        (altered(cpu_seconds=[1.0]), "no usable times of TPESampler"),
        (altered(wall_seconds=["slow"]), "has a damaged row"),
        (altered(wall_seconds=[]), "no usable times of TPESampler at memory, D=2, n=10"),
        (altered(wall_seconds=[1.0, 0.0, 1.0]), "no usable times of TPESampler"),
        (altered(cpu_seconds=[1.0, -1.0, 1.0]), "no usable times of TPESampler"),
        (altered(sampler="RandomSampler"), "has no TPESampler"),
        ({"studies": [CONTENT["studies"][0]] * 2}, "has TPESampler at memory, D=2, n=10 more than once"),  # type: ignore[index]
    ],
)
def test_a_file_that_is_not_usable_is_refused(
    content: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["latency", str(written(tmp_path, content))]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script's two files and its output; in a process of its own, since it uses the timer of the timeouts."""
    folder = tmp_path_factory.mktemp("measured")
    rows = ["--past", "10", "11", "--dimensions", "2", "--rounds", "1", "--out", str(folder / "rows.json")]
    slow = ["--storages", "memory", "--past", "300", "--dimensions", "20", "--limit", "0.05"]
    slow += ["--samplers", "TPESampler", "GPSampler", "--rounds", "2", "--out", str(folder / "slow.json")]
    code = f"from study_latency import main; main({rows}); main({slow})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(study_latency.__file__).parent,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


def test_every_sampler_and_storage_gets_its_rows(measured: Path, tmp_path: Path) -> None:
    assert (measured / "printed").read_text().startswith("Forecast: 24 rows, at most 16 minutes of a core")
    shown = latency.write(measured / "rows.json", tmp_path)
    table = pd.read_csv(tmp_path / "studies.csv")
    assert len(table) == len(table[["sampler", "storage", "past_trials"]].drop_duplicates()) == 4 * 3 * 2
    assert (table["rounds"] == 1).all()
    assert table[["wall_p50_seconds", "cpu_p50_seconds", "wall_to_tpe", "cpu_to_tpe"]].notna().all(axis=None)
    for name in study_latency.SAMPLERS:
        assert shown.count(f"\n{name} ") == 6 + 3  # rows of the two tables


def test_a_suggestion_that_takes_too_long_is_stopped_and_shown(measured: Path) -> None:
    records = {record["sampler"]: record for record in json.loads((measured / "slow.json").read_text())["studies"]}
    assert (records["GPSampler"]["over_limit"], records["GPSampler"]["wall_seconds"]) == (0.05, [])


def test_the_published_table_is_that_of_the_published_run() -> None:
    content = json.loads(study_latency.PUBLISHED.read_text(encoding="utf-8"))["studies"]
    measured = {(str(row["d"]), row["sampler"], row["n"]): row for row in content if row["storage"] == "memory"}
    page = (study_latency.PUBLISHED.parent / "how-to" / "latency.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert len(lines) == 4 * 3
    for d, sampler, numbers in lines:
        for n, number in zip(study_latency.PAST, numbers.replace(",", "").split(" | "), strict=True):
            row = measured[d, sampler, n]
            if row["over_limit"]:
                assert number == f"> {1e3 * row['over_limit']:.0f}"
            else:
                assert float(number) == pytest.approx(1e3 * statistics.median(row["cpu_seconds"]), rel=0.01)


def test_a_row_ends_after_its_rounds_or_its_seconds() -> None:
    for wall, spent, over, continues in (
        ([], 0.0, None, True),
        ([], 9.0, None, True),  # the first suggestion, which is not counted
        ([1.0], 2.0, None, True),
        ([1.0], 5.0, None, False),
        ([1.0] * 3, 4.0, None, False),
        ([], 0.0, 5.0, False),
    ):
        row = study_latency.Row("TPESampler", "memory", 10, 2, wall, wall, over, spent)
        assert row.continues(rounds=3, limit=5.0) == continues


@pytest.mark.parametrize(
    ("arguments", "threads", "words"),
    [
        ([], "2", "measured with one thread: set OMP_NUM_THREADS=1"),
        (["--past", "0"], "1", "'0' is not a whole number of at least 1"),
        (["--limit", "nan"], "1", "'nan' is not a number of seconds above 0"),
        (["--samplers", "tpe"], "1", "invalid choice: 'tpe'"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments: list[str],
    threads: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    with pytest.raises(SystemExit) as ended:
        study_latency.main(arguments)
    assert words in f"{ended.value} {capsys.readouterr().err}"


def test_optunas_gp_is_measured_with_greenlet_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="GPSampler is slower without greenlet: `pip install greenlet`"):
        study_latency.main([])

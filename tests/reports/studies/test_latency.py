"""`optibench latency`: from pytest-benchmark's file to a table and a figure, or one sentence."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optibench.cli.main import main
from optibench_reports import ReportError
from optibench_reports.figures.style import styles
from optibench_reports.studies import latency, latency_cases
from optibench_reports.studies.latency_figure import figure

OPTIMIZERS = ("random", "sobol", "tpe", "tpe:group=true", "tpe-univariate", "cmaes", "gp-skopt", "gp-optuna")
OPTIMIZERS += ("gp-botorch", "smac-rf", "smac-gp", "optiformer-seq", "optiformer", "optiformer:preset=fast")
OPTIMIZERS += ("optiformer:preset=thorough",)
SPEED = (1e-6, 2e-5, 2e-3, 2.2e-3, 4e-3, 5e-5, 0.4, 0.15, 0.5, 0.01, 0.9, 0.02, 0.04, 0.02, 0.1)
ROUNDS = {"smac-gp": 10}


def record(optimizer: str, n: int, d: int, data: list[float], **info: Any) -> dict[str, Any]:
    known = {"optimizer": optimizer, "n": n, "d": d, "cold_seconds": 0.5, "load_average": 0.9}
    return {"name": "test", "extra_info": {**known, **info}, "stats": {"data": data, "rounds": len(data)}}


@pytest.fixture
def content() -> dict[str, Any]:
    """15 optimizers at 4 history lengths and 3 numbers of parameters; SMAC's forest is slow once in eight rounds."""
    rng = np.random.default_rng(0)
    found = []
    for optimizer, seconds in zip(OPTIMIZERS, SPEED, strict=True):
        for n in (10, 50, 100, 200):
            for d in (2, 7, 20):
                data = seconds * (1 + n / 50) * d**0.5 * rng.uniform(0.9, 1.1, ROUNDS.get(optimizer, 64))
                if optimizer == "smac-rf":
                    data[::8] *= 100
                found.append(record(optimizer, n, d, data.tolist()))
    machine = {"cpu": {"brand_raw": "Some | CPU", "count": 2}, "python_version": "3.11.7"}
    other = {"name": "another benchmark", "extra_info": {}, "stats": {"mean": 1.0}}
    return {"machine_info": machine, "datetime": "2026-01-02T03:04:05+00:00", "benchmarks": [*found, other]}


def stored(folder: Path, content: Any) -> Path:
    path = folder / "latency.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_quantiles_and_ratios_come_from_the_raw_rounds(tmp_path: Path) -> None:
    slow, base = [0.1] * 14 + [1.7] * 2, [0.01 * (1 + i) for i in range(16)]
    file = stored(tmp_path, {"benchmarks": [record("smac-rf", 10, 2, slow), record("tpe", 10, 2, base)]})
    latency.write(file, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "latency.csv").set_index("optimizer")
    smac, tpe = table.loc["smac-rf"], table.loc["tpe"]
    assert smac["p50_seconds"] == pytest.approx(0.1)
    assert smac["p95_seconds"] == pytest.approx(1.7)  # place 14.25 of 0 to 15 lies between the two slow ones
    assert smac["mean_seconds"] == pytest.approx(0.3)
    assert tpe["mean_seconds"] == pytest.approx(0.085)
    assert tpe["p95_seconds"] == pytest.approx(0.1525)
    assert smac["mean_to_tpe"] == pytest.approx(0.3 / 0.085)
    assert smac["p50_to_tpe"] == pytest.approx(0.1 / 0.085), "medians mislead: the ratio of means is three times that"
    assert (tpe["mean_to_tpe"], tpe["p50_to_tpe"]) == (1, 1)
    assert smac["rounds"] == 16


def test_everything_is_written_and_printed(
    content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = stored(tmp_path, content)
    assert main(["latency", str(file)]) == 0
    printed = capsys.readouterr().out
    names = ("latency.csv", "latency.md", "latency.pdf", "latency.png", "latency.tex", "latency_ratio.csv")
    assert sorted(path.name for path in (tmp_path / "latency").iterdir()) == [*names, "latency_ratio.tex"]
    text = (tmp_path / "latency" / "latency.md").read_text()
    for name in OPTIMIZERS:
        assert name in printed
        assert name in text
    for words in ("p95 ms", "Fewer than 16 rounds", "12 cases", "2 cores, Python 3.11.7, 2026-01-02"):
        assert words in printed
        assert words in text
    assert "busy" not in printed
    assert r"Some \| CPU" in text
    assert max(map(len, printed.split("\n\n")[1].splitlines())) <= 120
    table = pd.read_csv(tmp_path / "latency" / "latency.csv")
    assert len(table) == 15 * 12
    assert table["mean_to_tpe"].notna().all()
    assert r"\toprule" in (tmp_path / "latency" / "latency.tex").read_text()


def test_the_same_file_gives_the_same_bytes(content: dict[str, Any], tmp_path: Path) -> None:
    content["benchmarks"] = content["benchmarks"][:36]
    file = stored(tmp_path, content)
    for name in ("a", "b"):
        latency.write(file, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_the_figure_shows_every_case_in_the_styles_of_all_figures(content: dict[str, Any], tmp_path: Path) -> None:
    drawn = figure(latency_cases.read(stored(tmp_path, content)))
    looks = styles(OPTIMIZERS)
    assert [axis.get_title() for axis in drawn.axes] == ["2 parameters", "7 parameters", "20 parameters"]
    means = {(c.optimizer, c.d, c.n): 1e3 * c.mean for c in latency_cases.read(tmp_path / "latency.json").cases}
    for axis, d in zip(drawn.axes, (2, 7, 20), strict=True):
        low, high = axis.get_ylim()
        seen = {}
        for line in axis.get_lines():
            x, y = line.get_data()
            assert list(x) == [10, 50, 100, 200]
            assert low < min(y) < max(y) < high, "nothing is cut off"
            seen[line.get_color(), line.get_marker(), line.get_linestyle()] = tuple(y)
        assert len(seen) == len(OPTIMIZERS)
        for name in OPTIMIZERS:
            look = looks[name]
            curve = next(y for key, y in seen.items() if key[:2] == (look.colour, look.marker))
            assert curve == pytest.approx([means[name, d, n] for n in (10, 50, 100, 200)])


def test_ratios_have_two_significant_digits(tmp_path: Path) -> None:
    wanted = {
        0.000494: "0.00049",
        0.00999: "0.010",
        0.9949: "0.99",
        0.996: "1.0",
        9.96: "10",
        45.4: "45",
        1349: "1,300",
    }
    cases = [record("tpe", 10, 2, [1.0] * 16), *(record(f"x{ratio}", 10, 2, [ratio] * 16) for ratio in wanted)]
    table = latency.ratio_table(latency_cases.read(stored(tmp_path, {"benchmarks": cases})))
    found = {row[0].text: row[1].text for row in table.rows}
    assert found == {"tpe": "1.0", **{f"x{ratio}": text for ratio, text in wanted.items()}}


def test_a_place_without_tpe_has_no_ratio(tmp_path: Path) -> None:
    cases = [record("tpe", 10, 2, [1.0] * 16), record("random", 10, 2, [0.1] * 16), record("random", 50, 2, [0.1] * 16)]
    shown = latency.write(stored(tmp_path, {"benchmarks": cases}), tmp_path / "out")
    assert "No ratio where TPE was not measured: n=50, D=2" in shown
    ratios = pd.read_csv(tmp_path / "out" / "latency.csv")["mean_to_tpe"]
    assert ratios.isna().tolist() == [False, False, True]


def test_a_busy_machine_is_named(tmp_path: Path) -> None:
    cases = [record("tpe", 10, 2, [1.0] * 16, load_average=3.04)]
    assert "load average up to 3.0" in latency.write(stored(tmp_path, {"benchmarks": cases}), tmp_path / "out")


def altered(**changes: Any) -> dict[str, Any]:
    changed = copy.deepcopy(record("tpe", 10, 2, [1.0] * 16))
    for key, value in changes.items():
        changed["stats" if key == "data" else "extra_info"][key] = value
    return {"benchmarks": [changed]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "was not written by pytest-benchmark"),
        ({"benchmarks": 3}, "was not written by pytest-benchmark"),
        ({"benchmarks": []}, "has no record of an optimizer's latency"),
        ({"benchmarks": [{"extra_info": {}, "stats": {}}]}, "has no record of an optimizer's latency"),
        (altered(data=None), "no raw data of tpe at n=10, D=2, without which there is no p95"),
        (altered(data=[]), "no raw data of tpe at n=10, D=2"),
        (altered(data=["slow"]), "something else than numbers for tpe"),
        (altered(data=[[1.0], [2.0]]), "not positive for tpe"),
        (altered(data=[1.0, 0.0]), "not positive for tpe"),
        (altered(data=[1.0, float("nan")]), "not positive for tpe"),
        (altered(cold_seconds="long"), "something else than numbers for tpe"),
        (altered(n=0), "not positive for tpe"),
        (altered(optimizer="random"), "has no 'tpe'"),
        ({"benchmarks": altered()["benchmarks"] * 2}, "has tpe at n=10, D=2 more than once"),
    ],
)
def test_a_file_that_is_not_usable_is_refused(
    content: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["latency", str(stored(tmp_path, content))]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["latency.json"]


def test_files_and_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be read"):
        latency_cases.read(tmp_path / "none.json")
    (tmp_path / "taken").write_text("")
    with pytest.raises(ReportError, match="give another --out"):
        latency.write(stored(tmp_path, altered()), tmp_path / "taken")


def test_what_pytest_benchmark_saves_is_what_is_read(tmp_path: Path) -> None:
    """The suite itself, at its cheapest cases, in a process of its own."""
    suite = Path(__file__).parents[2] / "optimizers" / "test_latency.py"
    expected = [(name, n, d) for name in ("random", "tpe") for n, d in ((10, 2), (10, 20))]
    tests = [f"{suite}::test_ask_and_tell[{name}-n{n}-d{d}]" for name, n, d in expected]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--benchmark-only", f"--benchmark-json={tmp_path}/a.json", *tests],
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if "XDIST" not in key} | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[3],
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = latency_cases.read(tmp_path / "a.json").cases
    assert sorted((case.optimizer, case.n, case.d) for case in cases) == expected
    assert all(case.cold > 0 and 0 < case.p50 <= case.p95 for case in cases)

"""`optibench run --dry-run`, `--extend` and `optibench merge` as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from optibench.cli.main import main

GRID = ("-o", "random", "-b", "synthetic/sphere-2d", "-s", "2", "-t", "12", "--executor", "serial", "--no-report")


def test_a_dry_run_counts_and_touches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = str(tmp_path / "a")
    dry = ("--dry-run", "--out", a)

    def said(*arguments: str) -> str:
        assert main(["run", *arguments, *dry]) == 0
        return capsys.readouterr().out

    assert (
        said(*GRID)
        == f"{a}: 2 of 2 cells to run, 24 trials: less than a minute plus the evaluations; about 1 MB on disk.\n"
    )
    assert not Path(a).exists()
    assert main(["run", *GRID, "--out", a]) == 0
    assert said() == f"{a}: 0 of 2 cells to run.\n"
    assert f"{a}: 6 of 6 cells to run, 72 trials: " in said("--extend", "-o", "smac-gp", "-s", "3", "-t", "16")
    assert "and the asks of smac-gp (unknown)" in said("--extend", "-o", "smac-gp")
    assert f"{a}: 2 of 2 cells to run, 8 trials: " in said("--extend", "-t", "16")
    assert main(["run", *GRID[:4], "-t", "9", "--extend", *dry]) == 2
    assert "`trials` is 12 in the run folder" in capsys.readouterr().err
    assert main(["status", a]) == 0
    assert "2 of 2 cells finished, 24 of 24 trials done" in capsys.readouterr().out


def test_runs_are_merged_and_the_rest_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, c = (str(tmp_path / name) for name in "abc")
    assert main(["run", *GRID, "--out", a]) == 0
    assert main(["run", *GRID, "-o", "sobol", "-s", "1-2", "--out", b]) == 0
    capsys.readouterr()
    assert main(["merge", a, b, "--out", c]) == 0
    merged, rest = capsys.readouterr().out.splitlines()
    assert merged == f"Merged: {c} (5 of 6 cells finished, 1 of them in several folders)"
    assert rest == f"Run the others with: optibench run --out {c}"
    assert main(["run", "--out", c, "--executor", "serial", "--no-report"]) == 0
    assert main(["status", c]) == 0
    assert "6 of 6 cells finished" in capsys.readouterr().out
    assert main(["merge", a, "--out", c]) == 2
    assert capsys.readouterr().err == "optibench: Merging needs at least two run folders.\n"
    assert main(["merge", a, b, "--out", c]) == 2
    assert "exists; choose another --out" in capsys.readouterr().err

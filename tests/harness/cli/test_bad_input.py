"""Bad input is one clear sentence, exit status 2, and nothing half-written."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from optibench.cli.main import main

GRID = "optimizers: [random]\nbenchmarks: [synthetic/sphere-2d]\nseeds: 2\ntrials: 15\n"


#: Errors that a user can fix, with their subclasses.
USERS = re.compile(
    "((Unknown)?(Benchmark|Optimizer)|Harness|Report|Model|Setting|MissingData|Attention|Diverged|Endpoint|Rule)Error"
)
#: A message may begin with a name as it is written (`ob.task`, scikit-optimize), and these follow a place.
NAME, AFTER_A_PLACE = re.compile("[a-z]+[._-]"), ("it is a ", "names of `settings` ", "a budget of more than ")


def messages() -> Iterator[tuple[str, str, str]]:
    """Place, beginning and end of every written message; what is computed there is empty."""
    for package in ("optibench", "optibench_benchmarks", "optibench_optimizers", "optibench_reports", "optiformer"):
        for path in sorted(Path(__import__(package).__path__[0]).rglob("*.py")):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                if not call.args or not USERS.fullmatch(ast.unparse(call.func)):
                    continue
                pieces = call.args[0].values if isinstance(call.args[0], ast.JoinedStr) else [call.args[0]]
                first, last = (one.value if isinstance(one, ast.Constant) else "" for one in (pieces[0], pieces[-1]))
                yield f"{path}:{call.lineno}", first, last


def test_every_message_is_a_sentence() -> None:
    found = list(messages())
    assert len(found) > 400
    for place, first, last in found:
        assert not first[:1].islower() or NAME.match(first) or first.startswith(AFTER_A_PLACE), f"{place}: {first}"
        assert last.endswith((".", "?")) or not last.strip(), f"{place}: {last}"


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence that a refused command prints."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert status == 2, captured
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "rnadom", "-b", "synthetic/sphere-2d"], ["rnadom", "did you mean", "random"]),
        (["-o", "random", "-b", "synthetic/spere-2d"], ["spere", "synthetic/sphere-2d"]),
        (["-o", "random", "-b", "demoo"], ["demoo", "demo"]),
        (["-o", "random", "-b", "synthetic/nothing*"], ["synthetic/nothing*"]),
        (["-o", "random"], ["benchmarks", "-b"]),
        (["-b", "demo"], ["optimizers", "-o"]),
        ([], ["-o", "-b"]),
        (["-o", "random:size=3", "-b", "synthetic/sphere-2d"], ["random", "size"]),
        (["-o", "tpe:group", "-b", "synthetic/sphere-2d"], ["group", "name:key=value"]),
        (["-o", "random", "-b", "synthetic/sphere-2d", "-t", "0"], ["trials", "at least 1", "'0'"]),
        (["-o", "random", "-b", "synthetic/sphere-2d", "-j", "0"], ["jobs", "at least 1"]),
        (["-o", "random", "-b", "synthetic/sphere-2d", "--executor", "threads"], ["executor", "processes"]),
        (["-o", "random", "-b", "synthetic/sphere-2d", "-s", "²"], ["seeds", "'²'"]),
        (["-o", "random", "-b", "synthetic/sphere-2d", "-t", "1_0"], ["trials", "'1_0'"]),
        (["-o", "random", "tpe", "-b", "demo"], ["`-o random,tpe` or `-o random -o tpe`"]),
        (["-o", "random", "tpe", "demo"], ["`-o random,tpe`", "`optibench run demo -o random,tpe`"]),
        (
            ["demo", "-o", "random", "tpe:group=true,n_ei_candidates=5"],
            ["`-o random,tpe:group=true,n_ei_candidates=5`"],
        ),
        (["-b", "synthetic-2d", "yahpo/*", "-o", "random"], ["`-b 'synthetic-2d,yahpo/*'`"]),
        (["-b", "synthetic-2d", "demo"], ["`-b synthetic-2d,demo`", "`optibench run demo -b synthetic-2d`"]),
        (["-o", "random", "first.yaml"], ["Cannot read the grid first.yaml"]),
        (["-o", "random,,tpe", "-b", "demo"], ["--optimizers", "between two commas in 'random,,tpe'"]),
        (["-o", "random,group=true", "-b", "demo"], ["write random:group=true"]),
        (["-o", "group=true", "-b", "demo"], ["write NAME:group=true"]),
        (["-o", "-b", "demo"], ["-o needs a value, and -b is an option"]),
        (["demo", "-o"], ["-o needs a value"]),
        (["demo", "--no-report=3"], ["--no-report takes no value"]),
        (["dmeo"], ["did you mean demo?"]),
        (["-o", "tpe:grop=true", "-b", "synthetic/sphere-2d"], ["'grop' (did you mean group?)"]),
        (["-o", "random,tpe:n_ei_candidates=0", "-b", "synthetic/sphere-2d"], ["'n_ei_candidates'", "at least 1"]),
        (["nowhere.yaml"], ["nowhere.yaml", "No such file", "demo"]),
        (["--out", "nowhere"], ["nowhere", "does not exist"]),
    ],
)
def test_run_refuses(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    message = refused(capsys, "run", *arguments)
    for word in words:
        assert word in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GRID + "trails: 7\n", ["grid.yaml:5: ", "'trails'", "did you mean 'trials'"]),
        (GRID + "trials: 17\n", ["grid.yaml:5: ", "is repeated", "line 4"]),
        (GRID.replace("trials: 15", "trials: 0"), ["grid.yaml:4: ", "trials", "at least 1"]),
        (GRID.replace("trials: 15", "trials: yes"), ["grid.yaml:4: ", "trials", "True"]),
        (GRID.replace("seeds: 2", "seeds: [0, -1]"), ["grid.yaml:3: ", "seeds"]),
        (GRID.replace("seeds: 2", "seeds: {a: 1}"), ["grid.yaml:3: ", "seeds"]),
        (GRID.replace("[random]", "[random"), ["grid.yaml:2: ", "malformed YAML"]),
        (GRID.replace("[random]", "[1, 2]"), ["grid.yaml:1: ", "list of names"]),
        (GRID + "name: ../../etc\n", ["grid.yaml:5: ", "name"]),
        ("- random\n", ["mapping"]),
        ("", ["mapping"]),
        ("optimizers: !!python/object:os.system [ls]\n", ["grid.yaml"]),
    ],
)
def test_a_grid_file_is_refused_with_the_line(
    text: str, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "grid.yaml").write_text(text)
    message = refused(capsys, "run", "grid.yaml")
    for word in ("grid.yaml", *words):
        assert word in message
    assert [path.name for path in tmp_path.iterdir()] == ["grid.yaml"]


def test_an_output_that_cannot_be_written_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused(capsys, "run", "-o", "random", "-b", "synthetic/sphere-2d", "--out", "file/out")
    assert "Cannot write" in message
    if os.geteuid() != 0:  # root may write everywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "Cannot write" in refused(
            capsys, "run", "-o", "random", "-b", "synthetic/sphere-2d", "--out", "locked/out"
        )


def test_a_training_configuration_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "wrong.yaml").write_text("train: {beta2: 7}")
    for command in (
        ["train", "wrong.yaml", "--out", "out"],
        ["scaling", "scale-180-steps", "scale-360-steps", "wrong.yaml", "--out", "out"],
        ["run", "-o", "optiformer:train=wrong.yaml", "-b", "synthetic/sphere-2d", "--out", "out"],
        ["run", "-o", "optiformer-seq:train=wrong.yaml", "-b", "synthetic/sphere-2d", "--out", "out"],
    ):
        words = "wrong.yaml: train: beta2 must be a number of at least 0 and below 1, not 7."
        assert words in refused(capsys, *command)
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.yaml"]


def test_unknown_words_on_the_command_line_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    see = "; see `optibench --help`.\n"
    assert refused(capsys, "rnu") == f"optibench: unknown command 'rnu' (did you mean run?){see}"
    assert "(choose from run, status, " in refused(capsys, "xyz")
    assert refused(capsys) == f"optibench: missing command{see}"
    assert "unknown option --versoin (did you mean --version?)" in refused(capsys, "--versoin")
    assert "unknown option --sedes (did you mean --seeds?)" in refused(capsys, "run", "demo", "--sedes", "3")
    assert "unknown option --trails (did you mean --trials?)" in refused(capsys, "run", "demo", "--trails=3")
    assert "unknown option --tri" in refused(capsys, "run", "demo", "--tri", "3")  # a part of a name is none
    assert "unexpected argument 'more'" in refused(capsys, "status", "here", "more")
    assert "at least 1" in refused(capsys, "report", "somewhere", "--at", "0")
    assert "at least 1" in refused(capsys, "report", "somewhere", "--at", "10,²")
    assert "write `--at 10,25` or `--at 10 --at 25`" in refused(capsys, "report", "x", "--at", "10", "25")
    assert "write `--metric a,b`" in refused(capsys, "publish", "x", "y", "--compact", "--metric", "a", "b")
    assert "--run needs 3 values: OPTIMIZER TASK SEED" in refused(capsys, "report", "x", "--run", "random")
    assert "optibench report: missing DIR; see `optibench report --help`.\n" in refused(capsys, "report")
    assert "'optimizer' (did you mean optimizers?)" in refused(capsys, "list", "optimizer")
    assert "exclude each other" in refused(capsys, "references", "demo", "--again", "--check")
    assert "does not exist" in refused(capsys, "status", "nowhere")


@pytest.mark.parametrize("seed", ["²", "-1", "1_0", "1.5", "", "9" * 30, "9" * 18])
def test_a_seed_that_no_run_has_is_refused(seed: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID)
    assert main(["run", "grid.yaml", "--out", "out", "--executor", "serial", "--no-report"]) == 0
    capsys.readouterr()
    message = refused(capsys, "report", "out", "--run", "random", "synthetic/sphere-2d", seed)
    assert "seed" in message

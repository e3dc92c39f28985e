"""Completion knows every name, imports nothing heavy for it, and works in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from optibench.cli.command import COMPLETE
from optibench.cli.complete import ADVICE
from optibench.cli.main import main

Ask = Callable[[str], list[str]]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ask:
    """What bash gets to show for a line that is being typed, in a folder with a run, a grid file and other things."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/first/grid.yaml", "runs/second/grid.yaml", "runs/notes/a.txt", "mine.yaml", "mine.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")

    def answer(line: str) -> list[str]:
        for name, value in ((COMPLETE, "bash_complete"), ("COMP_LINE", line), ("COMP_POINT", str(len(line)))):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COMP_WORDBREAKS", " \t\n\"'><=;|&(:")
        assert main([]) == 0
        return capsys.readouterr().out.split()

    return answer


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("optibench pub", ["publish"]),
        ("optibench run --ini", ["--initial", "--initial-size"]),
        ("optibench run --initial ", ["shared", "own"]),
        ("optibench run -o tp", ["tpe", "tpe-univariate"]),
        ("optibench run -o random -o sob", ["sobol"]),
        ("optibench run -o random,sob", ["random,sobol"]),
        ("optibench run -o random,tpe:gr", ["group="]),  # bash keeps what stands before a colon or `=`
        ("optibench run -o tpe:group=", ["true", "false"]),
        ("optibench run -o asha:sampler=r", ["random"]),
        ("optibench run -o tpe:group=true,n_ei", ["true,n_ei_candidates="]),
        ("optibench run -o tpe:group=true,sobo", ["true,sobol"]),
        ("optibench run -o tpe:group=true,random,n_ei", []),  # random has no settings
        ("optibench run -o nobody:x", []),
        ("optibench run -b synthetic-2", ["synthetic-2d"]),
        ("optibench run -b hpolib,synthetic/brani", ["hpolib,synthetic/branin-2d"]),
        ("optibench run -b hpobench,!hpobench/nn/ca", ["hpobench,!hpobench/nn/car"]),
        ("optibench run dem", ["demo"]),
        ("optibench run min", ["mine.yaml"]),
        ("optibench run --out=runs/f", ["runs/first"]),
        ("optibench status runs/", ["runs/first", "runs/notes/", "runs/second"]),
        ("optibench references mnis", ["mnist/mlp-10k"]),
        ("optibench data f", ["fetch"]),
        ("optibench data fetch mnist/", ["mnist/train"]),
        ("optibench train llama-n", ["llama-nano"]),
        ("optibench completion z", ["zsh"]),
    ],
)
def test_what_was_begun_is_completed(line: str, words: list[str], ask: Ask) -> None:
    found = ask(line)
    if line.endswith("mnis"):  # without its data a task is not listed
        found = found or words
    assert found == words


def test_every_command_and_suite_is_offered(ask: Ask) -> None:
    assert {"run", "status", "report", "compare", "completion"} <= set(ask("optibench "))
    assert {"demo", "test", "synthetic/sphere-2d", "live/svm/wine"} <= set(ask("optibench run -b "))


@pytest.mark.parametrize("option", ["--optimizer", "--control"])
def test_what_a_run_has_is_offered_as_a_filter(option: str, ask: Ask) -> None:
    folder = ROOT / "results" / "test"
    assert ask(f"optibench report {folder} {option} tpe-u") == ["tpe-univariate"]
    assert ask(f"optibench report {folder} --task synthetic/branin") == ["synthetic/branin-2d"]
    assert ask(f"optibench report runs/first {option} tpe") == []  # its plan is damaged


@pytest.mark.parametrize("line", ["-o ", "-o optiformer:", "-b ", "", "--out "])
def test_completion_imports_nothing_heavy(line: str, tmp_path: Path) -> None:
    heavy = ("ConfigSpace", "scipy", "pandas", "torch", "optuna", "sklearn", "matplotlib", "pyarrow")
    code = f"from optibench.cli.main import main; main([]); import sys; assert not {{*{heavy}}} & {{*sys.modules}}"
    line = f"optibench run {line}"
    environment = {**os.environ, COMPLETE: "bash_complete", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    program = tmp_path / "optibench"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m optibench.cli.main "$@"\n')
    program.chmod(0o755)
    test = """
    eval "$(optibench completion bash)"
    complete -p optibench > /dev/null || exit 1
    COMP_LINE="optibench run -o random,tpe:gr" COMP_POINT=30
    _optibench_completion optibench 2> /dev/null
    echo "${COMPREPLY[*]}"
    """
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", test], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "group=\n", done.stderr


@pytest.mark.parametrize("shell", ADVICE)
def test_each_shell_has_a_script_that_says_where_it_goes(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert f"# {ADVICE[shell]}" in (first, second)
    assert f"optibench completion {shell}" in ADVICE[shell]
    assert any(f"{COMPLETE}={shell}_complete" in line for line in rest)

"""External processes: the protocol and its failures."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

import optibench_benchmarks
import optibench_optimizers
from optibench import external
from optibench_benchmarks import BenchmarkError
from optibench_optimizers import Observation, OptimizerError

WORKER = Path(__file__).parent / "odd_worker.py"
pytestmark = pytest.mark.usefixtures("fresh_registries")


@pytest.fixture
def behave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Register a worker with a habit as the optimizer `odd` and the benchmark `odd`."""
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))

    def register(habit: str, **more: Any) -> None:
        one = {"command": [sys.executable, str(WORKER), habit], "seconds": 5, **more}
        values = {"optimizers": {"odd": one}, "benchmarks": {"odd": {**one, "tasks": ["line"]}}}
        external.register(external.parse(values, "test", tmp_path))

    return register


def line() -> ConfigurationSpace:
    return ConfigurationSpace({"x": (0.0, 1.0)})


def make() -> optibench_optimizers.Optimizer:
    return optibench_optimizers.create("odd", line(), seed=0, n_trials=5)


def test_a_worker_without_the_sdk_is_asked_told_and_evaluated(behave: Callable[..., None]) -> None:
    behave("good")
    optimizer = make()
    (suggestion,) = optimizer.ask()
    assert suggestion.config == {"x": 1.0}
    assert type(suggestion.config["x"]) is float
    optimizer.tell([Observation({"x": 0.5}, float("nan"), "failed")])
    assert len(optimizer.ask(3)) == 3
    optimizer.close()
    task = optibench_benchmarks.create("odd/line")
    assert task.direction == "maximize"
    assert task.reference is not None
    assert task.reference.regret(task.evaluate({"x": 0.75}, seed=0).value) == 0.5
    assert task.evaluate({"x": 0.75}, seed=0).cost_seconds == 2.0
    curve = task.evaluate({"x": 0.75}, seed=0).curve
    assert list(curve) == ["epoch", "loss"]
    assert np.array_equal(list(curve.values()), [[1, 2], [np.nan, 0.5]], equal_nan=True)
    assert task.data_version == "external; 1", "the worker's version is in the fingerprint, not in the key"


def test_a_curve_of_two_lengths_is_one_sentence(behave: Callable[..., None]) -> None:
    behave("ragged")
    with pytest.raises(BenchmarkError, match=r"answered 'evaluate' with .*\"curve\".*; it must be"):
        optibench_benchmarks.create("odd/line").evaluate({"x": 0.75}, seed=0)


@pytest.mark.parametrize(
    ("habit", "words"),
    [
        ("version", "speaks version 99 of the protocol, and this bench speaks 1 to 2"),
        ("refuse", "refused the handshake: not today"),
        ("banner", "'Welcome to libfoo 1.2!' on standard output, which is not a JSON-RPC reply to request 1"),
    ],
)
def test_a_failed_handshake_is_one_sentence(behave: Callable[..., None], habit: str, words: str) -> None:
    behave(habit)
    for use, error in ((make, OptimizerError), (lambda: optibench_benchmarks.create("odd/line"), BenchmarkError)):
        with pytest.raises(error) as caught:
            use()  # type: ignore[operator]
        assert words in str(caught.value)
        assert "'odd'" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("habit", "words"),
    [
        ("die", "ended (exit status 3) instead of answering"),
        ("segfault", "ended (SIGSEGV) instead of answering"),
        ("nonsense", "which is not a JSON-RPC reply to request"),
        ("shape", "it must be"),
        ("error", "ValueError: x is negative"),
    ],
)
def test_a_failure_later_on_is_one_sentence(behave: Callable[..., None], habit: str, words: str) -> None:
    behave(habit)
    optimizer, task = make(), optibench_benchmarks.create("odd/line")
    with pytest.raises(OptimizerError) as asked:
        optimizer.ask()
    with pytest.raises(BenchmarkError) as evaluated:
        task.evaluate({"x": 0.5}, seed=0)
    for caught in (asked, evaluated):
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        if habit in ("die", "segfault", "nonsense"):
            assert f"its standard error ends: about to {habit}" in str(caught.value)
    optimizer.close()


def test_a_dead_optimizer_stays_dead_and_a_benchmark_is_started_anew(behave: Callable[..., None]) -> None:
    behave("die")
    optimizer, task = make(), optibench_benchmarks.create("odd/line")
    for words in ("ended", "no longer running, because it failed before"):
        with pytest.raises(OptimizerError, match=words):
            optimizer.ask()
    for _ in range(2):
        with pytest.raises(BenchmarkError, match=r"ended \(exit status 3\)"):
            task.evaluate({"x": 0.5}, seed=0)


def test_a_hanging_worker_is_killed_with_its_children(behave: Callable[..., None], tmp_path: Path) -> None:
    behave("hang", seconds=0.5)
    optimizer, task = make(), optibench_benchmarks.create("odd/line")
    with pytest.raises(OptimizerError, match=r"did not answer 'ask' within 0.5 s and was killed"):
        optimizer.ask()
    with pytest.raises(BenchmarkError, match="did not answer 'evaluate'") as caught:
        task.evaluate({"x": 0.5}, seed=0)
    assert isinstance(caught.value, TimeoutError)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4, "each worker forked once"
    assert all(map(ends, pids))


def ends(pid: int) -> bool:
    """Whether a process that was killed is gone, however busy the machine is."""
    return any(not running(pid) or time.sleep(0.02) for _ in range(1500))


def running(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_much_standard_error_and_a_value_that_is_none_do_no_harm(behave: Callable[..., None]) -> None:
    behave("flood", seconds=30)
    value = optibench_benchmarks.create("odd/line").evaluate({"x": 0.5}, seed=0).value
    assert value != value


@pytest.mark.parametrize(("habit", "words"), [("space", "describes 'line' wrongly"), ("direction", "'up'")])
def test_a_wrong_description_is_one_sentence(behave: Callable[..., None], habit: str, words: str) -> None:
    behave(habit)
    with pytest.raises(BenchmarkError) as caught:
        optibench_benchmarks.create("odd/line")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_worker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even by kill -9, and even while it is busy and does not read its input."""
    code = f"""
        from pathlib import Path
        from optibench.external.process import Process
        process = Process("odd", [{sys.executable!r}, {str(WORKER)!r}, "hang"], Path({str(tmp_path)!r}), {{}})
        process.request("ask", {{}}, 1000)
    """
    pids = tmp_path / "pids"
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env={**os.environ, "PIDS": str(pids)})
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    worker, child = sorted(map(int, pids.read_text().split()))
    assert ends(worker)
    if running(child):  # the kernel's promise holds for the worker, not for what it starts
        os.kill(child, 9)


def test_hanging_and_dying_workers_cost_their_trials_and_the_grid_goes_on(
    optibench: Callable[..., Any], tmp_path: Path, table: Callable[[Path], Any]
) -> None:
    lines = "".join(
        f"    {name}: {{command: [{sys.executable}, {WORKER}, {name}], tasks: [line], seconds: 1}}\n"
        for name in ("hang", "die", "good")
    )
    (tmp_path / "grid.yaml").write_text(
        f"external:\n  benchmarks:\n{lines}optimizers: [random]\n"
        "benchmarks: [hang/line, die/line, good/line]\nseeds: 1\ntrials: 3\ninitial_size: 2\n"
    )
    optibench("run", "grid.yaml", "--out", "out", "--no-report", check=3, PIDS=str(tmp_path / "pids"))
    trials = table(tmp_path / "out")
    found = {
        name: set(group["state"]) for name, group in trials.groupby("benchmark" if "benchmark" in trials else "task")
    }
    assert found == {"hang/line": {"timeout"}, "die/line": {"failed"}, "good/line": {"ok"}}
    errors = " ".join(trials["error"].dropna())
    assert "did not answer 'evaluate' within 1 s and was killed; its standard error ends: about to hang" in errors
    assert "ended (exit status 3) instead of answering 'evaluate'" in errors

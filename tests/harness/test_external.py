"""External processes: the protocol, its failures, and a grid over it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

import benchmarks
import optimizers
from benchmarks import BenchmarkError
from benchmarks.conformance import BenchmarkConformance
from harness import external
from harness.external import definitions as registry
from harness.external.optimizer import typed
from harness.external.process import SDK
from optimizers import Observation, OptimizerError
from optimizers.conformance import OptimizerConformance
from optimizers.conformance_spaces import SPACES, mixed

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "external"

# A worker that does as its argument says, written without the SDK.
HABITS = """
import json, os, sys, time
habit = sys.argv[1]
print("about to", habit, file=sys.stderr)
def reply(message, **result):
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    method = message["method"]
    if method == "initialize":
        if habit == "version": reply(message, result={"protocol": 99})
        elif habit == "refuse": reply(message, error={"code": 1, "message": "not today"})
        elif habit == "banner": print("Welcome to libfoo 1.2!", flush=True)
        else: reply(message, result={"protocol": 1, "version": "7"})
    elif method == "start" or method == "tell":
        reply(message, result={})
    elif method == "describe":
        if habit == "space": reply(message, result={"space": {"hyperparameters": 3}, "direction": "minimize"})
        else: reply(message, result={
            "space": {"name": None, "hyperparameters": [{"type": "uniform_float", "name": "x", "lower": 0.0,
                "upper": 1.0, "default_value": 0.5, "log": False, "meta": None}], "conditions": [], "forbiddens": [],
                "format_version": 0.4},
            "direction": "up" if habit == "direction" else "maximize",
            "reference": {"f_best": 1.0, "f_ref": 0.5, "f_worst": 0.0, "source": "analytic"}})
    elif habit == "hang":
        child = os.fork()
        open(os.environ["PIDS"], "a").write("%d\\n" % os.getpid())
        time.sleep(1000)
    elif habit == "die": os._exit(3)
    elif habit == "segfault": os.kill(os.getpid(), 11)
    elif habit == "nonsense": print('{"jsonrpc": "2.0", "id": 0, "result": {}}', flush=True)
    elif habit == "shape": reply(message, result=[1, 2])
    elif habit == "error": reply(message, error={"code": -32000, "message": "ValueError: x is negative"})
    elif habit == "flood": sys.stderr.write("warning\\n" * 100000); reply(message, result={"value": None})
    elif method == "evaluate": reply(message, result={"value": message["params"]["config"]["x"], "cost_seconds": 2})
    else: reply(message, result={"suggestions": [{"config": {"x": 1}}] * message["params"]["n"]})
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registries as a new process has them; what a test registers is forgotten afterwards."""
    optimizers.entries(), benchmarks.families()
    monkeypatch.setattr("harness.external.definitions._registered", {})
    monkeypatch.setattr("harness.external.benchmark._workers", {})
    monkeypatch.setattr("optimizers.registry._entries", dict(optimizers.registry._entries))
    monkeypatch.setattr("benchmarks.registry._families", dict(benchmarks.registry._families))
    registry._load_variable.cache_clear()
    yield
    registry._load_variable.cache_clear()


@pytest.fixture
def behave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Register a worker with a habit as the optimizer `odd` and the benchmark `odd`."""
    (tmp_path / "worker.py").write_text(textwrap.dedent(HABITS))
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))

    def register(habit: str, **more: Any) -> None:
        one = {"command": [sys.executable, "worker.py", habit], "seconds": 5, **more}
        values = {"optimizers": {"odd": one}, "benchmarks": {"odd": {**one, "tasks": ["line"]}}}
        external.register(external.parse(values, "test", tmp_path))

    return register


def line() -> ConfigurationSpace:
    return ConfigurationSpace({"x": (0.0, 1.0)})


def make() -> optimizers.Optimizer:
    return optimizers.create("odd", line(), seed=0, n_trials=5)


def test_a_worker_without_the_sdk_is_asked_told_and_evaluated(behave: Callable[..., None]) -> None:
    behave("good")
    optimizer = make()
    (suggestion,) = optimizer.ask()
    assert suggestion.config == {"x": 1.0}
    assert type(suggestion.config["x"]) is float
    optimizer.tell([Observation({"x": 0.5}, float("nan"), "failed")])
    assert len(optimizer.ask(3)) == 3
    optimizer.close()
    task = benchmarks.create("odd/line")
    assert task.direction == "maximize"
    assert task.reference is not None
    assert task.reference.regret(task.evaluate({"x": 0.75}, seed=0).value) == 0.5
    assert task.evaluate({"x": 0.75}, seed=0).cost_seconds == 2.0
    assert task.data_version.startswith("external 7; ")


@pytest.mark.parametrize(
    ("habit", "words"),
    [
        ("version", "speaks version 99 of the protocol, and this bench speaks 1"),
        ("refuse", "refused the handshake: not today"),
        ("banner", "'Welcome to libfoo 1.2!' on standard output, which is no JSON-RPC reply to request 1"),
    ],
)
def test_a_failed_handshake_is_one_sentence(behave: Callable[..., None], habit: str, words: str) -> None:
    behave(habit)
    for use, error in ((make, OptimizerError), (lambda: benchmarks.create("odd/line"), BenchmarkError)):
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
        ("nonsense", "which is no JSON-RPC reply to request"),
        ("shape", "it must be"),
        ("error", "ValueError: x is negative"),
    ],
)
def test_a_failure_later_on_is_one_sentence(behave: Callable[..., None], habit: str, words: str) -> None:
    behave(habit)
    optimizer, task = make(), benchmarks.create("odd/line")
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
    optimizer, task = make(), benchmarks.create("odd/line")
    for words in ("ended", "not running any more, since it failed before"):
        with pytest.raises(OptimizerError, match=words):
            optimizer.ask()
    for _ in range(2):
        with pytest.raises(BenchmarkError, match=r"ended \(exit status 3\)"):
            task.evaluate({"x": 0.5}, seed=0)


def test_a_hanging_worker_is_killed_with_its_children(behave: Callable[..., None], tmp_path: Path) -> None:
    behave("hang", seconds=0.5)
    optimizer, task = make(), benchmarks.create("odd/line")
    begun = time.monotonic()
    with pytest.raises(OptimizerError, match=r"did not answer 'ask' within 0.5 s and was killed"):
        optimizer.ask()
    with pytest.raises(BenchmarkError, match="did not answer 'evaluate'") as caught:
        task.evaluate({"x": 0.5}, seed=0)
    assert isinstance(caught.value, TimeoutError)
    assert time.monotonic() - begun < 10
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4, "each worker forked once"
    time.sleep(0.2)
    assert not [pid for pid in pids if running(pid)]


def running(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_much_standard_error_and_a_value_that_is_none_do_no_harm(behave: Callable[..., None]) -> None:
    behave("flood", seconds=30)
    value = benchmarks.create("odd/line").evaluate({"x": 0.5}, seed=0).value
    assert value != value


@pytest.mark.parametrize(("habit", "words"), [("space", "describes 'line' wrongly"), ("direction", "'up'")])
def test_a_wrong_description_is_one_sentence(behave: Callable[..., None], habit: str, words: str) -> None:
    behave(habit)
    with pytest.raises(BenchmarkError) as caught:
        benchmarks.create("odd/line")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_worker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even by kill -9, and even while it is busy and does not read its input."""
    (tmp_path / "worker.py").write_text(textwrap.dedent(HABITS))
    code = f"""
        from pathlib import Path
        from harness.external.process import Process
        process = Process("odd", [{sys.executable!r}, "worker.py", "hang"], Path({str(tmp_path)!r}), {{}})
        process.request("ask", {{}}, 1000)
    """
    pids = tmp_path / "pids"
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env={**os.environ, "PIDS": str(pids)})
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    time.sleep(0.3)
    worker, child = sorted(map(int, pids.read_text().split()))
    assert not running(worker)
    if running(child):  # the kernel's promise holds for the worker, not for what it starts
        os.kill(child, 9)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "a mapping with `optimizers:` and `benchmarks:`"),
        ({"optimiser": {}}, "a mapping with `optimizers:`"),
        ({"optimizers": ["hebo"]}, "a mapping of names"),
        ({"optimizers": {"hebo": {}}}, "needs a `command:`"),
        ({"optimizers": {"hebo": {"command": "python worker.py"}}}, "`command` is a list of words"),
        ({"optimizers": {"hebo": {"command": ["x"], "second": 3}}}, "did you mean 'seconds'?"),
        ({"optimizers": {"hebo": {"command": ["x"], "seconds": 0}}}, "a number of seconds above 0, not 0"),
        ({"optimizers": {"hebo": {"command": ["x"], "seconds": True}}}, "a number of seconds above 0, not True"),
        ({"optimizers": {"hebo": {"command": ["x"], "tasks": ["a"]}}}, "unknown key 'tasks'"),
        ({"optimizers": {"hebo": {"command": ["x"], "settings": {"a b": 1}}}}, "letters, digits and underscores"),
        ({"benchmarks": {"pinned": {"command": ["x"]}}}, "needs `tasks:`"),
        ({"benchmarks": {"pinned": {"command": ["x"], "tasks": []}}}, "`tasks` is a list of task names"),
    ],
)
def test_a_malformed_definition_is_one_sentence(values: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(external.ExternalError) as caught:
        external.parse(values, "grid.yaml, line 3", tmp_path)
    assert words in str(caught.value)
    assert str(caught.value).startswith("grid.yaml, line 3")


def test_a_missing_file_a_broken_file_and_a_command_that_is_none_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        external.ExternalError, match=r"nowhere.yaml: No such file or directory; mend OPTIBENCH_EXTERNAL"
    ):
        external.load(tmp_path / "nowhere.yaml")
    (tmp_path / "broken.yaml").write_text("optimizers: [\n")
    with pytest.raises(external.ExternalError, match=r"broken.yaml, line 2: malformed YAML"):
        external.load(tmp_path / "broken.yaml")
    external.register(external.parse({"optimizers": {"odd": {"command": ["no-such-program"]}}}, "x", tmp_path))
    with pytest.raises(OptimizerError, match=r"cannot run 'no-such-program' in .*: No such file or directory; mend"):
        make()


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    for section, name in (("optimizers", "random"), ("benchmarks", "synthetic")):
        values = {section: {name: {"command": ["x"], **({"tasks": ["a"]} if section == "benchmarks" else {})}}}
        with pytest.raises((OptimizerError, BenchmarkError), match="registered twice"):
            external.register(external.parse(values, "x", tmp_path))


def test_settings_are_declared_with_their_defaults_and_sent(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        "import optibench_worker as worker\n"
        "class Fixed:\n"
        "    def __init__(self, space, seed, n_trials, at): self.at = at\n"
        "    def ask(self, n): print('chatter'); return [{'x': self.at}] * n\n"
        "    def tell(self, observations): raise ValueError('not listening')\n"
        "worker.serve(optimizer=Fixed)\n"
    )
    one = {"command": [sys.executable, "worker.py"], "settings": {"at": 0.25}}
    external.register(external.parse({"optimizers": {"fixed": one}}, "x", tmp_path))
    for spec, at in (("fixed", 0.25), ("fixed:at=0.75", 0.75)):
        optimizer = optimizers.create(spec, line(), seed=0, n_trials=3)
        assert optimizer.ask()[0].config == {"x": at}
        with pytest.raises(OptimizerError, match="External optimizer 'fixed': tell: ValueError: not listening"):
            optimizer.tell([])
        optimizer.close()
    with pytest.raises(OptimizerError, match="has no setting 'on': it has at"):
        optimizers.create("fixed:on=1", line(), seed=0, n_trials=3)


def test_numbers_come_back_in_the_type_of_their_parameter() -> None:
    space = ConfigurationSpace()
    space.add(Float("x", (0.0, 3.0)), Integer("n", (1, 9)), Categorical("c", [1, 2]))
    config = typed(space, {"x": 1, "n": 2.0, "c": 1})
    assert config == {"x": 1.0, "n": 2, "c": 1}
    assert [type(value) for value in config.values()] == [float, int, int]


def test_the_sdk_is_one_file_for_python_3_8_without_dependencies() -> None:
    tree = ast.parse((SDK / "optibench_worker.py").read_text(), feature_version=(3, 8))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= {*sys.stdlib_module_names, "__future__", "collections.abc"}
    assert {path.name for path in SDK.iterdir()} <= {"optibench_worker.py", "__pycache__"}


def test_spaces_made_with_the_sdk_are_configspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SDK))
    import optibench_worker as worker

    made = worker.space(
        worker.number("x", -1, 2), worker.number("rate", 1e-4, 1, log=True), worker.integer("n", 1, 64, log=True),
        worker.category("c", ["a", "b"])
    )  # fmt: skip
    space = ConfigurationSpace.from_serialized_dict(json.loads(json.dumps(made)))
    assert dict(space.get_default_configuration()) == {"c": "a", "n": 8, "rate": pytest.approx(1e-2), "x": 0.5}


def test_a_grid_with_its_own_definitions_runs_resumes_and_repeats(
    optibench: Callable[..., Any], tmp_path: Path, table: Callable[[Path], Any]
) -> None:
    command = f"[{sys.executable}, {EXAMPLES / 'random_worker.py'}]"
    (tmp_path / "grid.yaml").write_text(
        f"external:\n  optimizers:\n    theirs: {{command: {command}}}\n"
        f"  benchmarks:\n    ball: {{command: {command}, tasks: [2d]}}\n"
        "optimizers: [random, theirs]\nbenchmarks: [ball]\nseeds: 2\ntrials: 12\n".replace("[ball]", '["ball/*"]')
    )
    optibench("run", "grid.yaml", "--out", "one", "-j", "2", "--no-report")
    optibench("run", "grid.yaml", "--out", "two", "--executor", "serial", "--no-report")
    frame = table(tmp_path / "one")
    assert len(frame) == 48
    assert set(frame["state"]) == {"ok"}
    assert frame.equals(table(tmp_path / "two"))
    next(path for path in (tmp_path / "one" / "cells").rglob("*") if path.is_file()).unlink()
    optibench("run", "--out", "one", "--no-report")  # with neither file nor variable: the folder knows
    assert frame.equals(table(tmp_path / "one"))


def test_hanging_and_dying_workers_cost_their_trials_and_the_grid_goes_on(
    optibench: Callable[..., Any], tmp_path: Path, table: Callable[[Path], Any]
) -> None:
    (tmp_path / "worker.py").write_text(textwrap.dedent(HABITS))
    lines = "".join(
        f"    {name}: {{command: [{sys.executable}, worker.py, {name}], tasks: [line], seconds: 1}}\n"
        for name in ("hang", "die", "good")
    )
    (tmp_path / "grid.yaml").write_text(
        f"external:\n  benchmarks:\n{lines}optimizers: [random]\n"
        "benchmarks: [hang/line, die/line, good/line]\nseeds: 1\ntrials: 3\n"
    )
    optibench("run", "grid.yaml", "--out", "out", "--no-report", PIDS=str(tmp_path / "pids"))
    trials = table(tmp_path / "out")
    found = {
        name: set(group["state"]) for name, group in trials.groupby("benchmark" if "benchmark" in trials else "task")
    }
    assert found == {"hang/line": {"timeout"}, "die/line": {"failed"}, "good/line": {"ok"}}
    errors = " ".join(trials["error"].dropna())
    assert "did not answer 'evaluate' within 1 s and was killed; its standard error ends: about to hang" in errors
    assert "ended (exit status 3) instead of answering 'evaluate'" in errors


def test_list_and_doctor_show_external_commands(optibench: Callable[..., Any]) -> None:
    variable = {"OPTIBENCH_EXTERNAL": str(EXAMPLES / "plain.yaml")}
    assert "plain-random" in optibench("list", "optimizers", **variable).stdout
    assert "1d 2d 5d" in optibench("list", "benchmarks", **variable).stdout
    shown = optibench("doctor", check=None, **variable).stdout
    assert "external optimizer plain-random" in shown
    assert "python3 random_worker.py" in shown
    done = optibench("list", check=2, OPTIBENCH_EXTERNAL="nowhere.yaml")
    assert done.stderr.startswith("optibench: Cannot read the external definitions nowhere.yaml")


def _plain() -> None:
    external.register(external.load(EXAMPLES / "plain.yaml"))


class TestPlainRandomSearch(OptimizerConformance):
    spec = "plain-random"
    learns = False
    own_workers = True
    spaces: ClassVar = {name: SPACES[name] for name in ("mixed", "categories", "scales", "logarithmic", "grid", "four")}

    @pytest.fixture(autouse=True)
    def _registered(self, fresh: None) -> None:
        _plain()

    # It refuses conditions, and says so.
    test_the_space_is_left_as_it_was = None  # type: ignore[assignment]
    test_its_own_initial_design_works_and_repeats = None  # type: ignore[assignment]
    test_a_batch_is_valid_repeats_and_is_told_in_any_order = None  # type: ignore[assignment]

    def test_it_refuses_conditions(self) -> None:
        with pytest.raises(OptimizerError, match="start: This random search knows neither conditions nor"):
            self.create(SPACES["conditional"](), seed=0, n_trials=3)
        self.search(mixed())


class TestPlainSphere(BenchmarkConformance):
    name = "plain/2d"

    @pytest.fixture(autouse=True)
    def _registered(self, fresh: None) -> None:
        _plain()

"""External definitions, the SDK for workers, and a grid and the conformance suites over them."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

import optibench_optimizers
from optibench import external
from optibench.errors import HarnessError
from optibench.external.optimizer import typed
from optibench.external.process import SDK
from optibench_benchmarks import BenchmarkError
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_optimizers import OptimizerError
from optibench_optimizers.conformance.spaces import SPACES, mixed
from optibench_optimizers.conformance.suite import OptimizerConformance

EXAMPLES = Path(__file__).parents[3] / "examples" / "external"
pytestmark = pytest.mark.usefixtures("fresh_registries")


def make(spec: str) -> optibench_optimizers.Optimizer:
    return optibench_optimizers.create(spec, ConfigurationSpace({"x": (0.0, 1.0)}), seed=0, n_trials=3)


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
        ({"optimizers": {"hebo": {"command": ["x"], "batch": "yes"}}}, "`batch`"),
        ({"optimizers": {"hebo": {"command": ["x"], "conditional": 3}}}, "`conditional`"),
        ({"optimizers": {"hebo": {"command": ["x\0"]}}}, "`command` is a list of words"),
        ({"benchmarks": {"pinned": {"command": ["x"], "tasks": ["a"], "batch": True}}}, "unknown key 'batch'"),
        ({"benchmarks": {"pinned": {"command": ["x"]}}}, "needs `tasks:`"),
        ({"benchmarks": {"pinned": {"command": ["x"], "tasks": []}}}, "`tasks` is a list of task names"),
    ],
)
def test_a_malformed_definition_is_one_sentence(values: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        external.parse(values, "grid.yaml, line 3", tmp_path)
    assert words in str(caught.value)
    assert str(caught.value).startswith("grid.yaml, line 3")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"KEY": "sk-secret"}, "KEY"),
        ([{"KEY": "sk-secret"}], "KEY"),
        (["KEY=sk-secret"], "KEY"),
        (["OTHER", "KEY=sk-secret"], "OTHER"),
        (["sk-secret"], "NAME"),
        ("sk-secret", "NAME"),
        ("KEY", "NAME"),
        ({"KEY": 1}, "KEY"),
        ([1], "NAME"),
        ([""], "NAME"),
        ({}, "NAME"),
        (None, "NAME"),
    ],
)
def test_a_value_of_a_variable_is_refused_and_not_shown(given: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        external.parse({"optimizers": {"hebo": {"command": ["x"], "environment": given}}}, "grid.yaml", tmp_path)
    assert str(caught.value) == (
        "grid.yaml: external optimizer 'hebo': `environment` lists names of variables, never their values: write "
        f"`environment: [{name}]` and `export {name}=...` in the shell that runs optibench."
    )


def test_a_missing_file_a_broken_file_and_a_command_that_is_none_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"nowhere.yaml: No such file or directory; fix OPTIBENCH_EXTERNAL"):
        external.load(tmp_path / "nowhere.yaml")
    (tmp_path / "broken.yaml").write_text("optimizers: [\n")
    with pytest.raises(HarnessError, match=r"broken.yaml:2: malformed YAML"):
        external.load(tmp_path / "broken.yaml")
    external.register(external.parse({"optimizers": {"odd": {"command": ["no-such-program"]}}}, "x", tmp_path))
    with pytest.raises(OptimizerError, match=r"cannot run 'no-such-program' in .*: No such file or directory; fix"):
        make("odd")


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
        optimizer = make(spec)
        assert optimizer.ask()[0].config == {"x": at}
        with pytest.raises(OptimizerError, match="External optimizer 'fixed': tell: ValueError: not listening"):
            optimizer.tell([])
        optimizer.close()
    with pytest.raises(OptimizerError, match="has no setting 'on': it has at"):
        make("fixed:on=1")


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
    capabilities = optibench_optimizers.Capabilities()  # type: ignore[assignment]  # what the definition says
    spaces: ClassVar = {name: SPACES[name] for name in ("mixed", "categories", "scales", "logarithmic", "grid", "four")}

    @pytest.fixture(autouse=True)
    def _registered(self, fresh_registries: None) -> None:
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

    # It has no fidelities, no known costs and no reference.
    test_no_fidelity_means_the_highest = None  # type: ignore[assignment]
    test_every_end_of_every_fidelity_can_be_evaluated = None  # type: ignore[assignment]
    test_an_unknown_fidelity_is_refused = None  # type: ignore[assignment]
    test_a_known_cost_is_the_same_each_time = None  # type: ignore[assignment]
    test_its_references_agree_with_its_direction = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True)
    def _registered(self, fresh_registries: None) -> None:
        _plain()

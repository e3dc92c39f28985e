"""An option is declared once: the same in a file, as a flag, in Python, in the help and in an editor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import yaml
from msgspec import Meta

from optibench import external
from optibench.cli.command import Command
from optibench.cli.main import main
from optibench.cli.run import flag
from optibench.errors import HarnessError
from optibench.options import COUNT, Option, as_written, declared, in_file
from optibench.runs import paper
from optibench.spec import grid
from optibench.yaml_file import read_yaml

FILES = [
    *(("grid", path) for path in grid.shipped().values()),
    *(("paper", path) for path in paper.shipped().values()),
    *(("grid", path) for path in sorted((Path(__file__).parents[3] / "examples").glob("*/*grid.yaml"))),
]
EXTERNAL = sorted((Path(__file__).parents[3] / "examples" / "external").glob("*.yaml"))
OPTIONS = {"grid": declared(*grid.PARTS), "paper": declared(paper.Paper)}
EVERYTHING = """\
name: all
optimizers: random
benchmarks: [synthetic/sphere-2d]
seeds: 0-3,9
budget: {fidelity: 30}
initial: own
initial_size: 5
simulated_workers: 2
fidelity: {epochs: 3}
batch_size: [1, 4]
external: {optimizers: {mine: {command: [python, worker.py], seconds: 5, settings: {a: 1}}}}
evaluation_limit: 90
ask_limit: 1.5h
cell_limit: none
memory_limit: 4G
retries: 0
out: somewhere
jobs: 3
executor: dask
scheduler: tcp://10.0.0.1:8786
"""
WRONG = [
    ("trials", 0),
    ("trials", 1.5),
    ("seeds", []),
    ("seeds", {"a": 1}),
    ("initial", "mine"),
    ("budget", {"hours": 3}),
    ("budget", {"fidelity": 1, "seconds": 2}),
    ("evaluation_limit", "5 parsecs"),
    ("memory_limit", 4),
    ("optimizers", [1]),
    ("jobs", True),
    ("benchmarks", 3),
    ("executor", []),
    ("scheduler", 3),
    ("initial_size", "x"),
    ("simulated_workers", 0),
    ("name", "a/b"),
    ("trails", 3),
    ("allow_external", True),
]


def validate(kind: str, values: Any) -> None:
    """By the schema as an editor does."""
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(values, printed(kind))


def printed(kind: str) -> Any:
    capture: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", capture.append)
        assert main(["schema", kind]) == 0
    return json.loads(capture[0])


def test_the_schema_knows_every_option_with_its_help() -> None:
    for kind, options in OPTIONS.items():
        shown = printed(kind)["$defs"][kind]
        assert shown["properties"].keys() == in_file(options).keys()
        assert shown["additionalProperties"] is False
        assert {key: one["description"] for key, one in shown["properties"].items()} == {
            key: one.option.help for key, one in in_file(options).items()
        }
    assert set(yaml.safe_load(EVERYTHING)) | {"trials"} == in_file(OPTIONS["grid"]).keys()


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda one: getattr(one, "stem", one))
def test_a_shipped_file_is_what_the_schema_says(kind: str, path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    msgspec.convert(values, as_written(kind, OPTIONS[kind]))
    validate(kind, values)


@pytest.mark.parametrize("path", [path for path in EXTERNAL if "grid" not in path.stem], ids=lambda one: one.stem)
def test_an_external_definition_is_what_the_schema_says(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    msgspec.convert(values, external.written())
    validate("external", values)
    wrong = {"optimizers": {"mine": {"command": ["x"], "tasks": ["a"]}}}
    with pytest.raises(msgspec.ValidationError, match="unknown field `tasks`"):
        msgspec.convert(wrong, external.written())


def test_a_file_with_every_option_is_what_the_schema_says() -> None:
    msgspec.convert(yaml.safe_load(EVERYTHING), as_written("grid", OPTIONS["grid"]))
    validate("grid", yaml.safe_load(EVERYTHING))


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_file_is_neither_what_the_schema_says_nor_read(key: str, value: Any, tmp_path: Path) -> None:
    values = {"optimizers": ["random"], "benchmarks": ["synthetic/sphere-2d"], key: value}
    path = tmp_path / "grid.yaml"
    path.write_text("".join(f"{name}: {json.dumps(one)}\n" for name, one in values.items()))
    line = list(values).index(key) + 1 if key != "optimizers" else 1
    with pytest.raises(HarnessError, match=rf"grid\.yaml:{line}: .*{key}"):
        grid.load(str(path), {})
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        validate("grid", values)


class Tea(msgspec.Struct):
    """What one field makes."""

    cups: Annotated[int, Meta(ge=0), COUNT, Option("how many cups", "-c", "N")] = 1
    milk: Annotated[bool, Option("with milk", file=False)] = False
    level: int = 3


def test_a_field_is_an_option_everywhere(tmp_path: Path) -> None:
    options = declared(Tea)
    assert list(options) == ["cups", "milk"]
    command = Command("tea", params=[flag(one, "Tea") for one in options.values()])
    assert command.make_context("tea", ["-c", "2", "--milk"]).params == {"cups": "2", "milk": True}
    assert command.make_context("tea", []).params == {"cups": None, "milk": None}
    assert "Tea:\n  -c, --cups N" in command.get_help(command.make_context("tea", []))
    assert options["cups"].value(" 2 ", "here") == 2
    (tmp_path / "tea.yaml").write_text("# a comment\ncups: 2\n")
    source = read_yaml(str(tmp_path / "tea.yaml"), "tea", in_file(options), {})
    assert source.read(options) == {"cups": 2}
    assert source.where("cups") == f"{tmp_path}/tea.yaml:2"
    source.override({"cups": "many"}, options, "The call")
    with pytest.raises(HarnessError, match=r"^The call: `cups` is a whole number of at least 1, not 'many'\.$"):
        source.read(options)


def test_what_stands_twice_is_found_at_every_depth(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("optimizers: [random]\nexternal:\n  optimizers:\n    a: 1\n    a: 2\n")
    with pytest.raises(HarnessError, match=r"grid\.yaml:5: key 'a' is repeated \(first on line 4\)\."):
        grid.load(str(tmp_path / "grid.yaml"), {})


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(HarnessError) as caught:
        declared(grid.Grid)["trials"].value("9" * 5000, "here")
    assert len(str(caught.value)) < 200

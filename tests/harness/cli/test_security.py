"""Foreign files are data: nothing in them is executed, and nothing is written beside the folder that a user names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from optibench.cli.main import main

ROOT = Path(__file__).parents[3]
ROOMS = ("harness", "optimizers", "benchmarks", "model", "reports")
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "zipfile", "xmlrpc"}
#: Where objects of the running Python are pickled, for its own workers (cloudpickle) and to test that an optimizer can
#: be (pickle); nothing there reads a file.
SENDING = {
    ROOT / "harness" / "optibench" / "own": {"cloudpickle"},
    ROOT / "optimizers" / "optibench_optimizers" / "conformance" / "samplers.py": {"pickle"},
}
#: Which modules are let in where: a data set's file is read from an archive whose checksum is known, by its name.
LET_IN = SENDING | {ROOT / "benchmarks" / "optibench_benchmarks" / "data": {"zipfile"}}
READING = ("open", ".open", ".read_bytes", ".read_text", ".load", "np.load")
FORBIDDEN_CALLS = {
    *("eval", "exec", "os.system", "os.popen", "torch.load", "joblib.load", "yaml.load", "yaml.unsafe_load"),
    *("yaml.full_load", "pd.read_pickle", "shutil.unpack_archive", "subprocess.getoutput"),
}
ATTACK = "grid: !!python/object/apply:os.system ['touch executed']\n"


def offences(path: Path) -> Iterator[str]:
    """Lines of a file that unpickle, unpack an archive, load unsafe YAML or run a shell."""
    places = {path, path.parent}
    let_in = {name for place in places for name in LET_IN.get(place, set())}
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").partition(".")[0]}
        else:
            names = set()
        for name in names & (FORBIDDEN_MODULES - let_in):
            yield f"{where}: imports {name}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if places & SENDING.keys() and called.endswith(READING):
                yield f"{where}: reads a file with {called}, beside what unpickles"
            if called in FORBIDDEN_CALLS or called.endswith((".extract", ".extractall")):  # to disk, from an archive
                yield f"{where}: calls {called}"
            for keyword in node.keywords:
                on = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                if on and keyword.arg in ("allow_pickle", "shell", "trust_remote_code"):
                    yield f"{where}: {keyword.arg}=True"
                if keyword.arg == "Loader" and not ast.unparse(keyword.value).endswith("SafeLoader"):
                    yield f"{where}: loads YAML with {ast.unparse(keyword.value)}"


@pytest.mark.parametrize("room", ROOMS)
def test_no_code_unpickles_unpacks_or_evaluates(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    assert [offence for path in files for offence in offences(path)] == []


def test_the_scan_finds_what_it_forbids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "bad.py"
    path.write_text(
        "import pickle, os\nfrom zipfile import ZipFile\nyaml.load(x, Loader=yaml.Loader)\n"
        "np.load(f, allow_pickle=True)\nos.system('ls')\nsubprocess.run('ls', shell=True)\n"
        "tarfile.open(x).extractall()\narchive.extract(y)\narchive.extractfile(y)\n"
    )
    assert len(list(offences(path))) == 9


def test_arrow_files_cannot_carry_pickled_types() -> None:
    # before 14.0.1 pyarrow unpickled an extension type that an Arrow or Parquet file named
    text = (ROOT / "pyproject.toml").read_text()
    minimum = re.search(r'"pyarrow>=(\d+)', text)
    assert minimum is not None
    assert int(minimum[1]) > 14


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small published run, in the folder in which the test then is."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    grid = (
        "-o",
        "random,sobol",
        "-b",
        "synthetic/sphere-2d,synthetic/levy-2d",
        "-s",
        "3",
        "-t",
        "4",
        "--initial-size",
        "3",
    )
    assert main(["run", *grid, "--no-report", "--executor", "serial", "--out", "run"]) == 0
    assert main(["publish", "run", "published"]) == 0
    return tmp_path / "here" / "published"


def test_yaml_of_a_foreign_file_is_data(published: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    capsys.readouterr()
    (published / "grid.yaml").write_text(ATTACK)
    Path("evil.yaml").write_text(ATTACK)
    for command in (
        *(["report", "published"], ["status", "published"], ["run", "--out", "published"]),
        *(["run", "evil.yaml"], ["paper", "evil.yaml"], ["train", "evil.yaml"]),
    ):
        assert main(command) == 2, command
        assert capsys.readouterr().err.count("\n") == 1, command
    assert not list(tmp_path.rglob("executed"))


def test_names_in_a_foreign_folder_lead_nowhere(published: Path, tmp_path: Path) -> None:
    evil = {"random": "../../../evil", "synthetic/sphere-2d": "/../../evil/task"}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {evil.get(k, k): renamed(v) for k, v in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return evil.get(value, value) if isinstance(value, str) else value

    grid = yaml.safe_load((published / "grid.yaml").read_text())
    grid["grid"]["name"] = "../../evil-name"
    (published / "grid.yaml").write_text(yaml.safe_dump(renamed(grid)))
    tasks = json.loads((published / "tasks.json").read_text())
    (published / "tasks.json").write_text(json.dumps(renamed(tasks)))
    table = pq.read_table(published / "trials.parquet")
    for name in ("optimizer", "task"):
        values = [evil.get(value, value) for value in table[name].cast(pa.string()).to_pylist()]
        column = pa.array(values).dictionary_encode()
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, published / "trials.parquet")
    report = tmp_path / "here" / "report"
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(report)}
    run = [evil["random"], evil["synthetic/sphere-2d"], "0"]
    assert main(["report", "published", "--out", "report", "--run", *run]) == 0
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(report)} == before
    assert not list(tmp_path.parent.glob("evil*"))
    assert not list(tmp_path.parent.parent.glob("evil*"))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b", "..", ".hidden", "a\\b", "", "x\ny"])
def test_a_grid_cannot_name_a_folder_elsewhere(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = {"optimizers": ["random"], "benchmarks": ["synthetic/sphere-2d"], "seeds": 1, "trials": 2, "name": name}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    assert main(["run", "grid.yaml", "--executor", "serial"]) == 2
    assert "`name` is letters, digits" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"grid.yaml"}


def test_doctor_shows_plug_ins_with_the_code_they_load(optibench: Any) -> None:
    shown = optibench("doctor", check=None).stdout
    for name, code in (("bad-ask", "misbehaving:BAD_ASK"), ("misbehaving", "misbehaving:FAMILY")):
        assert f"plug-in {name}" in shown
        assert code in shown


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b", "..", "", "x\n", "a\\b"])
def test_a_paper_cannot_name_a_file_elsewhere(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paper = {"results": {"a": None}, "parts": [{"name": name, "tables": ["ranks"]}]}
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(paper))
    assert main(["paper", "paper.yaml", "--no-run", "--out", "new"]) == 2
    assert "`name` is lower-case letters" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"paper.yaml"}


def test_a_damaged_key_in_a_run_folder_leads_nowhere(
    published: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Keys of cells are hashes that are computed here: none is read from a file and made a path."""
    table = pq.read_table(published / "trials.parquet")
    column = pa.array(["../../../evil"] * len(table)).dictionary_encode()
    pq.write_table(table.set_column(table.schema.get_field_index("cell"), "cell", column), published / "trials.parquet")
    before = set(tmp_path.rglob("*"))
    for command in (["status", "published"], ["publish", "published", "new"]):
        assert main(command) in (0, 2)
    assert set(tmp_path.rglob("*")) == before
    assert not list(tmp_path.parent.glob("evil*"))

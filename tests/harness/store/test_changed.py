"""Changed code or versions are a question: never silently not run, never another grid, and nothing is thrown away."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optibench.store import fingerprint
from optibench.store.run_folder import Store

GRID = ("-o", "mine,random", "-b", "synthetic/sphere-2d", "-s", 2, "-t", 6, "--initial-size", 2, "-j", 1)
RUN = ("run", *GRID, "--no-report", "--out", "out")
OPTIMIZER = '''
"""An optimizer with a helper."""
from optibench_optimizers import Entry, Suggestion
from optibench_optimizers.adapters.random_search import RandomSearch
import mine_helper


class Mine(RandomSearch):
    """Proposes one point."""

    def ask(self, n=1):
        return [Suggestion({"x0": mine_helper.place(), "x1": 0.5})] * n


ENTRY = Entry("mine", "m", "mine:Mine", RandomSearch.capabilities, packages=("mine",))
'''


@pytest.fixture
def site(tmp_path: Path, environment: dict[str, str]) -> Path:
    """The folder of a third-party optimizer whose place is in a helper module."""
    folder = tmp_path / "site"
    (folder / "mine.py").write_text(OPTIMIZER)
    (folder / "mine_helper.py").write_text("def place():\n    return 3.0\n")
    metadata = folder / "mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[optibench.optimizers]\nmine = mine:ENTRY\n")
    return folder


def places(table: Callable[[Path], Any], folder: Path) -> set[float]:
    trials = table(folder)
    mine = trials[(trials.optimizer == "mine") & (trials.phase == "search")]
    return {json.loads(config)["x0"] for config in mine.config}


def test_an_edited_helper_is_a_question(optibench: Any, table: Any, tmp_path: Path, site: Path) -> None:
    optibench(*RUN)
    before = table(tmp_path / "out")
    (site / "mine_helper.py").write_text("def place():\n    return 0.5\n")
    stopped = optibench(*RUN, check=2)
    assert "2 of 4 cells were made by other code or versions (mine_helper.py changed)" in stopped.stderr
    assert "--changed rerun" in stopped.stderr
    assert "--changed keep" in stopped.stderr
    assert table(tmp_path / "out").equals(before)

    optibench(*RUN, "--changed", "keep")
    assert places(table, tmp_path / "out") == {3.0}
    optibench(*RUN)  # what was kept is not asked about again
    runs = json.loads((tmp_path / "out" / "provenance.json").read_text())["runs"]
    assert [run.get("changed") for run in runs] == [
        None,
        "2 of 4 cells were made by other code or versions (mine_helper.py changed); they were kept",
    ]
    report = optibench("report", "out", "--out", "report")
    assert "2 of 4 cells were made by other code" in (tmp_path / "report" / "report.md").read_text(), report.stdout

    (site / "mine_helper.py").write_text("def place():\n    return 1.0\n")
    files = {path.name for path in (tmp_path / "out").glob("cells/*/*.arrow")}
    optibench(*RUN, "--changed", "rerun")
    assert places(table, tmp_path / "out") == {1.0}
    assert {path.name for path in (tmp_path / "out").glob("cells/*/*.arrow")} == files
    assert len(list((tmp_path / "out").glob("cells/*/*.old"))) == 2, "the old files are set aside"
    optibench(*RUN)


def test_a_comment_or_a_docstring_is_no_change(optibench: Any, tmp_path: Path, site: Path) -> None:
    optibench(*RUN)
    (site / "mine_helper.py").write_text(
        '"""Where."""\n\n\ndef place():\n    """A place."""\n    return 3.0  # there\n'
    )
    optibench(*RUN)


def test_another_version_is_a_question_and_no_other_grid(
    optibench: Any, table: Any, tmp_path: Path, site: Path
) -> None:
    optibench(*RUN)
    metadata = site / "mine-1.0.dist-info"
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 2.0\n")
    metadata.rename(site / "mine-2.0.dist-info")
    assert "(mine 1.0 -> 2.0)" in optibench("run", "--out", "out", check=2).stderr
    optibench("run", "--out", "out", "--no-report", "--changed", "keep")
    (tmp_path / "out" / "report").exists()
    optibench("report", "out")
    assert "mine 1.0 and 2.0" in (tmp_path / "out" / "report" / "report.md").read_text()


def test_a_folder_without_fingerprints_is_unknown(optibench: Any, tmp_path: Path, site: Path) -> None:
    optibench(*RUN)
    (tmp_path / "out" / "fingerprints.json").unlink()
    for path in (tmp_path / "out").glob("cells/*/*.arrow"):
        store = Store.open(tmp_path / "out")
        store.cells.write(path.stem, store.cells.read(path.stem).drop_columns(["fingerprint"]))
    stopped = optibench(*RUN, check=2)
    assert "4 of 4 cells were made by other code or versions (by which is not known" in stopped.stderr
    optibench(*RUN, "--changed", "keep")
    optibench(*RUN)


def test_a_damaged_cell_of_changed_code_runs_again(optibench: Any, table: Any, tmp_path: Path, site: Path) -> None:
    optibench(*RUN)
    path = next((tmp_path / "out").glob("cells/*/*.arrow"))
    path.write_bytes(path.read_bytes()[:100])
    (site / "mine_helper.py").write_text("def place():\n    return 1.0\n")
    optibench(*RUN, "--changed", "rerun")
    assert places(table, tmp_path / "out") == {1.0}


def test_a_begun_cell_is_asked_about_too_and_signed_by_both(
    optibench: Any, table: Any, tmp_path: Path, site: Path
) -> None:
    optibench(*RUN)
    store = Store.open(tmp_path / "out")
    trials = table(tmp_path / "out")
    (key, *_) = trials[trials.optimizer == "mine"].cell.unique()
    whole = store.cells.read(key).to_pylist()
    from optibench.cell.trials import FIELDS, Trial

    lines = [Trial(**{name: row[name] for name in FIELDS}).to_json() for row in whole[:4]]
    sign = json.dumps({"fingerprint": whole[0]["fingerprint"]})
    (tmp_path / "out" / "journal" / f"{key}.jsonl").write_text("\n".join([sign, *lines]) + "\n")
    store.cells.path(key).unlink()
    (site / "mine_helper.py").write_text("def place():\n    return 1.0\n")
    assert "2 of 4 cells" in optibench(*RUN, check=2).stderr
    optibench(*RUN, "--changed", "keep")
    found = table(tmp_path / "out")
    cell = found[found.cell == key]
    assert [json.loads(config)["x0"] for config in cell.config[2:]] == [3.0, 3.0, 1.0, 1.0]
    (made,) = cell.fingerprint.unique()
    assert made.startswith(whole[0]["fingerprint"] + "+")


def test_what_a_module_imports_from_its_folder_is_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pack"
    (package / "sub").mkdir(parents=True)
    files = {
        "pack/__init__.py": "",
        "pack/a.py": "from . import b\nimport numpy\n",
        "pack/b.py": "def lazy():\n    from .sub.c import X\n",
        "pack/sub/__init__.py": "",
        "pack/sub/c.py": "import pack.d as d\nX = 1\n",
        "pack/d.py": "import json\n",
        "pack/unused.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    code, packages = fingerprint._code("pack.a:X", object())
    assert set(code) == {"pack/a.py", "pack/b.py", "pack/sub/c.py", "pack/d.py"}
    assert set(packages) == {"numpy"}


def test_a_class_without_a_file_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _ = fingerprint._code("no_such_module:X", object())
    assert code == {"no_such_module:X": "unknown"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1", "x = 1  # one", True),
        ("def f():\n    'doc'\n    return 1", "def f():\n    return 1", True),
        ("class A:\n    '''doc'''\n    x = 1", "class A:\n    x = 1", True),
        ("x = 1", "\n\nx = 1", True),
        ("x = 1", "x = 2", False),
        ("x = 1", "x = 1.0", False),
        ("x = 0.0", "x = -0.0", False),
        ("f(a=1)", "f(b=1)", False),
        ("def f(): return 'a'", "def f(): return 'b'", False),
    ],
)
def test_code_is_compared_as_a_tree(one: str, other: str, same: bool) -> None:
    compiled = [fingerprint._compiled(ast.parse(source)) for source in (one, other)]
    assert (compiled[0] == compiled[1]) == same


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    code = (
        "import ast\nfrom optibench.store import fingerprint\n"
        "tree = ast.parse(\"x = y in {'a', 'b', 'c', ('d', 'e')}\")\n"
        "print(fingerprint._compiled(tree))\n"
    )
    environments = ({**os.environ, "PYTHONHASHSEED": str(seed)} for seed in range(4))
    found = {subprocess.check_output([sys.executable, "-c", code], env=each) for each in environments}
    assert len(found) == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": 3}'])
def test_damaged_records_of_a_folder_are_set_aside_before_new_ones_are_written(
    optibench: Any, tmp_path: Path, site: Path, text: str
) -> None:
    optibench(*RUN)
    out = tmp_path / "out"
    for name in ("provenance.json", "fingerprints.json"):
        (out / name).write_text(text)
    optibench(*RUN, "--seeds", "3", "--extend", "--changed", "keep")
    assert (out / "provenance.json.damaged").read_text() == text
    assert len(json.loads((out / "provenance.json").read_text())["runs"]) == 1
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    names = [event["text"] for event in events if event["event"] == "damaged file set aside"]
    assert "provenance.json" in names
    assert (out / "fingerprints.json.damaged").exists() == ("fingerprints.json" in names)
    assert (text == '{"runs": 3}') or "fingerprints.json" in names  # a mapping without known keys is an empty record

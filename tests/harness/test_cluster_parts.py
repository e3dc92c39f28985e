"""Parts of the Dask executor that need no Dask: its news, its copies of journals, its hash of the source."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from importlib.metadata import PackagePath
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cells import Cell, plan
from harness.cluster import fingerprint
from harness.cluster.coordinator import Coordinator
from harness.cluster.mailbox import Mailbox
from harness.grid import Grid, resolve
from harness.store import Store


def test_only_the_newest_news_of_a_cell_waits() -> None:
    box = Mailbox()
    for number in range(1000):
        box.put({"cell": "a", "attempt": "1", "journal": number})
        box.put({"cell": "b", "attempt": "1", "journal": number})
        box.put({})
    box.put({"cell": "a", "attempt": "2", "journal": -1})
    found = [box.get() for _ in range(4)]
    assert [news.get("journal") for news in found] == [999, 999, None, -1]
    with pytest.raises(queue.Empty):
        box.get()


def test_news_wakes_who_waits_for_it() -> None:
    box = Mailbox()
    timer = threading.Timer(0.05, box.put, [{"cell": "a"}])
    timer.start()
    assert box.get(timeout=60) == {"cell": "a"}
    timer.join()


@pytest.fixture
def adopted(tmp_path: Path) -> tuple[Any, Cell, Path]:
    """What adopts journals (a coordinator without a scheduler), a cell, and the file of its journal."""
    resolved = resolve(Grid(("random",), ("synthetic/sphere-2d",), (0,), 4))
    (cell,) = plan(resolved)
    with Store.claim(tmp_path / "out", resolved) as store:
        pass
    coordinator: Any = object.__new__(Coordinator)
    coordinator._runner = SimpleNamespace(store=store)
    coordinator._lines, coordinator._lost = {cell.key: 0}, Counter()
    coordinator._count = lambda cell, journal: coordinator._lines.update({cell.key: journal.count("\n")})
    return coordinator, cell, store.journal(cell).path


def test_interim_journals_grow_without_fsync(adopted: tuple[Any, Cell, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator, cell, path = adopted
    monkeypatch.setattr("os.fsync", lambda descriptor: pytest.fail("it costs milliseconds of the coordinator's disk"))
    for lines in range(1, 5):
        coordinator._adopt(cell, "".join(f"line {n}\n" for n in range(lines)))
        assert path.read_text().count("\n") == lines
    inode = path.stat().st_ino
    coordinator._adopt(cell, "line 0\n")  # older news
    assert path.read_text().count("\n") == 4
    coordinator._adopt(cell, "".join(f"line {n}\n" for n in range(5)))
    assert path.stat().st_ino == inode  # appended, not written again


def test_a_journal_that_a_kill_cut_short_or_that_began_anew_is_replaced(adopted: tuple[Any, Cell, Path]) -> None:
    coordinator, cell, path = adopted
    path.write_text("line 0\nli")
    coordinator._adopt(cell, "line 0\nother 1\n")
    assert path.read_text() == "line 0\nother 1\n"
    coordinator._adopt(cell, "anew 0\nanew 1\nanew 2\n")
    assert path.read_text() == "anew 0\nanew 1\nanew 2\n"
    assert list(path.parent.iterdir()) == [path]


def test_files_that_another_wheel_put_beside_ours_are_not_our_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = ["harness/run.py", "benchmarks/manifest.json", "benchmarks/__pycache__/a.pyc", "optiformer_bench-1/RECORD"]
    for name in (*ours, "benchmarks/theirs.py", "tests/of_another.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(fingerprint, "distribution", lambda name: SimpleNamespace(files=list(map(PackagePath, ours))))
    found = [path.relative_to(tmp_path).as_posix() for path in fingerprint.own_files(tmp_path)]
    assert found == ["benchmarks/manifest.json", "harness/run.py"]


def test_a_checkouts_source_is_all_of_its_rooms() -> None:
    found = fingerprint.own_files(fingerprint.ROOT)
    assert Path(fingerprint.__file__) in found
    assert {path.relative_to(fingerprint.ROOT).parts[0] for path in found} == set(fingerprint.ROOMS)

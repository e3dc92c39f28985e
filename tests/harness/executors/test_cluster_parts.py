"""Parts of the Dask executor that need no Dask: its news, its copies of journals, its hash of the source."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from optibench.executors.dask import fingerprint
from optibench.executors.dask.coordinator import Coordinator
from optibench.executors.dask.mailbox import Mailbox
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.spec.grid import Grid
from optibench.store import provenance
from optibench.store.run_folder import Store


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
    planned = Plan.of(Grid(("random",), ("synthetic/sphere-2d",), (0,), 4))
    (cell,) = planned.cells()
    with Store.claim(tmp_path / "out", planned) as store:
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
        coordinator._save_journal(cell, "".join(f"line {n}\n" for n in range(lines)))
        assert path.read_text().count("\n") == lines
    inode = path.stat().st_ino
    coordinator._save_journal(cell, "line 0\n")  # older news
    assert path.read_text().count("\n") == 4
    coordinator._save_journal(cell, "".join(f"line {n}\n" for n in range(5)))
    assert path.stat().st_ino == inode  # appended, not written again


def test_a_journal_that_a_kill_cut_short_or_that_began_anew_is_replaced(adopted: tuple[Any, Cell, Path]) -> None:
    coordinator, cell, path = adopted
    path.write_text("line 0\nli")
    coordinator._save_journal(cell, "line 0\nother 1\n")
    assert path.read_text() == "line 0\nother 1\n"
    coordinator._save_journal(cell, "anew 0\nanew 1\nanew 2\n")
    assert path.read_text() == "anew 0\nanew 1\nanew 2\n"
    assert list(path.parent.iterdir()) == [path]


def test_the_source_is_all_of_the_packages_but_the_reports() -> None:
    found = fingerprint.own_files()
    assert Path(fingerprint.__file__).resolve() in found.values()
    assert {name.partition("/")[0] for name in found} == set(provenance.PACKAGES) - {fingerprint.REPORTS}
    assert {Path(name).suffix for name in found} == {".py", ".json", ".yaml"}

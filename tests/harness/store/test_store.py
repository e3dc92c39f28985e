"""What a run folder costs grows no faster than the grid, and what a kill or a full disk leaves behind is repaired."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optibench.cell.journal import Fault, Journal
from optibench.cell.trials import FIELDS, Trial
from optibench.files import write_atomically
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.runs.run import status
from optibench.spec.grid import Grid
from optibench.store.run_folder import Store


def trials(n: int, **more: Any) -> list[Trial]:
    return [
        Trial(i, "search", '{"x": 0.5}', None, 1.0 / (i + 1), "ok", None, 0.0, 1e-5, 1e-5, 1e-6, 1e9, **more)
        for i in range(n)
    ]


def fill(folder: Path, seeds: int) -> tuple[Store, list[Cell], dict[str, Any]]:
    """A folder of ten cells a seed, all but the last ten finished."""
    tasks = tuple(
        f"synthetic/{name}-{dimensions}d" for name in ("sphere", "levy", "ackley") for dimensions in (2, 3, 5)
    )
    planned = Plan.of(Grid(("random",), (*tasks, "synthetic/rastrigin-2d"), tuple(range(seeds)), 4))
    with Store.claim(folder, planned) as store:
        cells = list(planned.cells())
    for cell in cells[:-10]:
        store.finish(cell, trials(4), planned.tasks[cell.task])
    return store, cells, planned


def test_cost_grows_no_faster_than_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    small, large = (fill(tmp_path / str(seeds), seeds) for seeds in (10, 100))

    def calls(do: Callable[..., object], *folder: Any) -> int:
        """How many functions it calls: what it costs, and the same on every machine."""
        count = 0

        def noted(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        do(*folder)  # imports first
        sys.setprofile(noted)
        try:
            do(*folder)
        finally:
            sys.setprofile(None)
        return count

    steps: dict[str, Callable[[Store, list[Cell], dict[str, Any]], object]] = {
        "plan": lambda store, cells, planned: list(planned.cells()),
        "status": lambda store, cells, planned: status(store),
        "check": lambda store, cells, planned: store.set_aside_damaged(sorted(store.finished())),
        "compact": lambda store, cells, planned: list(store.cells.tables([cell.key for cell in cells[:-10]])),
    }
    for name, step in steps.items():
        assert calls(step, *large) < 12 * calls(step, *small), f"{name}: a quadratic cost would be a hundredfold"


def test_a_journal_keeps_what_is_whole_and_cuts_off_the_rest(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "cell.jsonl")
    records = [
        *trials(3, curve='{"epoch": [1.0]}', info='{"accuracy": 0.5}'),
        Fault(3, "evaluate", "failed", "died", 0.5, retry=True),
        Fault(3, "ask", "timeout", "slow", 1.0),
    ]
    journal.open()
    for record in records:
        journal.append(record)
    journal.close()
    content = journal.path.read_bytes()
    lengths = [len(line) for line in content.splitlines(keepends=True)]
    for size in range(len(content) + 1):
        journal.path.write_bytes(content[:size])
        whole = sum(sum(lengths[: n + 1]) <= size for n in range(len(lengths)))
        history = journal.open()
        journal.close()
        assert [*history.trials, *history.faults] == records[:whole]
        assert journal.path.read_bytes() == content[: sum(lengths[:whole])]
    history = Journal(journal.path).read()
    assert history.attempts(3) == 2
    assert history.similar_faults(Fault(3, "tell", "failed", "died", 0.0)) == 2
    assert history.similar_faults(Fault(3, "replay", "failed", "died", 0.0)) == 0, "on the way to the trial, not in it"
    assert history.final_fault(3) == records[4]
    assert history.fatal_fault() is None, "a worker gets beyond an ask that was cut off"
    assert history.seconds() == pytest.approx(0.5 + 3 * 2.1e-5)


@pytest.mark.parametrize(
    "damage", [b"\n", b"{}\n", b'{"fault": [1]}\n', b"[1, 2]\n", b"\xff\xfe\n", b'{"fault": 7}\n', b"null\n"]
)
def test_a_damaged_line_ends_a_journal(damage: bytes, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "cell.jsonl")
    first, second = (trial.to_json().encode() + b"\n" for trial in trials(2))
    journal.path.write_bytes(first + damage + second)
    assert journal.open().trials == trials(1)
    journal.append(trials(2)[1])
    journal.close()
    assert journal.read().trials == trials(2)


def test_the_journal_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    whole = json.loads(trials(1)[0].to_json())
    for length in range(FIELDS.index("attempts"), len(FIELDS)):
        (tmp_path / "cell.jsonl").write_text(json.dumps(whole[:length]) + "\n")
        assert Journal(tmp_path / "cell.jsonl").read().trials == trials(1)


def test_faults_of_an_attempt_that_an_earlier_version_gave_up_are_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "cell.jsonl")
    journal.open()
    for record in (Fault(-1, "tell", "failed", "died", 0.5, retry=True), *trials(1)):
        journal.append(record)
    journal.close()
    history = journal.read()
    assert history.trials == trials(1)
    assert history.faults == []


def _full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_fills_up_while_a_cell_is_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cells, planned = fill(tmp_path / "out", 2)
    monkeypatch.setattr("os.fsync", _full)
    with pytest.raises(OSError, match="No space"):
        store.finish(cells[-1], trials(4), planned.tasks[cells[-1].task])
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert cells[-1].key not in store.finished()


def test_a_file_that_cannot_be_written_keeps_its_old_content_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "provenance.json"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", _full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_killed_processes_left_half_written_is_removed_everywhere_in_the_folder(tmp_path: Path) -> None:
    store, *_ = fill(tmp_path / "out", 2)
    whole = set((tmp_path / "out").rglob("*"))
    for name in ("provenance.json.1.tmp", "trials.2.tmp", "journal/a.jsonl.3.tmp"):
        (tmp_path / "out" / name).write_bytes(b"half")
    next((tmp_path / "out" / "cells").iterdir()).joinpath("b.arrow.4.tmp").write_bytes(b"half")
    store.cells.remove_partial()
    assert set((tmp_path / "out").rglob("*")) == whole


def test_an_event_after_a_line_that_was_cut_short_is_kept(tmp_path: Path) -> None:
    store, *_ = fill(tmp_path / "out", 1)
    store.event("one")
    with (tmp_path / "out" / "events.jsonl").open("ab") as file:
        file.write(b'{"time": 17')
    store.event("two")
    assert [event["event"] for event in store.events()] == ["one", "two"]

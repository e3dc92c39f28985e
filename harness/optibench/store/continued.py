"""Finished cells that continue: their trials become the journal of a cell with more trials, or of another attempt.

A kill at any moment leaves the folder as it was before, or as it is afterwards: journals come first, then the plan, and
the old results go last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optibench.cell.journal import History, Journal
from optibench.cell.trials import FIELDS, Trial
from optibench.files import write_atomically
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.store.run_folder import Store


def extend(store: Store, plan: Plan) -> str | None:
    """Make a folder that of a plan that grew from its own (:meth:`optibench.plan.plan.Plan.grown`).

    With more trials, the cells of optimizers that ignore the budget continue. The others are run again, and what they
    had is set aside.

    Returns:
        One sentence on what became of the cells, if they have more trials now.
    """
    before = store.plan()
    more = {(cell.optimizer, cell.task, cell.seed): cell for cell in plan.cells()}
    pairs = [(cell, more[cell.optimizer, cell.task, cell.seed]) for cell in before.cells()]
    finished, begun = store.finished(), set(store.begun())
    pairs = [(old, new) for old, new in pairs if old.key != new.key and old.key in finished | begun]
    continued: list[Cell] = []
    again: list[Cell] = []
    for old, new in pairs:
        history = _history(store, old, finished=old.key in finished) if ignores_budget(old) else None
        if history is None:
            again.append(old)
        else:
            _write(store.journal(new).path, history)
            continued.append(old)
    plan.save(store.folder)
    for old in continued:
        store.remove(old)
    for old in again:
        store.set_aside(old, f"{before.grid.trials}-trials")
    if not pairs:
        return None
    parts = [f"{_counted(continued)} continue"] if continued else []
    if again:
        why = "since their optimizers plan with the number of trials, or a trial cannot be replayed"
        parts.append(f"{_counted(again)} are run again, {why}")
    return f"from {before.grid.trials} to {plan.grid.trials} trials: {'; '.join(parts)}"


def retry_failed(store: Store, cells: Sequence[Cell]) -> str | None:
    """Make the finished cells that have failed trials continue from before the first of these.

    Returns:
        One sentence on what is run again; ``None`` if no trial failed.
    """
    from pyarrow import compute

    table = store.trials(cells, ["cell", "state", "error"])
    failed = compute.or_(compute.not_equal(table.column("state"), "ok"), table.column("error").is_valid())
    keys = set(table.column("cell").filter(failed).unique().to_pylist())
    count = int(compute.sum(failed).as_py() or 0)
    for cell in (cell for cell in cells if cell.key in keys):
        history = _history(store, cell, finished=True, whole=False)
        assert history is not None
        cut = next(index for index, trial in enumerate(history.trials) if trial.failed)
        history.trials = history.trials[:cut]
        _write(store.journal(cell).path, history)
        store.set_aside(cell, "failed", journal=False)
    return f"{count:,} failed trials of {len(keys):,} cells, and what came after them, are run again" if keys else None


def ignores_budget(cell: Cell) -> bool:
    """Whether more trials leave a cell's first ones as they are."""
    from optibench_optimizers import parse

    alone = cell.batch == 1 and not cell.workers and cell.budget is None
    return alone and parse(cell.specification)[0].capabilities.ignores_budget


def _history(store: Store, cell: Cell, *, finished: bool, whole: bool = True) -> History | None:
    """What a cell did so far; ``None`` if ``whole`` is asked for and a trial cannot be replayed.

    A finished cell does not say which ask or tell a worker died of; to repeat one would end the next worker.
    """
    if not finished:
        return Journal(store.journal(cell).path).read()
    table = store.cells.read(cell.key)
    rows = table.select([name for name in FIELDS if name in table.column_names]).to_pylist()
    trials = [Trial.from_row(row) for row in rows]
    if whole and any(trial.config is None or (trial.state == "ok" and trial.error) for trial in trials):
        return None
    made = {name: _made(table, name) for name in ("fingerprint", "run")}
    return History(trials, fingerprints=made["fingerprint"], runs=made["run"])


def _made(table: object, name: str) -> list[str]:
    column = table.column(name)[0].as_py() if name in table.column_names else None  # type: ignore[attr-defined]
    return [part for part in (column or "").split("+") if part]


def _write(path: Path, history: History) -> None:
    write_atomically(path, _content(history))


def _content(history: History) -> bytes:
    """A journal; what :func:`optibench.cell.journal.parse` reads."""
    signed = [Journal.signature(name, "") for name in history.fingerprints]
    signed += [Journal.signature("", name) for name in history.runs]
    records: list[tuple[int, int, str]] = [(trial.trial, 1, trial.to_json()) for trial in history.trials]
    records += [(fault.trial, 0, fault.to_json()) for fault in history.faults]
    return "".join(f"{line}\n" for line in [*signed, *(line for *_, line in sorted(records))]).encode()


def _counted(cells: Sequence[Cell]) -> str:
    names = ", ".join(dict.fromkeys(cell.optimizer for cell in cells))
    return f"{len(cells):,} cell{'' if len(cells) == 1 else 's'} ({names})"

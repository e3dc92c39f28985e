"""Continues finished cells: their trials become the journal of a cell with more trials, or of a new attempt.

If it is killed, the folder is still in the old or already in the new state: journals are written first, then the plan,
and the old results are removed last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optibench.cell.journal import History, Journal
from optibench.cell.trials import FIELDS, SEVERAL, Trial
from optibench.files import write_atomically
from optibench.plan.cells import Cell
from optibench.plan.plan import Plan
from optibench.store.run_folder import Store, failed_rows


def extend(store: Store, plan: Plan) -> str | None:
    """Extend a folder to a plan that contains its own (:meth:`optibench.plan.plan.Plan.grown`).

    If the new plan has more trials, the cells of optimizers that ignore the budget continue. The others are run again,
    and their old files are set aside.

    Returns:
        One sentence on what happens to the cells, if they have more trials now.
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
        store.set_aside(old, f"{old.trials}-trials")
    if not pairs:
        return None
    parts = [f"{_count_text(continued)} continue"] if continued else []
    if again:
        why = "because their optimizers use the number of trials, or a trial cannot be replayed"
        parts.append(f"{_count_text(again)} are run again, {why}")
    return f"from {before.grid.trials} to {plan.grid.trials} trials: {'; '.join(parts)}"


def retry_failed(store: Store, cells: Sequence[Cell]) -> str | None:
    """Make finished cells with failed trials continue from just before the first failed one.

    Returns:
        One sentence on what is run again; ``None`` if no trial failed.
    """
    from pyarrow import compute

    table = store.trials(cells, ["cell", "state", "error"])
    failed = failed_rows(table)
    keys = set(table.column("cell").filter(failed).unique().to_pylist())
    count = int(compute.sum(failed).as_py() or 0)
    for cell in (cell for cell in cells if cell.key in keys):
        history = _history(store, cell, finished=True, whole=False)
        assert history is not None
        cut = next(index for index, trial in enumerate(history.trials) if trial.failed)
        history.trials = history.trials[:cut]
        _write(store.journal(cell).path, history)
        store.set_aside(cell, "failed", journal=False)
    if not keys:
        return None
    from optibench_reports.format.text import plural

    return f"{plural(count, 'failed trial')} in {plural(len(keys), 'cell')}, and what came after, run again"


def ignores_budget(cell: Cell) -> bool:
    """Whether a cell's first trials stay the same if it has more trials."""
    from optibench_optimizers import parse

    alone = cell.batch == 1 and not cell.workers and cell.budget is None
    return alone and parse(cell.specification)[0].capabilities.ignores_budget


def _history(store: Store, cell: Cell, *, finished: bool, whole: bool = True) -> History | None:
    """A cell's history so far; ``None`` if its file is damaged, or if ``whole`` is set and a trial cannot be replayed.

    A finished cell does not record during which ask or tell a worker died, and repeating it would kill the next worker.
    """
    if not finished:
        return Journal(store.journal(cell).path).read()
    try:
        table = store.cells.read(cell.key)
    except (ValueError, OSError):  # damaged: the cell runs again
        return None
    rows = table.select([name for name in (*FIELDS, *SEVERAL) if name in table.column_names]).to_pylist()
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
    """The content of a journal file, as :func:`optibench.cell.journal.parse` reads it."""
    signed = [Journal.signature(name, "") for name in history.fingerprints]
    signed += [Journal.signature("", name) for name in history.runs]
    records: list[tuple[int, int, str]] = [(trial.trial, 1, trial.to_json()) for trial in history.trials]
    records += [(fault.trial, 0, fault.to_json()) for fault in history.faults]
    return "".join(f"{line}\n" for line in [*signed, *(line for *_, line in sorted(records))]).encode()


def _count_text(cells: Sequence[Cell]) -> str:
    from optibench_reports.format.text import plural

    names = ", ".join(dict.fromkeys(cell.optimizer for cell in cells))
    return f"{plural(len(cells), 'cell')} ({names})"

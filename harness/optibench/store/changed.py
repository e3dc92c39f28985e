"""Finds cells that were made by other code or versions, and asks the user what to do with them before anything runs."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from optibench.cell.journal import Journal
from optibench.errors import HarnessError
from optibench.files import write_atomically
from optibench.plan.cells import Cell
from optibench.store.fingerprint import UNKNOWN, Fingerprints, Parts, differences
from optibench.store.run_folder import FINGERPRINTS, Store

MAX_SHOWN_CHANGES = 5
"""Maximum number of changes that a message lists."""
CHOICES = ("rerun", "keep")


class Known(msgspec.Struct, frozen=True):
    """The content of ``fingerprints.json``: the fingerprints of what was run, their parts, and what was kept."""

    optimizers: dict[str, list[str]] = {}  # msgspec copies it
    tasks: dict[str, list[str]] = {}
    parts: dict[str, Parts] = {}
    kept: dict[str, list[str]] = {}

    def joined(self, other: Known) -> Known:
        """The union of two folders' records."""

        def more(one: Mapping[str, list[str]], two: Mapping[str, list[str]]) -> dict[str, list[str]]:
            return {name: list(dict.fromkeys([*one.get(name, ()), *two.get(name, ())])) for name in {**one, **two}}

        return Known(
            more(self.optimizers, other.optimizers),
            more(self.tasks, other.tasks),
            {**self.parts, **other.parts},
            more(self.kept, other.kept),
        )


def settle(store: Store, cells: Sequence[Cell], now: Fingerprints, choice: str | None) -> str | None:
    """Decide what to do with cells whose fingerprints differ from the current ones, and record the current ones.

    Args:
        store: The run folder, locked.
        cells: The cells of the plan.
        now: The current fingerprints.
        choice: ``rerun`` (the old files are set aside), ``keep``, or ``None`` to ask the user.

    Returns:
        One sentence for the provenance on the decision; ``None`` if there was nothing to decide.

    Raises:
        HarnessError: There are such cells, no choice was given, and there is no terminal to ask on.
    """
    known = read(store)
    kept = dict(known.kept)
    found = {
        made: left
        for made, some in _made_by_other_code(store, cells, now, known).items()
        if (left := [cell for cell in some if now.of(cell) not in kept.get(made, ())])
    }
    sentence = None
    if found:
        number = sum(map(len, found.values()))
        why = _differences(found, now, known)
        what = f"{number:,} of {len(cells):,} cells were made by other code or versions ({why})"
        choice = choice or _ask(f"{store.folder}: {what}.")
        if choice is None:
            raise HarnessError(
                f"{store.folder}: {what}: add --changed rerun to run them again (their files are set aside), or "
                '--changed keep to keep them as they are (in Python: changed="rerun").'
            )
        if choice == "rerun":
            for made, some in found.items():
                for cell in some:
                    store.set_aside(cell, made or "unknown")
        else:
            for made, some in found.items():
                kept[made] = sorted({*kept.get(made, ()), *(now.of(cell) for cell in some)})
        sentence = f"{what}; {'they were run again' if choice == 'rerun' else 'they were kept'}"
    _save_known(store, now, known, kept)
    return sentence


def read(store: Store) -> Known:
    """The folder's record; empty if its file is missing or damaged."""
    return _parsed(store) or Known()


def _parsed(store: Store) -> Known | None:
    """The same; ``None`` if it cannot be read."""
    try:
        return msgspec.json.decode((store.folder / FINGERPRINTS).read_bytes(), type=Known)
    except (OSError, ValueError):
        return None


def _save_known(store: Store, now: Fingerprints, known: Known, kept: dict[str, list[str]]) -> None:
    """Add the current fingerprints to the folder's record; a damaged one is set aside."""
    optimizers, tasks = ({name: [one] for name, one in names.items()} for names in (now.optimizers, now.tasks))
    found = known.joined(Known(optimizers, tasks, dict(now.parts), kept))
    if known != found:
        if _parsed(store) is None:
            store.set_aside_file(FINGERPRINTS)
        write_atomically(store.folder / FINGERPRINTS, json.dumps(msgspec.to_builtins(found), indent=1).encode())


def _made_by_other_code(store: Store, cells: Sequence[Cell], now: Fingerprints, known: Known) -> dict[str, list[Cell]]:
    """The finished and started cells whose fingerprints differ from the current ones, by fingerprint."""
    finished, begun = store.finished(), set(store.begun())
    if not finished and not begun:
        return {}
    alike = all(
        before.get(name) == [one]
        for before, names in ((known.optimizers, now.optimizers), (known.tasks, now.tasks))
        for name, one in names.items()
    )
    if alike:  # nothing else was ever run here, so no file needs to be read
        return {}
    made: dict[str, str] = {}
    if finished:
        table = store.trials(cells, ["cell", "fingerprint"])
        names = table.column("cell").to_pylist()
        prints = table.column("fingerprint").to_pylist() if "fingerprint" in table.column_names else [None] * len(names)
        made = {cell: one or UNKNOWN for cell, one in zip(names, prints, strict=True)}
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.key in made:
            one = made[cell.key]
        elif cell.key in begun:
            history = Journal(store.journal(cell).path).read()
            if not history.trials:
                continue
            one = "+".join(history.fingerprints)
        else:
            continue
        if one != now.of(cell):
            found[one].append(cell)
    return dict(found)


def _differences(found: Mapping[str, Sequence[Cell]], now: Fingerprints, known: Known) -> str:
    """The differences as text."""
    words: dict[str, None] = {}
    for made, some in found.items():
        if made == UNKNOWN:
            words["by which is not known: they are older than fingerprints"] = None
        for cell in some:
            new = now.of(cell).split("-")
            for old in made.split("+"):
                pairs = zip(old.split("-"), new, strict=False)
                for one, other in dict.fromkeys(pairs):
                    parts = known.parts.get(one)
                    if parts is not None and one != other:
                        words |= dict.fromkeys(differences(parts, now.parts[other]))
    listed = list(words)
    return "; ".join(listed[:MAX_SHOWN_CHANGES]) + (
        f"; and {len(listed) - MAX_SHOWN_CHANGES} more" if len(listed) > MAX_SHOWN_CHANGES else ""
    )


def _ask(what: str) -> str | None:
    """Ask on the terminal; ``None`` if there is no terminal or no answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    print(f"{what}\nRun them again, or keep them? [rerun/keep] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    return next((choice for choice in CHOICES if answer and choice.startswith(answer)), None)

"""Cells that other code or other versions made: found, and settled with the user before anything is run."""

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

SHOWN = 5
"""Changes that a sentence names."""
CHOICES = ("rerun", "keep")


class Known(msgspec.Struct, frozen=True):
    """What the folder's ``fingerprints.json`` says: of what was run here, its parts, and what was kept."""

    optimizers: dict[str, list[str]] = {}  # msgspec copies it
    tasks: dict[str, list[str]] = {}
    parts: dict[str, Parts] = {}
    kept: dict[str, list[str]] = {}

    def joined(self, other: Known) -> Known:
        """What two folders know."""

        def more(one: Mapping[str, list[str]], two: Mapping[str, list[str]]) -> dict[str, list[str]]:
            return {name: list(dict.fromkeys([*one.get(name, ()), *two.get(name, ())])) for name in {**one, **two}}

        return Known(
            more(self.optimizers, other.optimizers),
            more(self.tasks, other.tasks),
            {**self.parts, **other.parts},
            more(self.kept, other.kept),
        )


def settle(store: Store, cells: Sequence[Cell], now: Fingerprints, choice: str | None) -> str | None:
    """Decide what becomes of cells that were made otherwise than ``now`` would make them, and note what now is.

    Args:
        store: The run folder, locked.
        cells: The plan.
        now: What would run the cells.
        choice: ``rerun``: their files are kept aside; ``keep``; ``None``: the user is asked.

    Returns:
        One sentence for the provenance on what was decided; ``None`` if there was nothing to decide.

    Raises:
        HarnessError: There are such cells, no choice was given, and nobody can be asked.
    """
    known = read(store)
    kept = dict(known.kept)
    found = {
        made: left
        for made, some in _others(store, cells, now, known).items()
        if (left := [cell for cell in some if now.of(cell) not in kept.get(made, ())])
    }
    sentence = None
    if found:
        number = sum(map(len, found.values()))
        what = f"{number:,} of {len(cells):,} cells were made by other code or versions ({_words(found, now, known)})"
        choice = choice or _ask(f"{store.folder}: {what}.")
        if choice is None:
            raise HarnessError(
                f"{store.folder}: {what}: add --changed rerun to run them again, their files are kept aside, or "
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
    _note(store, now, known, kept)
    return sentence


def read(store: Store) -> Known:
    """What the folder knows; nothing if its file is missing or damaged."""
    try:
        return msgspec.json.decode((store.folder / FINGERPRINTS).read_bytes(), type=Known)
    except (OSError, ValueError):
        return Known()


def _note(store: Store, now: Fingerprints, known: Known, kept: dict[str, list[str]]) -> None:
    """Add what is now to what the folder knows."""
    optimizers, tasks = ({name: [one] for name, one in names.items()} for names in (now.optimizers, now.tasks))
    found = known.joined(Known(optimizers, tasks, dict(now.parts), kept))
    if known != found:
        write_atomically(store.folder / FINGERPRINTS, json.dumps(msgspec.to_builtins(found), indent=1).encode())


def _others(store: Store, cells: Sequence[Cell], now: Fingerprints, known: Known) -> dict[str, list[Cell]]:
    """The finished and begun cells that were made otherwise, by their fingerprint."""
    finished, begun = store.finished(), set(store.begun())
    if not finished and not begun:
        return {}
    alike = all(
        before.get(name) == [one]
        for before, names in ((known.optimizers, now.optimizers), (known.tasks, now.tasks))
        for name, one in names.items()
    )
    if alike:  # nothing else was ever run here, so that no file needs to be read
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


def _words(found: Mapping[str, Sequence[Cell]], now: Fingerprints, known: Known) -> str:
    """What differs, the most important first."""
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
    return "; ".join(listed[:SHOWN]) + (f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")


def _ask(what: str) -> str | None:
    """Ask on a terminal; ``None`` where there is none, or no answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    print(f"{what}\nRun them again, or keep them? [rerun/keep] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    return next((choice for choice in CHOICES if answer and choice.startswith(answer)), None)

"""The user's objects as plain data, for workers on other machines (Dask)."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from optibench.errors import HarnessError
from optibench.own.given import Own, OwnEntry, OwnFamily
from optibench_benchmarks import Family
from optibench_optimizers import Capabilities, Entry

MAX_BYTES = 1_000_000
"""Maximum size of all objects of a run together: they are sent with every cell."""


def refuse_unsent(entries: Iterable[Entry], families: Iterable[Family], *, all_at_once: bool) -> None:
    """Reject user's objects that cannot be sent to workers.

    Args:
        entries: Optimizers; only the user's are checked.
        families: Families; only the user's are checked.
        all_at_once: Whether all objects are sent with each cell.

    Raises:
        HarnessError: One cannot be pickled, or is too large.
    """
    everything = [entry.own for entry in entries if isinstance(entry, OwnEntry)]
    everything += [own for family in families if isinstance(family, OwnFamily) for own in family.own.values()]
    size = sum(len(own.payload()) for own in everything)
    if all_at_once and size > MAX_BYTES:
        largest = max(everything, key=lambda own: len(own.payload()))
        raise HarnessError(
            f"{largest.what} takes {len(largest.payload()):,} bytes with its data, and a run on Dask sends at most "
            f"{MAX_BYTES:,} with each cell: load the data inside the object, or use another executor."
        )


def plain(entries: Iterable[Entry], families: Iterable[Family]) -> dict[str, Any]:
    """The user's objects among some entries, as JSON values; empty if there are none."""
    names = ("name", "summary", "target")
    found = {
        "optimizers": [
            {name: getattr(entry, name) for name in names}
            | {"capabilities": dataclasses.asdict(entry.capabilities), "payload": _text(entry.own)}
            for entry in entries
            if isinstance(entry, OwnEntry)
        ],
        "families": [
            {"prefix": family.prefix, "tasks": {name: _text(own) for name, own in family.own.items()}}
            for family in families
            if isinstance(family, OwnFamily)
        ],
    }
    return found if any(found.values()) else {}


def read(sent: Mapping[str, Any]) -> tuple[list[OwnEntry], list[OwnFamily]]:
    """Read what :func:`plain` wrote; an object is unpickled when it is first used, in the process that runs cells."""
    entries, families = [], []
    for one in sent.get("optimizers", ()):
        own, capabilities = _own(one["payload"], f"Optimizer {one['name']!r}"), Capabilities(**one["capabilities"])
        entries.append(OwnEntry(one["name"], one["summary"], one["target"], capabilities, own=own))
    for one in sent.get("families", ()):
        tasks = {name: _own(payload, f"Task {name!r}") for name, payload in one["tasks"].items()}
        families.append(OwnFamily.of(one["prefix"], tasks))
    return entries, families


def _text(own: Own) -> str:
    return base64.b64encode(own.payload()).decode()


def _own(payload: str, what: str) -> Own:
    return Own.sent(base64.b64decode(payload), what)

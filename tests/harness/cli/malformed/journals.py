"""Journals that are damaged."""

from __future__ import annotations

import json
import random
from typing import Any


def journal(rows: Any, cell: Any) -> list[str]:
    """The journal that a finished cell had, from its rows in the table."""
    from optibench.cell.trials import FIELDS, Trial

    found = []
    for row in rows[rows["cell"] == cell.key].sort_values("trial").to_dict("records"):
        row |= dict.fromkeys(("ask_seconds", "evaluate_seconds", "tell_seconds", "started_at"), 0.0)
        text = {key: None if row[key] in ("nan", "None") or row[key] != row[key] else row[key] for key in FIELDS}
        found.append(Trial(**text).to_json())
    return found


KINDS = ("cut", "lost", "double", "swap", "noise", "short", "types", "fault", "text", "empty")


def damaged_lines(lines: list[str], kind: str, rng: random.Random) -> bytes:
    """Journal lines of which one or more are cut, lost, doubled, swapped, of another kind or no text at all."""
    at = rng.randrange(len(lines))
    words = [*lines]
    if kind == "cut":
        words[at] = words[at][: rng.randrange(len(words[at]))]
    elif kind == "lost":
        del words[at]
    elif kind == "double":
        words.insert(at, words[at])
    elif kind == "swap":
        words.reverse()
    elif kind == "short":
        words[at] = json.dumps(json.loads(words[at])[: rng.randrange(12)])
    elif kind == "types":
        values = json.loads(words[at])
        values[rng.randrange(1, len(values))] = rng.choice(({"a": 1}, [1], True))
        words[at] = json.dumps(values)
    elif kind == "fault":
        words.insert(at, json.dumps({"fault": rng.choice((3, [], [1, 2, 3, 4, 5, 6], {"a": 1}))}))
    elif kind == "text":
        words[at] = rng.choice(("3", "null", "{}", '"x"', "[[[", "nonsense"))
    content = "".join(line + "\n" for line in words).encode()
    if kind == "noise":
        place = rng.randrange(len(content))
        content = content[:place] + bytes(rng.randrange(256) for _ in range(20)) + content[place:]
    return b"" if kind == "empty" else content

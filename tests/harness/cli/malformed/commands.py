"""Command lines about what is not there."""

from __future__ import annotations

import random
from collections.abc import Iterator

from malformed.case import Case


def commands(rng: random.Random) -> Iterator[Case]:
    """Folders, configurations, tasks and data sets that do not exist, or are something else."""
    for command in ("status", "report", "run --out", "publish"):
        for place in ("nowhere", "file", "", ".", "nowhere/\u00e9"):
            after = ("new",) if command == "publish" else ()
            yield Case(f"{command} {place!r}", (*command.split(), place, *after), {"file": b"x"})
    yield Case("list of nothing", ("list", "nothing"))
    yield Case("compare nowhere", ("compare", "nowhere", "nowhere2", "--out", "new"))
    yield Case("report of two without --out", ("report", "a", "b"))
    yield Case("report --control", ("report", "published", "--control", "nobody", "--out", "new"), bases=("published",))
    for run in (("nobody", "synthetic/sphere-2d", "0"), ("random", "nothing", "0")):
        yield Case(f"report --run {run}", ("report", "published", "--run", *run, "--out", "new"), bases=("published",))
    for minutes in ("-3", "inf", "nan"):
        yield Case(f"train --minutes {minutes}", ("train", "llama-nano", "--minutes", minutes, "--out", "new"))
    yield Case("references of nothing", ("references", "nothing/*"))
    yield Case("data of nothing", ("data", "path", "nothing"))


MAKERS = (commands,)

"""Malformed input of every kind, made from a seed: command lines, specs, data files, run folders and checkpoints.

A case is a command line and the files it needs. What is there before a case is in ``base`` (made once by
:func:`prepare`): ``run`` (a finished run), ``published`` (the same as one table), ``trials.csv`` and ``.parquet``, and
``checkpoint`` (the shipped network's files).
"""

from __future__ import annotations

import random

from malformed import commands, files, specs
from malformed.case import Case

SEED = 20261121
MAKERS = (*commands.MAKERS, *specs.MAKERS, *files.MAKERS)


def cases() -> list[Case]:
    """All cases, the same for the same :data:`SEED`; each name once."""
    found: dict[str, Case] = {}
    for make in MAKERS:
        for case in make(random.Random(f"{SEED} {make.__name__}")):  # of its own: a change of one leaves the others
            found.setdefault(case.name, case)
    return list(found.values())

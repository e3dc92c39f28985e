"""`ob.optimizers` and `ob.tasks`: list what is available, without importing it."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from optibench.errors import HarnessError

if TYPE_CHECKING:
    import pandas as pd


def optimizers(pattern: str = "*") -> pd.DataFrame:
    """The optimizers whose names match a glob, one row each; their libraries are not imported.

    Returns:
        ``name``, ``summary``, ``conditional``, ``batch``, ``multi_fidelity``, ``objectives``, ``constraints``, and
        ``missing``: what is not installed.

    Raises:
        HarnessError: The pattern is no text.
    """
    import pandas as pd

    from optibench_optimizers import entries

    _refuse_other_than_text(pattern)
    able = ("conditional", "batch", "multi_fidelity", "objectives", "constraints")
    rows = [
        (one.name, one.summary, *(getattr(one.capabilities, name) for name in able), "; ".join(one.problems()))
        for one in entries().values()
        if fnmatch.fnmatchcase(one.name, pattern)
    ]
    return pd.DataFrame(rows, columns=["name", "summary", *able, "missing"])


def tasks(pattern: str = "*") -> pd.DataFrame:
    """The tasks of a name, suite or glob (as in `ob.run`), one row each; no data is loaded.

    Returns:
        ``name``, ``family``, ``summary`` of the family, and ``missing``: why it cannot run here, empty if it can.

    Raises:
        BenchmarkError: No task or suite has that name.
        HarnessError: The pattern is no text.
    """
    import pandas as pd

    from optibench_benchmarks import families, look_up

    _refuse_other_than_text(pattern)
    names, missing = look_up([pattern])
    known = families()
    rows = []
    for name in [*names, *missing]:
        family = known[name.partition("/")[0]]
        rows.append((name, family.prefix, family.summary, missing.get(name, "")))
    return pd.DataFrame(rows, columns=["name", "family", "summary", "missing"])


def _refuse_other_than_text(pattern: str) -> None:
    if not isinstance(pattern, str):
        raise HarnessError(f"A pattern is a name or a glob such as 'tpe*', not {pattern!r}.")

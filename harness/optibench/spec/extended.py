"""A grid that grows: what its folder has, and what is added to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from optibench.errors import HarnessError
from optibench.options import declared
from optibench.spec import batches
from optibench.spec.limits import Limits

if TYPE_CHECKING:
    from optibench.spec.grid import Grid
    from optibench.yaml_file import Source


def extended(before: Grid, values: Mapping[str, Any], source: Source) -> Grid:
    """A folder's grid with further optimizers, benchmarks and seeds, and perhaps more trials.

    Args:
        before: The folder's.
        values: The options given, read; of these, what cannot grow must be as it is.
        source: Where they were given.

    Raises:
        HarnessError: One asks for something else, or for fewer trials; the message gives the line.
    """

    def refuse(key: str, there: Any, hint: str) -> None:
        raise HarnessError(f"{source.where(key)}: `{key}` is {there} in the run folder: {hint}.")

    for key, there in (
        *((key, getattr(before, key)) for key in ("initial", "budget", "simulated_workers", "fidelity")),
        *((key, getattr(before.limits, key)) for key in declared(Limits)),
    ):
        if key in values and values[key] != there:
            shown = "not set" if there is None or (key == "simulated_workers" and not there) else there
            refuse(key, shown, "leave it out, or choose another --out")
    if before.budget is not None and "trials" in values and "budget" not in values:
        refuse("budget", "set", "a budget that is a cost cannot be extended; leave the trials out")
    size = values.get("initial_size", before.initial_size)
    if before.initial == "shared" and size != before.initial_size:
        refuse("initial_size", before.initial_size, "leave it out, or choose another --out")
    trials = values.get("trials", before.trials)
    if trials < before.trials:
        refuse("trials", before.trials, "give as many, or more")
    new = batches.expand(values.get("optimizers", ()), values.get("batch_size", (1,)))
    return msgspec.structs.replace(
        before,
        optimizers=tuple(dict.fromkeys([*before.optimizers, *new])),
        benchmarks=tuple(dict.fromkeys([*before.benchmarks, *values.get("benchmarks", ())])),
        seeds=tuple(dict.fromkeys([*before.seeds, *values.get("seeds", ())])),
        trials=trials,
        skipped=() if values.get("skip_missing") and before.skipped is None else before.skipped,
    )

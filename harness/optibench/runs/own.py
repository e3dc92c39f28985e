"""Resuming a run that was given objects of the user: no folder holds them."""

from __future__ import annotations

from pathlib import Path

from optibench.errors import HarnessError
from optibench.plan.plan import Plan


def refuse_absent(folder: Path, plan: Plan) -> None:
    """Refuse to go on with a plan whose own objects this call was not given; a plug-in of the same name will do.

    Raises:
        HarnessError: One is missing.
    """
    import optibench_benchmarks
    import optibench_optimizers

    entries, families = optibench_optimizers.entries(), optibench_benchmarks.families()
    missing = [one.name for one in plan.optimizers.values() if one.own and one.name not in entries]
    missing += [name for name, one in plan.tasks.items() if one.own and name.partition("/")[0] not in families]
    if missing:
        raise HarnessError(
            f"{folder} runs {', '.join(dict.fromkeys(missing))}, which ob.run was given as Python objects and no "
            f"folder holds: run that Python again, with the same call of ob.run and out={str(folder)!r}, to resume."
        )

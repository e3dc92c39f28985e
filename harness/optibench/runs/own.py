"""Resuming a run of the user's own objects, which are not stored in the run folder."""

from __future__ import annotations

from pathlib import Path

from optibench.errors import HarnessError
from optibench.plan.plan import Plan


def refuse_absent(folder: Path, plan: Plan) -> None:
    """Reject a plan whose own objects were not passed to this call; a plug-in of the same name is accepted.

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
            f"{folder} runs {', '.join(dict.fromkeys(missing))}, passed to ob.run as Python objects, which are not "
            f"stored: to resume, run the same Python call of ob.run again, with out={str(folder)!r}."
        )

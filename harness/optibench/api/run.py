"""`ob.run`: a grid of names and of the user's own objects."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from optibench.api.given import Given, OptimizerLike, TaskLike
from optibench.api.results import Run
from optibench.errors import HarnessError

PLACE = "The call"


def run(
    grid: str | Path | None = None,
    *,
    optimizers: OptimizerLike | Iterable[OptimizerLike] | None = None,
    tasks: TaskLike | Iterable[TaskLike] | None = None,
    seeds: int | str | Sequence[int] | None = None,
    trials: int | str | None = None,
    jobs: int | None = None,
    out: str | Path | None = None,
    benchmarks: TaskLike | Iterable[TaskLike] | None = None,
    **options: Any,
) -> Run:
    """Run a grid, or resume it: the same call continues where the last one stopped.

    Your own classes and functions also run in worker processes, even from a notebook. The caller's environment, signal
    handlers, working directory and random generators are restored at the end.

    Args:
        grid: A YAML file, or the name of a shipped grid; the other arguments override it.
        optimizers: Names (``"tpe"``, ``"tpe:group=true"``), subclasses of :class:`ob.Optimizer`, functions making one,
            or results of :func:`ob.optimizer`.
        tasks: Names, suites, globs (``"hpobench/*"``), objects or classes of :class:`ob.Benchmark`, or what
            :func:`ob.task` returns. ``benchmarks`` is a synonym, as in YAML.
        seeds: A count (5: seeds 0 to 4), a range (``"0-9"``) or a list. Default: 5.
        trials: Trials in each cell, the initial design included, or ``"20D"``: 20 for each parameter of the task that
            can vary, a fraction rounded up. Default: 50.
        jobs: Worker processes. Default: one per usable core.
        out: The run folder. Default: ``runs/grid``.
        options: Any other key of a grid: ``evaluation_limit="5m"``, ``executor="serial"``, ``changed="rerun"``, ...
            (``optibench run --help`` lists them). With ``out`` alone, the run in that folder is resumed.

    Raises:
        HarnessError, BenchmarkError, OptimizerError: Nothing was run, and the message says what to fix.
        KeyboardInterrupt: The run was interrupted; finished trials are kept.
    """
    from optibench.api.references import measure
    from optibench.runs.run import run as run_cells
    from optibench.spec.grid import load, load_settings

    if tasks is not None and benchmarks is not None:
        raise HarnessError("The call: `tasks` and `benchmarks` are one option under two names: leave one of them out.")
    given = Given.of(optimizers, benchmarks if tasks is None else tasks)
    plain = {"seeds": seeds, "trials": trials, "jobs": jobs, "out": out, **options}
    named = {"optimizers": given.optimizers, "benchmarks": given.tasks}
    if grid is None and given.optimizers is None and given.tasks is None:
        outcome = run_cells(None, load_settings(plain, place=PLACE))
    else:
        missing = [word for word, one in (("optimizers", optimizers), ("tasks", given.tasks)) if one is None]
        if grid is None and missing:
            raise HarnessError(f"The call names no {missing[0]}: give them as `{missing[0]}=[...]`.")
        planned, settings = load(None if grid is None else str(grid), named | plain, place=PLACE)
        measure(given, planned, settings)
        with given.registered():
            outcome = run_cells(planned, settings)
    if outcome.stopped:
        raise KeyboardInterrupt(
            f"stopped with {outcome.finished} of {outcome.cells} cells finished; run the same call again to resume, or "
            f"read the finished cells with ob.load({str(outcome.store.folder)!r})"
        )
    if outcome.failed:
        number = "1 trial" if outcome.failed == 1 else f"{outcome.failed:,} trials"
        print(f"{number} failed: the column `error` of run.failed says why.", file=sys.stderr)
    return Run(outcome.store.folder)

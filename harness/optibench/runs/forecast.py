"""Forecasts the cost of running a grid: its cells, trials, time and disk space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optibench.plan.cells import Cell
from optibench.plan.optimizers import PlannedOptimizer
from optibench.plan.plan import GRID, Plan
from optibench.runs.run import open_run, read_options
from optibench.spec.grid import Grid, Settings
from optibench.store.continued import ignores_budget
from optibench.store.run_folder import Store
from optiformer import cores

SUGGESTION = {
    **{"random": 1e-5, "sobol": 1e-5, "cmaes": 1.1e-4, "tpe": 6e-3, "tpe:group=true": 5.3e-3, "tpe-univariate": 8e-3},
    **{"optiformer": 0.012, "optiformer:preset=fast": 8e-3, "optiformer:preset=thorough": 0.05},
    **{"optiformer:network=untrained": 0.012, "gp-map": 0.011, "gp-prior": 0.011},
    **{"optiformer-sampler": 0.012, "optiformer-sampler:surrogate=untrained": 0.012},
    **{"optiformer-sampler:surrogate=gp-map": 0.015, "optiformer-sampler:surrogate=gp-prior": 0.015, "hebo": 8.3},
    **{"optiformer-seq": 0.028, "gp-optuna": 0.15, "smac-rf": 0.41, "gp-skopt": 0.65, "gp-botorch": 0.7},
}
"""Mean seconds of one suggestion by name and settings: from the published grids (50 to 100 trials on one thread of a
two-core AMD EPYC), or from ``docs/latency.json`` if no grid has it. The time of other settings is unknown.
"""
CELL_BYTES, TRIAL_BYTES, PARAMETER_BYTES = 7_000, 130, 25
"""Bytes on disk of a finished cell, of a trial in it, and of a parameter of the trial's configuration."""
TRIAL = 2e-4
"""Seconds of one trial without its suggestion: the evaluation of a surrogate or a table, and the journal."""


@dataclass(frozen=True)
class Forecast:
    """The remaining work of a grid.

    Attributes:
        spec: The grid, as the user named it.
        folder: Its run folder.
        cells, finished: Number of all cells, and of those whose results are in the folder.
        trials: Number of trials left; ``None`` if the number that the budget allows is unknown.
        seconds: Approximate time of the optimizers whose time is known.
        size: Approximate additional size of the folder, in bytes.
        unknown: The optimizers whose speed or number of trials is unknown.
    """

    spec: str
    folder: Path
    cells: int
    finished: int
    trials: int | None
    seconds: float
    size: int
    unknown: tuple[str, ...]

    @property
    def done(self) -> bool:
        return self.finished == self.cells

    @property
    def sentence(self) -> str:
        """The forecast as one sentence, for a dry run."""
        left = f"{self.folder}: {self.cells - self.finished:,} of {self.cells:,} cells to run"
        if self.done:
            return f"{left}."
        trials = "as many trials as the budget allows" if self.trials is None else f"{self.trials:,} trials"
        time = f"{about(self.seconds)} plus the evaluations"
        time += f" and the asks of {', '.join(self.unknown)} (unknown)" if self.unknown else ""
        return f"{left}, {trials}: {time}; about {megabytes(self.size)} on disk."

    @property
    def command(self) -> str:
        """The command that runs it."""
        return f"optibench run {self.spec}"

    def __str__(self) -> str:
        of = f" of {self.cells:,}" if self.finished else ""
        trials = "as many as the budget allows" if self.trials is None else f"{self.trials:,}"
        left = f"cells left: {self.cells - self.finished:,}{of}, trials: {trials}, {about(self.seconds)}"
        return left + (f" plus the time of {', '.join(self.unknown)} (unknown)" if self.unknown else "")


def dry_run(spec: str | None, options: Mapping[str, Any], *, place: str = "The call") -> Forecast:
    """Forecast what :func:`optibench.runs.run.start` would do; nothing is run, created or changed.

    Raises:
        HarnessError, BenchmarkError, OptimizerError: It could not run, and the message says what to fix.
    """
    grid, settings = read_options(spec, options, place=place)
    return forecast(spec or "", open_run(settings).plan().grid if grid is None else grid, settings)


def forecast(spec: str, grid: Grid, settings: Settings) -> Forecast:
    """Look up what is left to do of a grid, or of a folder that it extends; nothing is run, made or changed.

    The seconds are those of a machine like the one of ``SUGGESTION``, shared out evenly among the workers, with tasks
    that are looked up rather than trained.

    Raises:
        HarnessError, BenchmarkError, OptimizerError: The grid cannot be run, or its folder holds another one.
    """
    plan = Plan.of(grid)
    folder = settings.out or Path("runs") / grid.name
    cells = list(plan.cells())
    begun: dict[str, int] = {}
    if (folder / GRID).exists():
        store = Store.open(folder)
        before = store.plan()
        if settings.extend:
            store.refuse_conflict(plan)
        else:
            store.refuse_difference(plan)
        cells = list((before.grown(plan) if settings.extend else before).cells())
        begun = _trials_done(store, list(before.cells()), cells)
    left = [cell for cell in cells if begun.get(cell.key, 0) < cell.trials]
    fixed = {name: _has_fixed_trials(optimizer, grid) for name, optimizer in plan.optimizers.items()}
    speeds = {
        name: SUGGESTION.get(optimizer.specification) if fixed[name] else None
        for name, optimizer in plan.optimizers.items()
    }
    seconds, unknown, size = 0.0, dict[str, None](), 0
    for cell in left:
        speed, done = speeds[cell.optimizer], begun.get(cell.key, 0)
        size += CELL_BYTES + cell.trials * (TRIAL_BYTES + PARAMETER_BYTES * plan.tasks[cell.task].dimensions)
        if speed is None:
            unknown[cell.optimizer] = None
        else:
            seconds += (cell.trials - done) * TRIAL + (cell.trials - max(cell.initial_size, done)) * speed
    return Forecast(
        spec=spec,
        folder=folder,
        cells=len(cells),
        finished=len(cells) - len(left),
        trials=sum(cell.trials - begun.get(cell.key, 0) for cell in left)
        if all(fixed[cell.optimizer] for cell in left)
        else None,
        seconds=seconds / (1 if settings.executor == "serial" else settings.jobs or cores.usable()),
        size=size,
        unknown=tuple(unknown),
    )


def _trials_done(store: Store, before: Sequence[Cell], cells: Sequence[Cell]) -> dict[str, int]:
    """Number of existing trials of some cells, in a folder whose own cells may have fewer trials."""
    finished, running = store.finished(), store.running()
    found = {
        cell.key: cell.trials if cell.key in finished or store.published() else running.get(cell.key, 0)
        for cell in before
    }
    same = {(cell.optimizer, cell.task, cell.seed): cell for cell in before}
    for cell in cells:
        old = same.get((cell.optimizer, cell.task, cell.seed))
        if old is not None and cell.key not in found and ignores_budget(cell):
            found[cell.key] = found[old.key]
    return found


def _has_fixed_trials(optimizer: PlannedOptimizer, grid: Grid) -> bool:
    """Whether the number of trials in an optimizer's cells is known before they run."""
    from optibench_optimizers import parse

    if grid.budget is None:
        return True
    return grid.budget.unit == "fidelity" and not parse(optimizer.name)[0].capabilities.multi_fidelity


def megabytes(size: int) -> str:
    """A size as text, such as ``2 MB``; at least ``1 MB``."""
    return f"{max(1, round(size / 1e6)):,} MB"


def about(seconds: float) -> str:
    """A time as text: ``about 3 hours``, ``about 20 minutes``, ``less than a minute``."""
    if seconds < 60:
        return "less than a minute"
    if seconds < 5400:
        minutes = round(seconds / 60)
        return f"about {minutes} minute{'s' if minutes > 1 else ''}"
    return f"about {seconds / 3600:.1f} hours"

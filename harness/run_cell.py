"""Run one cell: initial design, then ask, evaluate and tell until the budget is spent.

A cell resumes by *replay*: the optimizer is built anew from its seed, asked again for every trial in the journal and
told what the journal says came of it, and nothing is evaluated twice. An optimizer that then asks for something else
than it did before is not reproducible; its cell starts over.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import benchmarks
import optimizers
from benchmarks import Benchmark, Evaluation
from harness.cells import Cell, derived_seed
from harness.trials import Trial
from optimizers import Observation, Optimizer, State

ERROR_LENGTH = 500
"""Characters of a failure's text that are kept."""


class Stopped(Exception):
    """The run was asked to stop; the cell's journal holds what was finished."""


class NotReproducibleError(Exception):
    """A replayed optimizer asked for something else than the journal holds."""


@functools.lru_cache(maxsize=8)
def benchmark(name: str) -> Benchmark:
    """The benchmark of that name, kept for the next cells: some load a model or a table."""
    return benchmarks.create(name)


def initial_design(problem: Benchmark, seed: int, size: int) -> list[dict[str, Any]]:
    """The random configurations that all optimizers of one (task, seed) are told first."""
    if size == 0:
        return []
    import copy

    space = copy.deepcopy(problem.space)
    space.seed(derived_seed("initial design", problem.name, seed))
    return [plain(dict(config)) for config in space.sample_configuration(size + 1)[:size]]


def run_cell(
    cell: Cell,
    *,
    replay: Sequence[Trial] = (),
    on_trial: Callable[[Trial], None] = lambda trial: None,
    stopping: Callable[[], bool] = lambda: False,
) -> list[Trial]:
    """Run a cell to its end.

    Args:
        cell: The cell.
        replay: The trials already done, in order, from an earlier attempt's journal.
        on_trial: Called with each new trial once it is told (not with replayed ones).
        stopping: Asked before each new trial.

    Returns:
        All trials of the cell, the replayed ones included.

    Raises:
        Stopped: ``stopping`` said so.
        NotReproducibleError: The replay went another way than ``replay``.
    """
    problem = benchmark(cell.task)
    sign = 1.0 if problem.direction == "minimize" else -1.0
    evaluation_seed = derived_seed("evaluation", cell.task, cell.seed)
    trials = list(replay)
    optimizer: Optimizer | None = None
    try:
        optimizer = optimizers.create(
            cell.optimizer, problem.space, seed=derived_seed("optimizer", cell.task, cell.seed), n_trials=cell.trials
        )
    except Exception as error:
        unusable = _text("setting up the optimizer", error)
    design = initial_design(problem, cell.seed, cell.initial_size)
    try:
        for index in range(cell.trials):
            done = trials[index] if index < len(trials) else None
            if done is None and stopping():
                raise Stopped
            started_at, clock = time.time(), time.perf_counter
            phase = "initial" if index < len(design) else "search"
            config: Mapping[str, Any] | None = None
            fidelity: Mapping[str, Any] | None = None
            error = None
            start = clock()
            if phase == "initial":
                config = design[index]
            elif optimizer is None:
                error = unusable
            else:
                try:
                    (suggestion,) = optimizer.ask(1)
                    config, fidelity = suggestion.config, suggestion.fidelity
                except Exception as raised:
                    error = _text("ask", raised)
            asked = clock()
            if config is not None:
                try:
                    config = plain(config)
                    check(problem, config)
                except Exception as raised:
                    error = _text("the optimizer proposed an illegal configuration", raised)
            trial = Trial(
                trial=index,
                phase=phase,
                config=None if config is None else json.dumps(config),
                fidelity=None if fidelity is None else json.dumps(plain(fidelity)),
                value=math.nan,
                state="ok" if error is None else "failed",
                error=error,
                cost_seconds=0.0,
                ask_seconds=asked - start,
                evaluate_seconds=0.0,
                tell_seconds=0.0,
                started_at=started_at,
            )
            if done is not None:
                if (done.config, done.fidelity) != (trial.config, trial.fidelity):
                    raise NotReproducibleError(f"trial {index} was {done.config} and became {trial.config}")
                trial = done
            elif error is None and config is not None:
                _evaluate(problem, trial, config, fidelity, seed=(evaluation_seed + index) % 2**31)
            if optimizer is not None and config is not None:
                state: State = trial.state  # type: ignore[assignment]
                told = clock()
                try:
                    optimizer.tell([Observation(config, sign * trial.value, state, fidelity)])
                except Exception as raised:
                    trial.error = trial.error or _text("tell", raised)
                if done is None:
                    trial.tell_seconds = clock() - told
            if done is None:
                trials.append(trial)
                on_trial(trial)
    finally:
        if optimizer is not None:
            optimizer.close()
    return trials


def check(problem: Benchmark, config: Mapping[str, Any]) -> None:
    """Raise if a configuration is not valid in the problem's space."""
    from ConfigSpace import Configuration

    Configuration(problem.space, values=config)


def _evaluate(
    problem: Benchmark, trial: Trial, config: Mapping[str, Any], fidelity: Mapping[str, Any] | None, *, seed: int
) -> None:
    start = time.perf_counter()
    try:
        evaluation: Evaluation = problem.evaluate(config, seed=seed, fidelity=fidelity)
        value = float(evaluation.value)
        trial.cost_seconds = float(evaluation.cost_seconds)
        if math.isfinite(value):
            trial.value = value
        else:
            trial.state, trial.error = "failed", f"the objective returned {value}"
    except Exception as raised:
        trial.state, trial.error = "failed", _text("evaluate", raised)
    trial.evaluate_seconds = time.perf_counter() - start


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with plain Python values, whatever a library handed out (``np.int64``, ``np.str_``)."""
    return {
        name: value if type(value) in _PLAIN else value.item() if hasattr(value, "item") else value
        for name, value in config.items()
    }


_PLAIN = (float, int, str, bool)


def _text(step: str, error: Exception) -> str:
    return f"{step}: {type(error).__name__}: {error}"[:ERROR_LENGTH]

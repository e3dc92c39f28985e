"""Run one cell: initial design, then ask, evaluate and tell until the budget is spent.

A cell resumes by *replay*: the optimizer is built anew from its seed, asked again for every trial in the journal and
told what the journal says came of it, and nothing is evaluated twice. An optimizer that then asks for something else
than it did before is not reproducible; its cell starts over.

What a worker died of is in the journal too. The worker that takes the cell up does not repeat it: a trial whose ask was
cut off has no configuration, one whose evaluation was is told as failed or timed out, and one whose tell was is
evaluated again and not told.

On a simulated clock (:mod:`harness.budget`) a trial is told when it has ended there: before the ask of the trial that
takes its worker, or of a later one. The seconds of those tells, and what they die of, are that later trial's.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from ConfigSpace import Configuration, ConfigurationSpace

import benchmarks
import optimizers
from benchmarks import Benchmark
from harness.budget import Account
from harness.cells import Cell, derived_seed
from harness.external.benchmark import ExternalTimeout
from harness.fidelity import illegal as illegal_fidelity
from harness.fidelity import share, varied
from harness.journal import Fault, History
from harness.limits import Step, cell_timeout, evaluation_timeout, unwatched
from harness.trials import Trial, curve_text, info_text
from optimizers import Observation, Optimizer, State, Suggestion

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
    space = _sampling_space(problem)
    space.seed(derived_seed("initial design", problem.name, seed))
    # one more than needed: for a size of 1 ConfigSpace returns no list
    return [plain(dict(config)) for config in space.sample_configuration(size + 1)[:size]]


@functools.lru_cache(maxsize=8)
def _sampling_space(problem: Benchmark) -> ConfigurationSpace:
    """A copy to be seeded: the problem's own random state is nobody's business."""
    return copy.deepcopy(problem.space)


def run_cell(
    cell: Cell,
    *,
    past: History | None = None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    stopping: Callable[[], bool] = lambda: False,
    pulse: Callable[[Step, int, float], None] = unwatched,
    time_limit: float | None = None,
    evaluation_limit: float | None = None,
) -> list[Trial]:
    """Run a cell to its end.

    Args:
        cell: The cell.
        past: The trials already done and the faults so far, from an earlier attempt's journal.
        on_trial: Called with each new trial once it is told, not with replayed ones.
        stopping: Asked before each new trial.
        pulse: Told which step of which trial begins, and how many seconds the cell took before that trial.
        time_limit: Seconds that the cell may take, looked at before each new trial.
        evaluation_limit: Seconds that an evaluation may take; one that took longer, and that nobody cut off, has no
            value either.

    Returns:
        All trials of the cell, the replayed ones included.

    Raises:
        Stopped: ``stopping`` said so.
        NotReproducibleError: The replay went another way than ``past``.
    """
    past = past or History()
    trials = list(past.trials)
    used = past.seconds()
    end = past.end()
    if end is None and time_limit is not None and used > time_limit:
        end = cell_timeout(len(trials), time_limit, 0.0)
    if end is not None:
        _give_up(cell, trials, end, past.attempts(len(trials)), on_trial)
        return trials
    pulse("set-up", len(trials), 0.0)
    problem = benchmark(cell.task)
    sign = 1.0 if problem.direction == "minimize" else -1.0
    evaluation_seed = derived_seed("evaluation", cell.task, cell.seed)
    design = initial_design(problem, cell.seed, cell.initial_size)
    optimizer = _build(cell, problem)
    account: Account[tuple[_Proposal, Trial]] = Account(cell)
    batch: deque[_Proposal] = deque()
    try:
        for index in itertools.takewhile(account.open, itertools.count()):
            done = trials[index] if index < len(trials) else None
            fault = past.verdict(index)
            if done is None and stopping():
                raise Stopped
            if done is None and time_limit is not None and used > time_limit:
                _give_up(cell, trials, cell_timeout(index, time_limit, 0.0), 0, on_trial)
                break
            initial = design[index] if index < len(design) else None
            asks = initial is None and not batch
            tell_seconds, tell_error, due = 0.0, None, account.due(asks=asks)
            if due and not _fell(fault, "tell"):
                pulse("tell" if done is None else "replay", index, 0.0 if done else used)
                told = [_tell(optimizer, *each, sign) for each in due]
                tell_seconds = sum(seconds for seconds, _ in told)
                tell_error = next((error for _, error in told if error is not None), None)
            pulse("ask" if done is None else "replay", index, 0.0 if done else used)
            started_at = time.time()
            if initial is not None:
                batch.append(_Proposal(initial, None, None, 0.0))
            elif asks and _fell(fault, "ask"):
                batch.append(_no_proposal(fault))
            elif asks:
                most = cell.trials - index if cell.budget is None else cell.batch
                batch.extend(_propose(optimizer, problem, min(cell.batch, most)))
            proposal = batch.popleft()
            trial = done or proposal.trial(problem, index, "search" if initial is None else "initial", started_at)
            if done is not None and (done.config, done.fidelity) != (proposal.config_json, proposal.fidelity_json):
                raise NotReproducibleError(f"trial {index} was {done.config} and became {proposal.config_json}")
            if done is None:
                trial.attempts = past.attempts(index) + (fault is None or fault.step == "tell")
                if _fell(fault, "evaluate", "ask"):
                    _judge(trial, fault)
                elif trial.state == "ok":
                    pulse("evaluate", index, used + trial.ask_seconds)
                    _evaluate(problem, trial, proposal, seed=(evaluation_seed + index) % 2**31)
                    if evaluation_limit is not None and trial.evaluate_seconds > evaluation_limit:
                        _judge(trial, evaluation_timeout(index, evaluation_limit, trial.evaluate_seconds))
            account.add(trial, (proposal, trial))
            if _fell(fault, "tell"):
                tell_seconds, trial.error = fault.seconds, trial.error or fault.error
            elif not account.deferred:
                if done is None:
                    pulse("tell", index, used + trial.ask_seconds + trial.evaluate_seconds)
                tell_seconds, tell_error = _tell(optimizer, proposal, trial, sign)
            if done is None:
                trial.tell_seconds, trial.error = tell_seconds, trial.error or tell_error
                used += trial.ask_seconds + trial.evaluate_seconds + tell_seconds
                trials.append(trial)
                on_trial(trial)
    finally:
        if isinstance(optimizer, Optimizer):
            optimizer.close()
    pulse("finish", cell.trials, 0.0)
    return trials


def replays(cell: Cell) -> bool:
    """Whether the cell's optimizer says that a replay brings it back."""
    return optimizers.parse(cell.specification)[0].capabilities.replay


def _fell(fault: Fault | None, *steps: str) -> TypeGuard[Fault]:
    return fault is not None and fault.step in steps


def _judge(trial: Trial, fault: Fault) -> None:
    """Make a fault the trial's outcome."""
    trial.state, trial.error, trial.value, trial.curve = fault.state, fault.error, math.nan, None
    if fault.step == "evaluate":
        trial.evaluate_seconds = fault.seconds


def _give_up(cell: Cell, trials: list[Trial], end: Fault, attempts: int, on_trial: Callable[[Trial], None]) -> None:
    """Record the rest of a cell's trials as not run; ``attempts`` are those at the first of them."""
    account: Account[None] = Account(cell)
    for trial in trials:
        account.add(dataclasses.replace(trial), None)
    begun = bool(trials) and trials[-1].error == end.error  # a kill came between these rows
    whole = cell.trials if cell.budget is None else len(trials) + account.left() - (begun and account.simulated)
    for index in range(len(trials), whole):
        phase = "initial" if index < cell.initial_size else "search"
        times = (0.0, 0.0, 0.0, 0.0, time.time())
        trial = Trial(index, phase, None, None, math.nan, end.state, end.error, *times, attempts)
        trials.append(trial)
        on_trial(trial)
        attempts = 0


def _no_proposal(fault: Fault) -> _Proposal:
    return _Proposal(None, None, fault.error, fault.seconds)


@dataclass(slots=True)
class _Proposal:
    """A configuration to evaluate, or the error that came instead."""

    config: dict[str, Any] | None
    fidelity: dict[str, Any] | None
    error: str | None
    ask_seconds: float

    @property
    def config_json(self) -> str | None:
        return None if self.config is None else json.dumps(self.config)

    @property
    def fidelity_json(self) -> str | None:
        return None if self.fidelity is None else json.dumps(self.fidelity)

    def trial(self, problem: Benchmark, index: int, phase: str, started_at: float) -> Trial:
        """The trial as it stands before the evaluation."""
        state = "ok" if self.error is None else "failed"
        values = (math.nan, state, self.error, 0.0, self.ask_seconds, 0.0, 0.0)
        found = Trial(index, phase, self.config_json, self.fidelity_json, *values, started_at=started_at)
        if self.error is None and self.fidelity is not None:
            found.cost_fidelity = share(problem, self.fidelity)
        return found


def _build(cell: Cell, problem: Benchmark) -> Optimizer | str:
    """The cell's optimizer, or why there is none."""
    seed = derived_seed("optimizer", cell.task, cell.seed)
    try:
        fidelity = None
        if optimizers.parse(cell.specification)[0].capabilities.multi_fidelity:
            fidelity = varied(problem, cell.fidelity)
        return optimizers.create(cell.specification, problem.space, seed=seed, n_trials=cell.trials, fidelity=fidelity)
    except Exception as raised:
        return _text("setting up the optimizer", raised)


def _propose(optimizer: Optimizer | str, problem: Benchmark, n: int) -> list[_Proposal]:
    """The optimizer's next configurations, or a single proposal without one that says what went wrong.

    What the ask took is shared out evenly.
    """
    if isinstance(optimizer, str):
        return [_Proposal(None, None, optimizer, 0.0)]
    start = time.perf_counter()
    try:
        suggestions = optimizer.ask(n)
        if len(suggestions) != n:
            raise ValueError(f"it was asked for {n} and proposed {len(suggestions)}")
    except Exception as raised:
        return [_Proposal(None, None, _text("ask", raised), time.perf_counter() - start)]
    seconds = (time.perf_counter() - start) / n
    return [_checked(problem, suggestion, seconds) for suggestion in suggestions]


def _checked(problem: Benchmark, suggestion: Suggestion, seconds: float) -> _Proposal:
    """A suggestion as a proposal, which an illegal one makes a failed trial."""
    fidelity = None if suggestion.fidelity is None else plain(suggestion.fidelity)
    config, illegal = plain(suggestion.config), None
    try:
        Configuration(problem.space, values=config)
    except Exception as raised:
        illegal = _text("the optimizer proposed an illegal configuration", raised)
    wrong = None if fidelity is None else illegal_fidelity(problem, fidelity)
    if wrong is not None:
        illegal = illegal or f"the optimizer proposed an illegal fidelity: {wrong}"[:ERROR_LENGTH]
    return _Proposal(config, fidelity, illegal, seconds)


def _tell(optimizer: Optimizer | str, proposal: _Proposal, trial: Trial, sign: float) -> tuple[float, str | None]:
    """Tell the optimizer what became of a proposal; returns how long that took, in seconds, and what went wrong."""
    if isinstance(optimizer, str) or proposal.config is None:
        return 0.0, None
    error = None
    state: State = trial.state  # type: ignore[assignment]
    start = time.perf_counter()
    try:
        optimizer.tell([Observation(proposal.config, sign * trial.value, state, proposal.fidelity)])
    except Exception as raised:
        error = _text("tell", raised)
    return time.perf_counter() - start, error


def _evaluate(problem: Benchmark, trial: Trial, proposal: _Proposal, *, seed: int) -> None:
    assert proposal.config is not None
    start = time.perf_counter()
    try:
        evaluation = problem.evaluate(proposal.config, seed=seed, fidelity=proposal.fidelity)
        value = float(evaluation.value)
        trial.info = info_text(evaluation.info)
        trial.cost_seconds = float(evaluation.cost_seconds)
        trial.curve = curve_text(evaluation.curve)
        if math.isfinite(value):
            trial.value = value
        else:
            trial.state, trial.error = "failed", f"the objective returned {value}"
    except ExternalTimeout as raised:
        trial.state, trial.error = "timeout", _text("evaluate", raised)
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

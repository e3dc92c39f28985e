"""Run one cell: initial design, then ask, evaluate and tell until the budget is spent.

A cell resumes by *replay*: the optimizer is built again from its seed, asked again for every trial in the journal, and
told the recorded outcomes. Nothing is evaluated twice. If the optimizer now proposes a different configuration (on
another processor, with another BLAS), it is told the recorded trials all the same, and an event is recorded.

The journal also records why workers died. The next worker does not repeat the step: if the ask was interrupted, the
trial has no configuration; if the evaluation was, the trial is told as failed or timed out; if the tell was, the trial
is evaluated again and not told.

Whatever an optimizer or a benchmark raises or returns becomes a failed trial, and its changes to the process are
contained (:mod:`optibench.cell.containment`). Optimizer and benchmark get separate copies of all objects.

On a simulated clock (:mod:`optibench.spec.budget`), a trial is told once it has ended on that clock: before the ask of
the next trial that starts at or after its end. The time and the errors of this tell belong to that later trial.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import itertools
import json
import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from ConfigSpace import Configuration

import optibench_benchmarks
import optibench_optimizers
from optibench.cell.account import Account
from optibench.cell.containment import Side
from optibench.cell.design import initial_design
from optibench.cell.faults import cell_timeout, evaluation_timeout
from optibench.cell.heartbeat import Step, no_heartbeat
from optibench.cell.journal import Fault, History
from optibench.cell.proposal import Proposal, apply_fault, error_text, record_outcome, storable_config
from optibench.cell.trials import Trial, curve_text, info_text
from optibench.errors import storable
from optibench.external.benchmark import ExternalTimeout
from optibench.plan.cells import Cell, derived_seed
from optibench.spec.fidelity import fidelity_error, varied_fidelity
from optibench_benchmarks import Benchmark
from optibench_optimizers import Observation, Optimizer, State, Suggestion


class Stopped(Exception):
    """The run was asked to stop; the cell's journal holds the finished trials."""


@functools.lru_cache(maxsize=8)
def benchmark(name: str) -> Benchmark:
    """The benchmark of that name, cached for the next cells: some load a model or a table."""
    return optibench_benchmarks.create(name)


@dataclass(frozen=True)
class Surroundings:
    """The callbacks and the temporary folder of a cell.

    Attributes:
        stopping: Called before each new trial; returns true if the run is to stop.
        heartbeat: Called when a step begins, with the step, the trial and the seconds that the cell took before.
        event: Called with an unplanned event and its details.
        log: Called with the traceback of each raised error.
        scratch: A folder for temporary files; ``None``: the process's own.
    """

    stopping: Callable[[], bool] = lambda: False
    heartbeat: Callable[[Step, int, float], None] = no_heartbeat
    event: Callable[[str, str], None] = lambda event, text: None
    log: Callable[[str], None] = lambda text: None
    scratch: Path | None = None


def run_cell(
    cell: Cell,
    *,
    past: History | None = None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    surroundings: Surroundings | None = None,
    time_limit: float | None = None,
    evaluation_limit: float | None = None,
) -> list[Trial]:
    """Run a cell to its end.

    Args:
        cell: The cell.
        past: The trials already done and the faults so far, from an earlier attempt's journal.
        on_trial: Called with each new trial once it is told, not with replayed ones.
        surroundings: See :class:`Surroundings`.
        time_limit: Seconds that the cell may take, checked before each new trial.
        evaluation_limit: Seconds that an evaluation may take; a longer one is timed out even if it was not killed.

    Returns:
        All trials of the cell, the replayed ones included.

    Raises:
        Stopped: ``surroundings.stopping`` returned true.
    """
    run = _CellRun(cell, past or History(), on_trial, surroundings or Surroundings(), time_limit, evaluation_limit)
    return run.run()


class _CellRun:
    """One run of a cell; see :func:`run_cell`."""

    def __init__(
        self,
        cell: Cell,
        past: History,
        on_trial: Callable[[Trial], None],
        surroundings: Surroundings,
        time_limit: float | None,
        evaluation_limit: float | None,
    ) -> None:
        self.cell, self.past, self.on_trial, self.surroundings = cell, past, on_trial, surroundings
        self.time_limit, self.evaluation_limit = time_limit, evaluation_limit
        self.trials = list(past.trials)
        self.used = past.seconds()
        scratch = surroundings.scratch
        self.sides = {name: Side(scratch and scratch / name) for name in ("optimizer", "benchmark")}
        self.seeds = {name: derived_seed("global generators", name, cell.task, cell.seed) for name in self.sides}
        self.evaluation_seed = derived_seed("evaluation", cell.task, cell.seed)
        self.account: Account[tuple[Proposal, Trial]] = Account(cell)
        self.batch: deque[Proposal] = deque()
        self.diverged = self.closed = False

    def run(self) -> list[Trial]:
        end = self.past.fatal_fault()
        if end is None and self.time_limit is not None and self.used > self.time_limit:
            end = cell_timeout(len(self.trials), self.time_limit, 0.0)
        if end is None:
            self.surroundings.heartbeat("set-up", len(self.trials), 0.0)
            with self._foreign("benchmark", "setting up the task") as call:
                self.problem = benchmark(self.cell.task)
                directions = self.problem.objectives.values() or [self.problem.direction]
                self.signs = tuple(1.0 if direction == "minimize" else -1.0 for direction in directions)
                self.design = initial_design(self.problem, self.cell.seed, self.cell.initial_size)
                self.space = copy.deepcopy(self.problem.space)
            if call.error is not None:
                end = Fault(len(self.trials), "set-up", "failed", call.error, call.seconds)
        if end is not None:
            self._fill_remaining(end, self.past.attempts(len(self.trials)))
            return self.trials
        self.optimizer = self._build()
        try:
            for index in itertools.takewhile(self.account.open, itertools.count()):
                if not self._trial(index):
                    break
        finally:
            self._close()
        self.surroundings.heartbeat("finish", self.cell.trials, 0.0)
        return self.trials

    def _name(self) -> str:
        return f"{self.cell.optimizer} on {self.cell.task}, seed {self.cell.seed}"

    def _trial(self, index: int) -> bool:
        """Run or replay one trial; returns whether the cell continues."""
        done = self.trials[index] if index < len(self.trials) else None
        fault = self.past.final_fault(index)
        if done is None and self.surroundings.stopping():
            raise Stopped
        if done is None and self.time_limit is not None and self.used > self.time_limit:
            self._fill_remaining(cell_timeout(index, self.time_limit, 0.0), 0)
            return False
        initial = self.design[index] if index < len(self.design) else None
        asks = initial is None and not self.batch
        tell_seconds, tell_error, due = 0.0, None, self.account.due(asks=asks)
        if due and not _fault_in(fault, "tell"):
            self._step("tell", index, done)
            told = [self._tell(*each) for each in due]
            tell_seconds = sum(seconds for seconds, _ in told)
            tell_error = next((error for _, error in told if error is not None), None)
        self._step("ask", index, done)
        started_at = time.time()
        if initial is not None:
            self.batch.append(Proposal(initial, None, None, 0.0))
        elif asks and _fault_in(fault, "ask"):
            self.batch.append(Proposal(None, None, fault.error, fault.seconds))
        elif asks:
            self.batch.extend(self._propose(index))
        proposal = self.batch.popleft()
        if done is None:
            trial = proposal.trial(self.problem, index, "search" if initial is None else "initial", started_at)
            trial.attempts = self.past.attempts(index) + (fault is None or fault.step == "tell")
            self._evaluate(trial, proposal, fault)
        else:
            trial, proposal = done, self._recorded(done, proposal, asked=initial is None)
        self.account.add(trial, (proposal, trial))
        if _fault_in(fault, "tell"):
            tell_seconds, tell_error = fault.seconds, fault.error
        elif not self.account.deferred:
            self._step("tell", index, done, trial.ask_seconds + trial.evaluate_seconds)
            tell_seconds, tell_error = self._tell(proposal, trial)
        if done is None:
            trial.tell_seconds, trial.error = tell_seconds, trial.error or tell_error
            if not self.account.open(index + 1):
                self.closed = _fault_in(fault, "tell")  # the interrupted call may have been the closing
                trial.error = self._close() or trial.error
            self.used += trial.ask_seconds + trial.evaluate_seconds + tell_seconds
            self.trials.append(trial)
            self.on_trial(trial)
        return True

    def _step(self, step: Step, index: int, done: Trial | None, seconds: float = 0.0) -> None:
        if done is None:
            self.surroundings.heartbeat(step, index, self.used + seconds)
        else:
            self.surroundings.heartbeat("replay", index, 0.0)

    @contextlib.contextmanager
    def _foreign(self, side: str, step: str, seed: int | None = None) -> Iterator[_Call]:
        """Wrap a call into foreign code: measures its time and records its error; raises only :class:`Stopped`."""
        call, start = _Call(), time.perf_counter()
        try:
            with self.sides[side].call(self.seeds[side] if seed is None else seed):
                start = time.perf_counter()
                try:
                    yield call
                finally:
                    call.seconds = time.perf_counter() - start
        except BaseException as raised:
            if isinstance(raised, KeyboardInterrupt) and self.surroundings.stopping():  # Ctrl-C, not raised by the code
                raise Stopped from None
            call.error, call.raised = error_text(step, raised), raised
            self._log(step, raised)

    def _log(self, step: str, raised: BaseException) -> None:
        text = f"{step}, after {len(self.trials)} trials of {self._name()}\n"
        with contextlib.suppress(BaseException):  # formatting a foreign error may fail
            text += "".join(traceback.format_exception(raised))
        self.surroundings.log(storable(text) + "\n")

    def _build(self) -> Optimizer | str:
        """The cell's optimizer, or an error text if it cannot be built."""
        cell = self.cell
        seed = derived_seed("optimizer", cell.task, cell.seed)
        with self._foreign("optimizer", "setting up the optimizer") as call:
            fidelity = None
            if optibench_optimizers.parse(cell.specification)[0].capabilities.multi_fidelity:
                fidelity = varied_fidelity(self.problem, cell.fidelity)
            space = copy.deepcopy(self.space)
            made = optibench_optimizers.create(
                cell.specification,
                space,
                seed=seed,
                n_trials=cell.trials,
                fidelity=fidelity,
                n_objectives=len(self.signs),
                n_constraints=len(self.problem.constraints),
            )
            if not isinstance(made, Optimizer):
                raise TypeError(f"it is a {type(made).__name__}, which is not an optibench_optimizers.Optimizer")
        return made if call.error is None else call.error

    def _propose(self, index: int) -> list[Proposal]:
        """The optimizer's next configurations, or a single proposal with an error and no configuration.

        The time of the ask is divided equally among them.
        """
        if isinstance(self.optimizer, str):
            return [Proposal(None, None, self.optimizer, 0.0)]
        n = min(self.cell.batch, self.cell.trials - index) if self.cell.budget is None else self.cell.batch
        with self._foreign("optimizer", "ask", (self.seeds["optimizer"] + index) % 2**31) as call:
            suggestions = list(self.optimizer.ask(n))
            if len(suggestions) != n:
                raise ValueError(f"it was asked for {n} and proposed {len(suggestions)}")
        if call.error is None:
            seconds = call.seconds / n
            with self._foreign("optimizer", "ask") as call:
                return [self._checked(suggestion, seconds) for suggestion in suggestions]
        return [Proposal(None, None, call.error, call.seconds)]

    def _checked(self, suggestion: Suggestion, seconds: float) -> Proposal:
        """A suggestion as a proposal; an illegal one becomes a proposal with an error."""
        if not isinstance(suggestion, Suggestion):
            raise TypeError(
                f"it proposed a {type(suggestion).__name__}, which is not an optibench_optimizers.Suggestion"
            )
        config, fidelity, illegal = None, None, None
        try:
            config = storable_config(suggestion.config)
            Configuration(self.space, values=config)
        except Exception as raised:
            illegal = error_text("the optimizer proposed an illegal configuration", raised)
        try:
            fidelity = None if suggestion.fidelity is None else storable_config(suggestion.fidelity)
            wrong = None if fidelity is None else fidelity_error(self.problem, fidelity)
            if wrong is not None:
                raise ValueError(wrong)
        except Exception as raised:
            illegal = illegal or error_text("the optimizer proposed an illegal fidelity", raised)
        return Proposal(config, fidelity, illegal, seconds)

    def _recorded(self, done: Trial, proposal: Proposal, *, asked: bool) -> Proposal:
        """The proposal to tell for a replayed trial: the recorded one, whatever the optimizer proposes now.

        If the two differ only by rounding, the optimizer is told its own proposal.
        """
        if (done.config, done.fidelity) == (proposal.config_json, proposal.fidelity_json):
            return proposal
        config, fidelity = (None if text is None else json.loads(text) for text in (done.config, done.fidelity))
        if not self.diverged:
            self.diverged = True
            self.surroundings.event(
                "a resumed cell would try something else than before, its optimizer is told what was recorded",
                f"{self._name()}, trial {done.trial}: {done.config} was recorded, not {proposal.config_json}",
            )
        if done.fidelity == proposal.fidelity_json and self._alike(config, proposal.config):
            return proposal
        if asked and isinstance(self.optimizer, Optimizer) and proposal.config is not None:
            with self._foreign("optimizer", "withdraw"):
                self.optimizer.withdraw([Suggestion(dict(proposal.config), proposal.fidelity)])
        return Proposal(config, fidelity, proposal.error if config is None else None, 0.0)

    def _alike(self, one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
        """Whether two configurations differ by no more than rounding: 1e-6 of a parameter's range."""
        try:
            first, second = (Configuration(self.space, values=config).get_array() for config in (one, other))
        except Exception:  # one of them is missing or illegal
            return False
        return bool(np.allclose(first, second, rtol=0.0, atol=1e-6, equal_nan=True))

    def _evaluate(self, trial: Trial, proposal: Proposal, fault: Fault | None) -> None:
        """Evaluate a new trial, unless a fault already decided its outcome."""
        if _fault_in(fault, "evaluate", "ask"):
            apply_fault(trial, fault)
            return
        if trial.state != "ok":
            return
        assert proposal.config is not None
        self.surroundings.heartbeat("evaluate", trial.trial, self.used + trial.ask_seconds)
        seed = (self.evaluation_seed + trial.trial) % 2**31
        fidelity = None if proposal.fidelity is None else dict(proposal.fidelity)
        with self._foreign("benchmark", "evaluate", seed) as call:
            evaluation = self.problem.evaluate(dict(proposal.config), seed=seed, fidelity=fidelity)
            values, constraints = self.problem.numbers(evaluation)
            trial.info = info_text(evaluation.info)
            trial.cost_seconds = float(evaluation.cost_seconds)
            trial.curve = curve_text(evaluation.curve)
            record_outcome(trial, self.problem, values, constraints)
        trial.evaluate_seconds = call.seconds
        if call.error is not None:
            timeout = isinstance(call.raised, ExternalTimeout)
            trial.state, trial.error = "timeout" if timeout else "failed", call.error
        if self.evaluation_limit is not None and trial.evaluate_seconds > self.evaluation_limit:
            apply_fault(trial, evaluation_timeout(trial.trial, self.evaluation_limit, trial.evaluate_seconds))

    def _tell(self, proposal: Proposal, trial: Trial) -> tuple[float, str | None]:
        """Tell the optimizer the outcome of a proposal; returns the time of the call in seconds and its error."""
        if isinstance(self.optimizer, str) or proposal.config is None:
            return 0.0, None
        state: State = trial.state  # type: ignore[assignment]
        fidelity = None if proposal.fidelity is None else dict(proposal.fidelity)
        value = self.signs[0] * trial.value if len(self.signs) == 1 else math.nan
        values = tuple(sign * value for sign, value in zip(self.signs, trial.values or (), strict=False))
        observation = Observation(
            dict(proposal.config), value, state, fidelity, values=values, constraints=trial.constraints or ()
        )
        with self._foreign("optimizer", "tell", (self.seeds["optimizer"] + trial.trial) % 2**31) as call:
            self.optimizer.tell([observation])
        return call.seconds, call.error

    def _close(self) -> str | None:
        """Close the optimizer once; returns the error, if there is one."""
        if self.closed or not isinstance(self.optimizer, Optimizer):
            return None
        self.closed = True
        with self._foreign("optimizer", "close") as call:
            self.optimizer.close()
        if call.error is not None:
            self.surroundings.event("an optimizer could not be closed", f"{call.error}: {self._name()}")
        return call.error

    def _fill_remaining(self, end: Fault, attempts: int) -> None:
        """Record the remaining trials of a cell as not run; ``attempts`` is the first one's number of attempts."""
        account: Account[None] = Account(self.cell)
        for trial in self.trials:
            account.add(dataclasses.replace(trial), None)
        begun = bool(self.trials) and self.trials[-1].error == end.error  # a kill interrupted this loop
        whole = self.cell.trials
        if self.cell.budget is not None:
            whole = len(self.trials) + account.left() - (begun and account.simulated)
        for index in range(len(self.trials), whole):
            phase = "initial" if index < self.cell.initial_size else "search"
            times = (0.0, 0.0, 0.0, 0.0, time.time())
            trial = Trial(index, phase, None, None, math.nan, end.state, end.error, *times, attempts)
            self.trials.append(trial)
            self.on_trial(trial)
            attempts = 0


@dataclass(slots=True)
class _Call:
    """The time and the error of a call into foreign code."""

    seconds: float = 0.0
    error: str | None = None
    raised: BaseException | None = None


def _fault_in(fault: Fault | None, *steps: str) -> TypeGuard[Fault]:
    return fault is not None and fault.step in steps

"""What an optimizer proposes, and the trial that becomes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optibench.cell.journal import Fault
from optibench.cell.trials import Trial
from optibench.errors import message, storable
from optibench.spec.fidelity import cost_fraction
from optibench_benchmarks import Benchmark
from optibench_benchmarks.hypervolume import alone

ERROR_LENGTH = 500
"""Maximum length of a trial's error text, in characters."""


@dataclass(slots=True)
class Proposal:
    """A configuration to evaluate, or an error."""

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
        """The trial before its evaluation."""
        state = "ok" if self.error is None else "failed"
        values = (math.nan, state, self.error, 0.0, self.ask_seconds, 0.0, 0.0)
        found = Trial(index, phase, self.config_json, self.fidelity_json, *values, started_at=started_at)
        if self.error is None and self.fidelity is not None:
            found.cost_fidelity = cost_fraction(problem, self.fidelity)
        return found


def apply_fault(trial: Trial, fault: Fault) -> None:
    """Make a fault the trial's outcome."""
    trial.state, trial.error, trial.value, trial.curve = fault.state, fault.error, math.nan, None
    trial.values = trial.constraints = None
    if fault.step == "evaluate":
        trial.evaluate_seconds = fault.seconds


def record_outcome(trial: Trial, problem: Benchmark, values: Sequence[float], constraints: Sequence[float]) -> None:
    """Note the objectives and the constraints of an evaluated trial, and its state."""
    names = [f"the objective {name!r}" for name in problem.objectives] or ["the objective"]
    names += [f"the constraint {name!r}" for name in problem.constraints]
    for name, number in zip(names, (*values, *constraints), strict=True):
        if not math.isfinite(number):
            trial.state, trial.error = "failed", f"{name} returned {number}"
            return
    if problem.objectives or problem.constraints:
        trial.values, trial.constraints = tuple(values), tuple(constraints)
    if any(number > 0.0 for number in constraints):
        trial.state = "infeasible"
    elif problem.objectives:
        trial.value = math.nan if problem.front is None else alone(problem.front, values)
    else:
        (trial.value,) = values


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with plain Python values, whatever types a library uses (``np.int64``, ``np.str_``)."""
    return {
        name: value if type(value) in _PLAIN else value.item() if hasattr(value, "item") else value
        for name, value in config.items()
    }


_PLAIN = (float, int, str, bool)


def storable_config(values: Any) -> dict[str, Any]:
    """A proposed configuration or fidelity with plain values.

    Raises:
        TypeError, ValueError: It is not a mapping, or JSON cannot hold it.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"it is a {type(values).__name__}, not a mapping of parameters to values")
    found = plain(values)
    json.dumps(found)
    return found


def error_text(step: str, error: BaseException) -> str:
    """The text for a trial's ``error``."""
    return storable(f"{step}: {type(error).__name__}: {message(error)}")[:ERROR_LENGTH]

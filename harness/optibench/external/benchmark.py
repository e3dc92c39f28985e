"""An external process as a family of benchmarks."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from optibench.external.definitions import External
from optibench.external.optimizer import handshake
from optibench.external.process import Process, ProcessError, Refusal
from optibench_benchmarks import (
    Benchmark,
    BenchmarkError,
    Config,
    Evaluation,
    Family,
    Front,
    Reference,
    Sampling,
    UnknownBenchmarkError,
)

_workers: dict[tuple[int, str], tuple[External, Process, str]] = {}


class ExternalTimeout(BenchmarkError, TimeoutError):
    """An evaluation exceeded its time limit, and its worker was killed."""


def worker(external: External) -> tuple[Process, str]:
    """The running worker of a benchmark, and its version; each process has one for all tasks, restarted if it ended.

    Raises:
        BenchmarkError: It cannot be run, or is not a benchmark that speaks the protocol.
    """
    key = (os.getpid(), external.name)  # a fork must not share its parent's pipes
    found = _workers.get(key)
    if found is None or found[0] != external or not found[1].running:
        _workers[key] = found = (external, *handshake(external, BenchmarkError))
    return found[1], found[2]


def request(external: External, method: str, params: Mapping[str, Any], seconds: float) -> Any:
    """Send a request to a benchmark's worker.

    Raises:
        BenchmarkError: It fails or refuses.
        ExternalTimeout: It does not answer in time.
    """
    process, _ = worker(external)
    try:
        return process.request(method, params, seconds)
    except ProcessError as error:
        raise (ExternalTimeout if isinstance(error, TimeoutError) else BenchmarkError)(str(error)) from error


class ExternalBenchmark(Benchmark):
    """A task of an external benchmark.

    Raises:
        UnknownBenchmarkError: The worker does not know the task.
        BenchmarkError: The worker fails, or describes the task wrongly.
    """

    def __init__(self, external: External, task: str) -> None:
        self.name = f"{external.name}/{task}"
        self.external, self.task = external, task
        try:
            found = request(external, "describe", {"task": task}, external.start_seconds)
        except Refusal as error:
            raise UnknownBenchmarkError(f"External benchmark {external.name!r} refuses {task!r}: {error}") from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # ConfigSpace's older JSON says `default` for a default
                self._describe(found)
        except Exception as error:  # ConfigSpace raises many types of errors on a malformed space
            raise BenchmarkError(
                f"External benchmark {external.name!r} describes {task!r} wrongly "
                f"({self._shown(f'{type(error).__name__}: {error}')}); "
                "docs/how-to/external.md says what `describe` returns."
            ) from error
        self.data_version = f"external; {found.get('data_version', '1')}"

    def _describe(self, found: Mapping[str, Any]) -> None:
        """Read the worker's description of the task; raises an error if it is wrong."""
        from ConfigSpace import ConfigurationSpace

        self.space = ConfigurationSpace.from_serialized_dict(found["space"])
        self.objectives = dict(found.get("objectives") or {})
        self.constraints = tuple(found.get("constraints") or ())
        self.direction = found.get("direction", "minimize") if self.objectives else found["direction"]
        self.sampling = found.get("sampling", "deterministic")
        if found.get("fidelity_space") is not None:
            self.fidelity_space = ConfigurationSpace.from_serialized_dict(found["fidelity_space"])
        self.main_fidelity = found.get("main_fidelity")
        self.has_cost = found.get("has_cost", False)
        self.metrics = dict(found.get("metrics") or {})
        if found.get("reference") is not None:
            self.reference = Reference(**found["reference"])
        if found.get("front") is not None:
            self.front = _front(**found["front"])
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"`direction` is minimize or maximize, not {self.direction!r}")
        if self.sampling not in get_args(Sampling):
            raise ValueError(f"`sampling` is deterministic, exact or noisy, not {self.sampling!r}")

    def _shown(self, answer: Any) -> str:
        """An answer for an error message, without secrets."""
        return worker(self.external)[0].redacted(answer if isinstance(answer, str) else json.dumps(answer))

    def __reduce__(self) -> tuple[type[ExternalBenchmark], tuple[External, str]]:
        """Pickle the definition, since a process cannot be pickled: each process starts its own worker."""
        return ExternalBenchmark, (self.external, self.task)

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        params = {
            "task": self.task,
            "config": dict(config),
            "seed": seed,
            "fidelity": None if fidelity is None else dict(fidelity),
        }
        try:
            found = request(self.external, "evaluate", params, self.external.seconds)
        except Refusal as error:
            raise BenchmarkError(f"External benchmark {self.external.name!r}: {error}") from error
        try:
            value = math.nan if self.objectives else _number(found["value"])
            cost, info = found.get("cost_seconds"), found.get("info")
            values, constraints = (tuple(map(_number, found.get(key) or ())) for key in ("values", "constraints"))
            if not self.objectives:
                values = ()
            curve = _curve(found.get("curve"))
            return Evaluation(value, float(cost or 0.0), dict(info or {}), curve, values, constraints)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BenchmarkError(
                f"External benchmark {self.external.name!r} answered 'evaluate' with {self._shown(found)[:200]}; "
                'it must be {"value": NUMBER}, or "values" and "constraints" where the task has them, if known with '
                '"cost_seconds", "info" and "curve": {"epoch": [1, 2], "validation_loss": [0.7, 0.5]}.'
            ) from error


def _front(**fields: Any) -> Front:
    points = tuple(tuple(map(float, point)) for point in fields.pop("points", ()))
    ideal, last = (tuple(map(float, fields.pop(name))) for name in ("ideal", "reference_point"))
    return Front(ideal, last, points=points, **fields)


def _number(value: Any) -> float:
    """JSON has no NaN: ``null`` stands for it."""
    return math.nan if value is None else float(value)


def _curve(columns: Any) -> dict[str, list[float]]:
    curve = {str(name): [_number(value) for value in list(column)] for name, column in dict(columns or {}).items()}
    if len({len(column) for column in curve.values()}) > 1:
        raise ValueError("the columns of a learning curve must have the same length")
    return curve


@dataclass(frozen=True)
class _Provider:
    external: External

    def names(self) -> list[str]:
        return [f"{self.external.name}/{task}" for task in self.external.tasks]

    def create(self, name: str) -> Benchmark:
        return ExternalBenchmark(self.external, name.partition("/")[2])

    def missing(self) -> str | None:
        return None


@dataclass(frozen=True)
class ExternalFamily(Family):
    """An external benchmark in the registry."""

    external: External = field(kw_only=True)

    @classmethod
    def of(cls, external: External) -> ExternalFamily:
        summary = external.summary or f"external: {' '.join(external.command)}"
        return cls(external.name, summary, " ".join(external.command), external=external)

    def provider(self) -> _Provider:
        return _Provider(self.external)

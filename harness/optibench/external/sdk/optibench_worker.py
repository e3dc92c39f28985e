"""A worker of optibench: an optimizer or a benchmark in a separate process that exchanges JSON lines with optibench.

One file, Python 3.8 or newer, no dependencies. optibench adds its folder to the worker's ``PYTHONPATH``; it may also be
copied beside the worker. An optimizer is a class with ``__init__(space, seed, n_trials, **settings)``, ``ask(n)`` and
``tell(observations)``; a benchmark is one with ``describe(task)`` and ``evaluate(task, config, seed, fidelity)``:

    import optibench_worker

    class Mine:
        ...

    if __name__ == "__main__":
        optibench_worker.serve(optimizer=Mine, version="1.0")

Standard output is redirected to standard error, so that libraries may print. docs/how-to/external.md describes the
protocol.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import traceback
from collections.abc import Callable
from typing import Any

PROTOCOL = 2
"""The newest version of the protocol that this worker speaks."""


class Refused(Exception):
    """A mistake that the user can fix; optibench shows the message without a traceback."""


def serve(optimizer: Callable[..., Any] | None = None, benchmark: Any | None = None, version: str = "") -> None:
    """Answer requests until optibench closes the pipe.

    Args:
        optimizer: Called with ``space`` (ConfigSpace's JSON as a dictionary), ``seed``, ``n_trials`` and the settings;
            one that is declared ``multi_fidelity`` also with ``fidelity`` (``name``, ``low``, ``high``, ``whole``, or
            ``None`` where there is none to vary); one that declares ``objectives`` or ``constraints`` also with
            ``n_objectives`` or ``n_constraints``. What it returns has ``ask(n)``, a list of configurations
            (dictionaries of the active parameters) or of ``(configuration, fidelity)``, and ``tell(observations)``,
            which takes dictionaries with ``config``, ``value`` (``None`` unless ``state`` is ``"ok"``), ``state`` and
            ``fidelity``, and on a task with several objectives or with constraints ``values`` and ``constraints``.
        benchmark: Has ``describe(task)``, which returns a dictionary with ``space`` and ``direction`` (more in
            docs/how-to/external.md), and ``evaluate(task, config, seed, fidelity)``, which returns a number or a
            dictionary with ``value`` (of several objectives ``values``), ``constraints`` where the task has some, and,
            if known, ``cost_seconds``, ``info`` and ``curve`` (lists of one length; the first is the step, such as
            ``epoch``).
        version: Whatever else determines the results, such as a library's version: part of a cell's key.
    """
    requests, replies = _take_over_the_pipes()
    handlers = _Handlers(optimizer, benchmark, version)
    for line in requests:
        if not line.strip():
            continue
        request = json.loads(line)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            reply["result"] = handlers.answer(request["method"], request.get("params", {}))
        except Refused as error:
            reply["error"] = {"code": 1, "message": str(error)}
        except Exception as error:
            traceback.print_exc()
            reply["error"] = {"code": -32000, "message": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(_finite(reply), allow_nan=False) + "\n")
        replies.flush()


def _take_over_the_pipes() -> tuple[Any, Any]:
    """Copies of the pipes for the protocol; everything else that is printed goes to standard error."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout = sys.stderr
    return requests, replies


class _Handlers:
    def __init__(self, optimizer: Callable[..., Any] | None, benchmark: Any | None, version: str) -> None:
        self.make, self.benchmark, self.version = optimizer, benchmark, version
        self.optimizer: Any = None

    def answer(self, method: str, params: dict[str, Any]) -> Any:
        handler = getattr(self, "on_" + method, None)
        if handler is None:
            raise Refused(f"This worker has no method {method!r}.")
        return handler(**params)

    def on_initialize(self, protocol: int, kind: str) -> dict[str, Any]:
        if {"optimizer": self.make, "benchmark": self.benchmark}.get(kind) is None:
            raise Refused(f"This worker does not serve {kind}s.")
        return {"protocol": min(PROTOCOL, protocol), "version": self.version}

    def on_start(
        self, space: dict[str, Any], seed: int, n_trials: int, settings: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        assert self.make is not None
        random.seed(seed)  # for libraries that use the global generator; a worker may seed more
        self.optimizer = self.make(space=space, seed=seed, n_trials=n_trials, **more, **settings)
        return {}

    def on_ask(self, n: int) -> dict[str, Any]:
        asked = [one if isinstance(one, (tuple, list)) else (one, None) for one in self.optimizer.ask(n)]
        return {"suggestions": [{"config": config, "fidelity": fidelity} for config, fidelity in asked]}

    def on_tell(self, observations: list[dict[str, Any]]) -> dict[str, Any]:
        self.optimizer.tell(observations)
        return {}

    def on_describe(self, task: str) -> Any:
        assert self.benchmark is not None
        return self.benchmark.describe(task)

    def on_evaluate(self, task: str, config: dict[str, Any], seed: int, fidelity: dict[str, Any] | None) -> Any:
        assert self.benchmark is not None
        found = self.benchmark.evaluate(task, config, seed, fidelity)
        return found if isinstance(found, dict) else {"value": found}


def _finite(value: Any) -> Any:
    """The value for strict JSON: non-finite numbers become null, and NumPy's numbers become Python's."""
    if hasattr(value, "item") and not isinstance(value, (dict, list, tuple)):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


# Search spaces without ConfigSpace --------------------------------------------------------------------------------


def number(name: str, lower: float, upper: float, log: bool = False) -> dict[str, Any]:
    """A float parameter."""
    middle = math.sqrt(lower * upper) if log else (lower + upper) / 2
    return {
        "type": "uniform_float",
        "name": name,
        "lower": float(lower),
        "upper": float(upper),
        "log": log,
        "default_value": middle,
        "meta": None,
    }


def integer(name: str, lower: int, upper: int, log: bool = False) -> dict[str, Any]:
    """An integer parameter."""
    middle = number(name, lower, upper, log)["default_value"]
    return dict(number(name, 0.0, 1.0, log=False), type="uniform_int", lower=lower, upper=upper, log=log,
                default_value=round(middle))  # fmt: skip


def category(name: str, choices: list[Any]) -> dict[str, Any]:
    """A categorical parameter; its choices are texts, numbers or truth values."""
    return {
        "type": "categorical",
        "name": name,
        "choices": list(choices),
        "weights": None,
        "default_value": choices[0],
        "meta": None,
    }


def space(*parameters: dict[str, Any]) -> dict[str, Any]:
    """A search space in ConfigSpace's JSON; add conditions and clauses as its documentation describes them."""
    return {
        "name": None,
        "hyperparameters": list(parameters),
        "conditions": [],
        "forbiddens": [],
        "python_module_version": "1.2.0",
        "format_version": 0.4,
    }

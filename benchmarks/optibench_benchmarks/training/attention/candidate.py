"""Checks and trains an attention from a file in a separate process and writes the result as JSON.

``python -m optibench_benchmarks.training.attention.candidate REQUEST ANSWER``. ``REQUEST`` is a JSON object:
``program`` (a file with a ``mix``), ``task`` (whose space, text and sizes apply), ``seed``, ``config``, ``epochs`` (or
null) and ``what``: ``law`` fits a scaling law, ``train`` trains the task. ``ANSWER`` gets ``{"ok": true, ...}`` or
``{"ok": false, "error": ..., "reason": ...}``.

The caller sets the limits on time and memory, since only another process can enforce them.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.training.base import DivergedError

if TYPE_CHECKING:
    from optibench_benchmarks.training.attention.network import Mix


def load(program: Path) -> Mix:
    """The ``mix`` of a file.

    Raises:
        AttentionError: The file does not run, or has none.
    """
    from optibench_benchmarks.training.attention.network import AttentionError

    spec = importlib.util.spec_from_file_location("candidate", program)
    if spec is None or spec.loader is None:
        raise AttentionError(f"{program} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a candidate may raise anything
        raise AttentionError(f"The program does not run: {type(error).__name__}: {error}") from None
    mix: Mix | None = getattr(module, "mix", None)
    if not callable(mix):
        raise AttentionError("The program has no function `mix`.")
    return mix


def measure(request: Mapping[str, Any]) -> dict[str, Any]:
    """Check the program, then handle the request; every error of a candidate becomes an answer."""
    from optibench_benchmarks.training.attention.network import check_causal

    try:
        mix = load(Path(request["program"]))
        check_causal(mix)
        found = _law(mix, request) if request["what"] == "law" else _train(mix, request)
    except DivergedError as error:
        return {"ok": False, "reason": "diverged", "error": str(error)}
    except BenchmarkError as error:
        return {"ok": False, "reason": "contract", "error": str(error)}
    except Exception as error:  # a candidate may raise anything
        return {"ok": False, "reason": "raised", "error": f"{type(error).__name__}: {error}"}
    return {"ok": True} | found


def _law(mix: Mix, request: Mapping[str, Any]) -> dict[str, Any]:
    from optibench_benchmarks.training.attention import scaling
    from optibench_benchmarks.training.attention.tasks import NAMES

    _, _, suffix = NAMES[request["task"]]
    config = request["config"] or scaling.CONFIG
    return scaling.measure(mix, seed=request["seed"], config=config, epochs=request["epochs"], suffix=suffix).plain()


def _train(mix: Mix, request: Mapping[str, Any]) -> dict[str, Any]:
    from optibench_benchmarks.training.attention import scaling, tasks

    task = tasks.AttentionLM(request["task"])
    task.mix = mix
    fidelity = None if request["epochs"] is None else {"epochs": request["epochs"]}
    found = task.evaluate(request["config"] or scaling.CONFIG, seed=request["seed"], fidelity=fidelity)
    curve = {name: list(values) for name, values in found.curve.items()}
    return {"value": found.value, "info": dict(found.info), "curve": curve}


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one request; the exit status is 0 if there is an answer."""
    request, answer = map(Path, sys.argv[1:] if arguments is None else arguments)
    found = measure(json.loads(request.read_text(encoding="utf-8")))
    answer.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

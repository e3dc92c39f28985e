"""Measures a candidate's fitness in a process with limits on time and memory.

OpenEvolve can use this file as its evaluator: :func:`evaluate` gets a program's path and returns metrics,
``combined_score`` among them. It measures the scaling law of :mod:`optibench_benchmarks.training.attention.scaling`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optibench.executors.watchdog import POLL_SECONDS, resident
from optibench.external.process import kill
from optibench.studies.attention_search import program as programs
from optibench_benchmarks.data import ROOT_VARIABLE
from optibench_benchmarks.training.attention.tasks import FRAMEWORKS

FAILED = -1.0
"""The score of a candidate that failed: below every possible fitness."""
_HANDED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "LANG", "SYSTEMROOT", ROOT_VARIABLE)
"""The environment variables that a candidate gets; keys are not among them."""
_TAIL = 2000


@dataclass(frozen=True)
class Limits:
    """Limits of a candidate's process: seconds of wall-clock time, and bytes of resident memory."""

    seconds: float = 300.0
    memory: int = 2048 * 2**20


@dataclass(frozen=True)
class Answer:
    """The result of a candidate.

    Attributes:
        ok: Whether it could be measured.
        reason: If not, why: ``rules``, ``contract``, ``diverged``, ``raised``, ``timeout``, ``memory`` or ``died``.
        error: If not, the reason as a sentence.
        values: If so, the answer of the process.
        seconds: How long it took.
    """

    ok: bool
    reason: str = ""
    error: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def measure(request: Mapping[str, Any], limits: Limits) -> Answer:
    """Measure a program with :mod:`optibench_benchmarks.training.attention.candidate` in a separate process.

    Args:
        request: As described there.
        limits: The process is killed if it exceeds these.
    """
    environment = {name: os.environ[name] for name in _HANDED_ON if name in os.environ} | {"OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([entry for entry in sys.path if entry])
    with tempfile.TemporaryDirectory(prefix="optibench-evolve-") as folder:
        asked, answered, said = (Path(folder) / name for name in ("request.json", "answer.json", "output.txt"))
        asked.write_text(json.dumps({**request, "program": str(Path(request["program"]).resolve())}), encoding="utf-8")
        command = [sys.executable, "-m", "optibench_benchmarks.training.attention.candidate", str(asked), str(answered)]
        start = time.monotonic()
        with said.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stopped = _watch(process, limits, start)
        seconds = time.monotonic() - start
        if stopped is not None:
            return Answer(False, *stopped, seconds=seconds)
        try:
            found: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            tail = said.read_bytes()[-_TAIL:].decode("utf-8", "replace").strip().splitlines()
            text = f"The process ended with status {process.returncode} and no answer: {tail[-1] if tail else ''}"
            return Answer(False, "died", text.strip(), seconds=seconds)
    if not found.pop("ok", False):
        return Answer(False, str(found.get("reason", "raised")), str(found.get("error", "")), seconds=seconds)
    return Answer(True, values=found, seconds=seconds)


def _watch(process: subprocess.Popen[bytes], limits: Limits, start: float) -> tuple[str, str] | None:
    """Wait for the end, and kill the process if it exceeds a limit; returns which limit."""
    try:
        while process.poll() is None:
            if time.monotonic() - start > limits.seconds:
                return "timeout", f"Stopped at its limit of {limits.seconds:g} s."
            if resident(process.pid) > limits.memory:
                return "memory", f"Stopped at its limit of {limits.memory / 2**20:.0f} MiB of memory."
            time.sleep(POLL_SECONDS)
        return None
    finally:
        kill(process)
        process.wait()


def law(program: Path, framework: str, limits: Limits, *, epochs: int | None = None) -> Answer:
    """The scaling law of a program whose text has passed the rules."""
    request = {
        "what": "law",
        "program": str(program),
        "task": f"attention/{framework}-evolvable",
        "seed": 0,
        "config": None,
        "epochs": epochs,
    }
    return measure(request, limits)


def evaluate(program_path: str) -> dict[str, float]:
    """A program's metrics, for OpenEvolve: ``combined_score`` is the fitness, or :data:`FAILED`."""
    try:
        text = Path(program_path).read_text(encoding="utf-8")
        framework = programs.framework_of(text, FRAMEWORKS)
        programs.check(programs.parts(text)[1], longest=10**6)
    except programs.RuleError:
        return {"combined_score": FAILED, "valid": 0.0}
    found = law(Path(program_path), framework, Limits())
    if not found.ok:
        return {"combined_score": FAILED, "valid": 0.0}
    return {
        "combined_score": float(found.values["fitness"]),
        "valid": 1.0,
        "r2": float(found.values["r2"]),
        "loss": float(found.values["losses"][-1]),
    }

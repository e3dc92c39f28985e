"""What a result depends on: code, packages, machine, threads."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from optibench import threads
from optibench.files import write_atomically
from optibench.store.run_folder import TRAINING, Store
from optiformer import cores

PROVENANCE = "provenance.json"
DISTRIBUTION, MODEL = "optiformer-bench", "optiformer"
PACKAGES = ("optiformer", "optibench_benchmarks", "optibench_optimizers", "optibench_reports", "optibench")
"""The packages of the two distributions, ``optiformer-bench`` and ``optiformer``."""


def packages() -> dict[str, str]:
    """The bench's own versions and those of everything it depends on, by distribution (or ``missing``)."""
    names = {DISTRIBUTION, MODEL}
    for text in [*(requires(DISTRIBUTION) or []), *(requires(MODEL) or [])]:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": "train"}):
            names.add(_spelled(requirement.name))
    return {name: installed(name) for name in sorted(names, key=str.lower)}


def _spelled(name: str) -> str:
    """A distribution's name in its authors' spelling."""
    try:
        return str(distribution(name).metadata["Name"])
    except PackageNotFoundError:
        return name


def home(package: str) -> Path:
    """The folder that holds a package of the bench."""
    return Path(str(files(package))).resolve().parent


def installed(name: str) -> str:
    """A distribution's version, or ``missing``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def git_revision() -> str | None:
    """The bench's git revision, ``+dirty`` if the checkout has changes; ``None`` outside a checkout."""
    root = home("optibench").parent
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "HEAD")
        dirty = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+dirty" if dirty else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def cpu() -> str:
    """The processor's name."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def vector_instructions() -> str | None:
    """The widest vector instructions of an x86 processor; they decide how fast NumPy and torch are."""
    flags = _cpuinfo("flags").split()
    return next(
        (name for name, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2"), ("AVX", "avx")) if flag in flags), None
    )


def _cpuinfo(key: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""


def command(arguments: Sequence[str]) -> str:
    """The command line without ``--out``, so that published results do not show local paths."""
    kept, words = [], iter(arguments)
    for word in words:
        if word == "--out":
            next(words, None)
        elif not word.startswith("--out="):
            kept.append(word)
    return shlex.join(["optibench", *kept])


def describe(executor: str, jobs: int | None, command: str) -> dict[str, Any]:
    """Everything about this run that is not in the plan.

    Data is identified in ``tasks.json``: by a checksum of its files, or by the version of its package or generator.

    Args:
        executor, jobs: The executor and its number of workers.
        command: The command line (:func:`command`), or ``Python``.

    Returns:
        The record; its ``id`` is the value of the column ``run`` of its trials.
    """
    found = {
        "started_at": round(time.time(), 3),
        "command": command,
        "git_revision": git_revision(),
        "packages": packages(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "vector_instructions": vector_instructions(),
        "cores": os.cpu_count(),
        "usable_cores": cores.usable(),
        "executor": executor,
        "jobs": jobs,
        "threads": {variable: os.environ.get(variable) for variable in threads.VARIABLES},
    }
    return {"id": hashlib.sha256(json.dumps([found, os.getpid()]).encode()).hexdigest()[:8], **found}


def record(store: Store, run: dict[str, Any]) -> None:
    """Add a run (the first one or a resumed one) to the folder's ``provenance.json``; a damaged one is set aside."""
    if _parsed(store) is None:
        store.set_aside_file(PROVENANCE)
    found = {"runs": [*read(store)["runs"], run]}
    write_atomically(store.folder / PROVENANCE, json.dumps(found, indent=1).encode())


def read(store: Store) -> dict[str, Any]:
    """The folder's ``provenance.json``: ``{"runs": [...]}``, empty if there is none or it is damaged."""
    return _parsed(store) or {"runs": []}


def _parsed(store: Store) -> dict[str, Any] | None:
    """The same; ``None`` if it cannot be read."""
    try:
        found: dict[str, Any] = json.loads((store.folder / PROVENANCE).read_text(encoding="utf-8"))
        return found if isinstance(found.get("runs"), list) else None
    except (OSError, ValueError, AttributeError):
        return None


def training(store: Store) -> dict[str, Any]:
    """The costs of the training phases of the grid's optimizers, by optimizer; empty if there were none."""
    try:
        found: dict[str, Any] = json.loads((store.folder / TRAINING).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return {}

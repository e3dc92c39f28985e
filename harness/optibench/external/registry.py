"""The external optimizers and benchmarks of this process, and those stored in a run folder."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from optibench.errors import HarnessError
from optibench.external import trust
from optibench.external.definitions import VARIABLE, External, load
from optibench.paths import expanded

if TYPE_CHECKING:
    from optibench_benchmarks import Family
    from optibench_optimizers import Entry

_registered: dict[tuple[str, str], External] = {}


def register(found: Iterable[External]) -> None:
    """Add external optimizers and benchmarks to the registries of this process.

    Raises:
        OptimizerError, BenchmarkError: A name is taken or invalid.
    """
    import optibench_benchmarks
    import optibench_optimizers
    from optibench.external.benchmark import ExternalFamily
    from optibench.external.optimizer import ExternalEntry

    for external in found:
        key = (external.kind, external.name)
        if _registered.get(key) == external:
            continue
        if external.kind == "optimizer":
            optibench_optimizers.entries()  # the others first, so that a collision names the external one
            optibench_optimizers.register(ExternalEntry.of(external))
        else:
            optibench_benchmarks.families()
            optibench_benchmarks.register(ExternalFamily.of(external))
        _registered[key] = external


@functools.cache
def _load_variable(value: str) -> None:
    for path in filter(None, value.split(os.pathsep)):
        register(load(expanded(path)))


def is_external(entry: Entry | Family) -> bool:
    """Whether an entry of a registry is an external process."""
    return hasattr(entry, "external")


def registered() -> list[External]:
    """All registered external definitions, including those that ``OPTIBENCH_EXTERNAL`` names."""
    _load_variable(os.environ.get(VARIABLE, ""))
    return list(_registered.values())


RECORD = "external.json"
"""The file in a run folder with the definitions of its external optimizers and tasks."""


def record(folder: Path, optimizers: Iterable[str], families: Iterable[str]) -> None:
    """Store the definitions of these names in a run folder, so that the folder alone is enough to resume the run.

    The file is readable by its owner only, and is written atomically.
    """
    names = {*(("optimizer", name) for name in optimizers), *(("benchmark", name) for name in families)}
    used = [external.plain() for external in registered() if (external.kind, external.name) in names]
    if used:
        trust.remember(map(External.of, used))
        part = folder / f"{RECORD}.{os.getpid()}.tmp"
        try:
            part.unlink(missing_ok=True)  # left by a killed process with the same process number
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(used, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            part.replace(folder / RECORD)
        except OSError as error:
            raise HarnessError(
                f"Cannot write {folder / RECORD}: {error.strerror}; fix this, then rerun the same command."
            ) from error
        finally:
            part.unlink(missing_ok=True)


def recall(folder: Path, *, allowed: bool = False) -> None:
    """Register the definitions that :func:`record` stored, unless a definition of that name is already registered.

    Args:
        folder: The run folder.
        allowed: Whether to run commands that this user has not run before; otherwise the user is asked.

    Raises:
        HarnessError: The file is damaged, or its commands are not allowed.
    """
    path = folder / RECORD
    if not path.is_file():
        return
    registered()
    try:
        found = [External.of(plain) for plain in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else "is damaged"
        raise HarnessError(f"{path} {what}: give the definitions again with {VARIABLE} or the grid file.") from error
    found = [external for external in found if (external.kind, external.name) not in _registered]
    trust.confirm(found, folder, allowed=allowed)
    register(found)

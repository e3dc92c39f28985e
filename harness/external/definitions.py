"""Which external optimizers and benchmarks there are: read from YAML, registered beside the others.

A definition is a mapping with a command and time limits, in a file of its own that the environment variable
``OPTIBENCH_EXTERNAL`` names, or under ``external:`` of a grid file:

    optimizers:
      hebo:
        command: [venv/bin/python, hebo_worker.py]
        seconds: 120
    benchmarks:
      pinned:
        command: [other-venv/bin/python, yahpo_worker.py]
        tasks: [lcbench/3945, lcbench/189906]

Relative paths in a command are relative to the file's folder, where the worker is started too.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.errors import HarnessError
from harness.external import trust
from harness.paths import expanded, expanded_text

if TYPE_CHECKING:
    from benchmarks import Family
    from optimizers import Entry

VARIABLE = "OPTIBENCH_EXTERNAL"


class ExternalError(HarnessError):
    """A definition is wrong; the message says what, where and how to mend it."""


@dataclass(frozen=True)
class External:
    """One external optimizer or benchmark.

    Attributes:
        kind: ``optimizer`` | ``benchmark``.
        name: The optimizer's name, or the first part of the benchmarks' names.
        command: The program and its arguments.
        folder: Where it is started.
        seconds: How long it may take to answer a message.
        start_seconds: How long it may take to start: imports, and an optimizer's set-up or a task's description.
        summary: One line for ``optibench list``.
        settings: An optimizer's settings and their defaults (``name:key=value``), sent to the worker.
        tasks: A benchmark's tasks, without the name.
        environment: Variables for the worker.
        batch, multi_fidelity, conditional: An optimizer's capabilities; see :class:`optimizers.Capabilities`.
    """

    kind: str
    name: str
    command: tuple[str, ...]
    folder: str
    seconds: float = 60.0
    start_seconds: float = 120.0
    summary: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    batch: bool = False
    multi_fidelity: bool = False
    conditional: str = "native"

    def __post_init__(self) -> None:
        words = (self.kind, self.name, self.folder, self.summary, *self.command, *self.tasks)
        if not self.command or not all(isinstance(word, str) for word in words):
            raise TypeError("a definition has a command, and texts are texts")
        if not all(isinstance(mapping, Mapping) for mapping in (self.settings, self.environment)):
            raise TypeError("settings and variables are mappings")
        if not all(isinstance(seconds, int | float) for seconds in (self.seconds, self.start_seconds)):
            raise TypeError("limits are numbers")

    def plain(self) -> dict[str, Any]:
        """The definition as JSON can hold it; :meth:`of` reads it."""
        return {**asdict(self), "command": list(self.command), "tasks": list(self.tasks)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> External:
        """The definition that :meth:`plain` wrote."""
        return cls(**{**plain, "command": tuple(plain["command"]), "tasks": tuple(plain["tasks"])})

    def files(self) -> list[Path]:
        """The files that the command names."""
        return [path for word in self.command[1:] if (path := Path(self.folder, word)).is_file()]

    def sources(self) -> str:
        """A hash of the files that the command names (its program apart): part of a cell's key."""
        digest = hashlib.sha256()
        for word in self.command[1:]:
            path = Path(self.folder, word)
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()[:12]


_KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "command": (list, "a list of words, the program first"),
    "seconds": ((int, float), "a number of seconds above 0"),
    "start_seconds": ((int, float), "a number of seconds above 0"),
    "summary": (str, "one line of text"),
    "settings": (dict, "a mapping of settings to their defaults"),
    "tasks": (list, "a list of task names"),
    "environment": (dict, "a mapping of variables, names without `=`, to texts or whole numbers, nothing with NUL"),
    "batch": (bool, "true or false"),
    "multi_fidelity": (bool, "true or false"),
    "conditional": (str, "`native`, or one sentence on what becomes of conditional parameters"),
}
_ONLY = {
    "optimizer": {"settings", "batch", "multi_fidelity", "conditional"},
    "benchmark": {"tasks"},
}


def parse(values: Any, where: str, folder: Path) -> list[External]:
    """Check what a file says and make definitions of it.

    Args:
        values: The parsed YAML: a mapping with ``optimizers`` and ``benchmarks``, each a mapping of names.
        where: What error messages call the place.
        folder: What relative paths are relative to.

    Raises:
        ExternalError: It is malformed.
    """
    if not isinstance(values, Mapping) or not set(values) <= {"optimizers", "benchmarks"}:
        raise ExternalError(f"{where}: external definitions are a mapping with `optimizers:` and `benchmarks:`.")
    found = []
    for section, items in values.items():
        if not isinstance(items, Mapping):
            raise ExternalError(f"{where}: `{section}:` is a mapping of names to definitions, not {items!r}.")
        found += [_parse_one(section[:-1], str(name), item, where, folder) for name, item in items.items()]
    return found


def _parse_one(kind: str, name: str, item: Any, where: str, folder: Path) -> External:
    where = f"{where}: external {kind} {name!r}"
    if not isinstance(item, Mapping) or not item.get("command"):
        raise ExternalError(f"{where} needs a `command:`, a list of words with the program first.")
    known = [key for key in _KEYS if all(key not in keys for other, keys in _ONLY.items() if other != kind)]
    for key, value in item.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(known)}."
            raise ExternalError(f"{where} has an unknown key {key!r}; {hint}")
        wanted, words = _KEYS[key]
        good = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
        if good and key in ("seconds", "start_seconds"):
            good = 0 < value < float("inf")
        if good and key in ("command", "tasks"):
            good = bool(value) and all(isinstance(word, str) and word and "\0" not in word for word in value)
        if good and key == "environment":
            good = all(_is_variable(name, text) for name, text in value.items())
        if not good:
            raise ExternalError(f"{where}: `{key}` is {words}, not {value!r}.")
    if kind == "benchmark" and not item.get("tasks"):
        raise ExternalError(f"{where} needs `tasks:`, the names that follow {name}/.")
    if kind == "optimizer" and any(not str(key).isidentifier() for key in item.get("settings", {})):
        raise ExternalError(f"{where}: `settings` are named with letters, digits and underscores.")
    given = {**item, "command": tuple(map(expanded_text, item["command"])), "tasks": tuple(item.get("tasks", ()))}
    if "environment" in item:
        given["environment"] = {key: str(value) for key, value in item["environment"].items()}
    return External(kind=kind, name=name, folder=str(folder.resolve()), **given)


def _is_variable(name: Any, value: Any) -> bool:
    """Whether the system takes it for a variable, and YAML left its text as it was: `yes` and `1e3` it does not."""
    if not isinstance(name, str) or not name or set("=\0") & set(name) or isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and "\0" not in value)


def load(path: Path) -> list[External]:
    """Read a file of definitions.

    Raises:
        ExternalError: It is missing or malformed.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ExternalError(f"Cannot read the external definitions {path}: {reason}; mend {VARIABLE}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise ExternalError(
            f"{path}{line}: malformed YAML ({getattr(error, 'problem', None) or 'not YAML'})."
        ) from error
    return parse(values, str(path), path.parent)


_registered: dict[tuple[str, str], External] = {}


def register(found: Iterable[External]) -> None:
    """Make external optimizers and benchmarks known to the registries of this process.

    Raises:
        OptimizerError, BenchmarkError: A name is taken, or is none.
    """
    import benchmarks
    import optimizers
    from harness.external.benchmark import ExternalFamily
    from harness.external.optimizer import ExternalEntry

    for external in found:
        key = (external.kind, external.name)
        if _registered.get(key) == external:
            continue
        if external.kind == "optimizer":
            optimizers.entries()  # ours and plug-ins' first, so that they are not what collides
            optimizers.register(ExternalEntry.of(external))
        else:
            benchmarks.families()
            benchmarks.register(ExternalFamily.of(external))
        _registered[key] = external


@functools.cache
def _load_variable(value: str) -> None:
    for path in filter(None, value.split(os.pathsep)):
        register(load(expanded(path)))


def is_external(entry: Entry | Family) -> bool:
    """Whether an entry of a registry stands for a process of its own."""
    return hasattr(entry, "external")


def registered() -> list[External]:
    """Every external definition that is registered here, after those that ``OPTIBENCH_EXTERNAL`` names."""
    _load_variable(os.environ.get(VARIABLE, ""))
    return list(_registered.values())


RECORD = "external.json"
"""The file in a run folder that holds the definitions behind its optimizers and tasks."""


def record(folder: Path, resolved: Mapping[str, Any]) -> None:
    """Keep the definitions that a resolved grid uses, so that its folder alone is enough to resume it."""
    names = {("optimizer", one["name"]) for one in resolved["optimizers"].values()}
    names |= {("benchmark", task.partition("/")[0]) for task in resolved["tasks"]}
    used = [external.plain() for external in registered() if (external.kind, external.name) in names]
    if used:
        trust.remember(map(External.of, used))
        (folder / RECORD).write_text(json.dumps(used, indent=1), encoding="utf-8")


def recall(folder: Path, *, allowed: bool = False) -> None:
    """Register the definitions that :func:`record` kept; ones that are registered already win.

    Args:
        folder: The run folder.
        allowed: Whether commands are run that this user has not run before; otherwise they are asked about.

    Raises:
        ExternalError: The file is damaged.
        HarnessError: Its commands are not allowed.
    """
    path = folder / RECORD
    if not path.is_file():
        return
    registered()
    try:
        found = [External.of(plain) for plain in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise ExternalError(
            f"{path} is damaged: name the definitions again with {VARIABLE} or the grid file."
        ) from error
    found = [external for external in found if (external.kind, external.name) not in _registered]
    trust.confirm(found, folder, allowed=allowed)
    register(found)

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
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from optibench.errors import HarnessError
from optibench.external import sources
from optibench.paths import expanded_text

VARIABLE = "OPTIBENCH_EXTERNAL"


class ExternalError(HarnessError):
    """A definition is wrong; the message says what, where and how to fix it."""


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
        environment: Names of variables that the worker needs; it gets their values from the process that starts it.
        batch, multi_fidelity, conditional: An optimizer's capabilities; see :class:`optibench_optimizers.Capabilities`.
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
    environment: tuple[str, ...] = ()
    batch: bool = False
    multi_fidelity: bool = False
    conditional: str = "native"

    def __post_init__(self) -> None:
        words = (self.kind, self.name, self.folder, self.summary, *self.command, *self.tasks, *self.environment)
        if not self.command or not all(isinstance(word, str) for word in words):
            raise TypeError("a definition has a command, and texts are texts")
        if not isinstance(self.settings, Mapping):
            raise TypeError("settings are a mapping")
        if not all(isinstance(seconds, int | float) for seconds in (self.seconds, self.start_seconds)):
            raise TypeError("limits are numbers")

    def plain(self) -> dict[str, Any]:
        """The definition as JSON can hold it; :meth:`of` reads it."""
        return {**asdict(self), **{key: list(getattr(self, key)) for key in _LISTS}}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> External:
        """The definition that :meth:`plain` wrote; of variables that once stood there with values the names count."""
        return cls(**{**plain, **{key: tuple(plain.get(key, ())) for key in _LISTS}})

    def files(self) -> list[Path]:
        """The files whose content matters: those that the command names, and the sources beside its script."""
        return sources.with_helpers(self.command, Path(self.folder))

    def variables(self) -> dict[str, str]:
        """The variables that the worker needs, with their values here.

        Raises:
            ExternalError: One is not set.
        """
        missing = [name for name in self.environment if name not in os.environ]
        if missing:
            raise ExternalError(
                f"External {self.kind} {self.name!r} needs the variable{'s' * (len(missing) > 1)} "
                f"{', '.join(missing)}, not set here: `export {missing[0]}=...`, then run the same command again."
            )
        return {name: os.environ[name] for name in self.environment}


_LISTS = ("command", "tasks", "environment")
_KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "command": (list, "a list of words, the program first"),
    "seconds": ((int, float), "a number of seconds above 0"),
    "start_seconds": ((int, float), "a number of seconds above 0"),
    "summary": (str, "one line of text"),
    "settings": (dict, "a mapping of settings to their defaults"),
    "tasks": (list, "a list of task names"),
    "environment": (list, "a list of names of variables"),
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
            raise ExternalError(f"{where}: `{section}:` is a mapping of names to definitions.")
        found += [_parse_one(section[:-1], str(name), item, where, folder) for name, item in items.items()]
    return found


def _parse_one(kind: str, name: str, item: Any, where: str, folder: Path) -> External:
    where = f"{where}: external {kind} {name!r}"
    if not isinstance(item, Mapping) or not item.get("command"):
        raise ExternalError(f"{where} needs a `command:`, a list of words with the program first.")
    known = [key for key in _KEYS if all(key not in keys for other, keys in _ONLY.items() if other != kind)]
    for key, value in item.items():
        if key == "environment":
            _refuse_values(value, where)
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
        if not good:
            raise ExternalError(f"{where}: `{key}` is {words}, not {value!r}.")
    if kind == "benchmark" and not item.get("tasks"):
        raise ExternalError(f"{where} needs `tasks:`, the names that follow {name}/.")
    if kind == "optimizer" and any(not str(key).isidentifier() for key in item.get("settings", {})):
        raise ExternalError(f"{where}: `settings` are named with letters, digits and underscores.")
    given = {**item, **{key: tuple(item.get(key, ())) for key in _LISTS}}
    given["command"] = tuple(map(expanded_text, item["command"]))
    return External(kind=kind, name=name, folder=str(folder.resolve()), **given)


def _refuse_values(listed: Any, where: str) -> None:
    """Refuse variables with values, and never show one: a definition is stored, sent to workers and shown.

    Raises:
        ExternalError: It is not a list of names.
    """
    items = listed if isinstance(listed, list) else [listed]
    if isinstance(listed, list) and all(map(_is_variable, items)):
        return
    found = [name for item in items for name in (item if isinstance(item, Mapping) else [item])]
    names = [name.partition("=")[0] if isinstance(name, str) else name for name in found]
    first = next(filter(_is_variable, names), "NAME") if isinstance(listed, list | Mapping) else "NAME"
    raise ExternalError(
        f"{where}: `environment` lists names of variables, never their values: write `environment: [{first}]` and "
        f"`export {first}=...` in the shell that runs optibench."
    )


def _is_variable(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier()


def load(path: Path) -> list[External]:
    """Read a file of definitions.

    Raises:
        ExternalError: It is missing or malformed.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ExternalError(f"Cannot read the external definitions {path}: {reason}; fix {VARIABLE}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise ExternalError(
            f"{path}{line}: malformed YAML ({getattr(error, 'problem', None) or 'not YAML'})."
        ) from error
    return parse(values, str(path), path.parent)

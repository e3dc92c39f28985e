"""Definitions of external optimizers and benchmarks, read from YAML.

A definition is a mapping with a command and time limits. It is in a file that the environment variable
``OPTIBENCH_EXTERNAL`` names, or under ``external:`` in a grid file:

    optimizers:
      hebo:
        command: [venv/bin/python, hebo_worker.py]
        seconds: 120
    benchmarks:
      pinned:
        command: [other-venv/bin/python, yahpo_worker.py]
        tasks: [lcbench/3945, lcbench/189906]

Relative paths in a command are relative to the file's folder, in which the worker is started.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from optibench.errors import HarnessError
from optibench.external import sources
from optibench.options import Form, Option, Options, as_written, declared
from optibench.paths import expanded_text
from optibench.yaml_file import Source, read_yaml

VARIABLE = "OPTIBENCH_EXTERNAL"
Kind = Literal["optimizer", "benchmark"]
_Words = tuple[str, ...]
_WORDS = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]


def _read_words(written: list[str]) -> _Words:
    if any("\0" in word for word in written):
        raise ValueError
    return tuple(written)


def _read_seconds(written: float) -> float:
    if not written < math.inf:
        raise ValueError
    return written


def _read_settings(written: dict[str, Any]) -> dict[str, Any]:
    if not all(key.isidentifier() for key in written):
        raise HarnessError("names of `settings` consist of letters, digits and underscores.")
    return written


def _read_variables(listed: Any) -> _Words:
    """Reject variables with values, and never show values: definitions are stored, sent and printed."""
    items = listed if isinstance(listed, list) else [listed]
    if isinstance(listed, list) and all(map(_is_variable, items)):
        return tuple(items)
    found = [name for item in items for name in (item if isinstance(item, Mapping) else [item])]
    names = [name.partition("=")[0] if isinstance(name, str) else name for name in found]
    first = next(filter(_is_variable, names), "NAME") if isinstance(listed, list | Mapping) else "NAME"
    raise HarnessError(
        f"`environment` lists names of variables, never their values: write `environment: [{first}]` and "
        f"`export {first}=...` in the shell that runs optibench."
    )


def _is_variable(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier()


_COMMAND = Form(
    "a list of words, the program first", _WORDS, lambda written: tuple(map(expanded_text, _read_words(written)))
)
_SECONDS = Form("a number of seconds above 0", Annotated[float, Meta(gt=0)], _read_seconds)
_SETTINGS = Form("a mapping of settings to their defaults", dict[str, Any], _read_settings)
_VARIABLES = Form("a list of names of variables", Any, _read_variables, lambda: _WORDS)
_TASKS = Form("a list of task names", _WORDS, _read_words)
_SENTENCE = Form("`native`, or one sentence on how it treats conditional parameters", str)


class External(msgspec.Struct, frozen=True):
    """One external optimizer or benchmark: its ``kind``, its name (of a benchmark, the first part of its tasks' names),
    the folder it is started in, and the options of its definition.
    """

    kind: Kind
    name: str
    command: Annotated[_Words, Meta(min_length=1), _COMMAND, Option("the program and its arguments")]
    folder: str
    seconds: Annotated[float, _SECONDS, Option("how long it may take to answer a message")] = 60.0
    start_seconds: Annotated[
        float, _SECONDS, Option("how long it may take to start, an optimizer's set-up or a task's description included")
    ] = 120.0
    summary: Annotated[str, Form("one line of text", str), Option("one line for `optibench list`")] = ""
    settings: Annotated[
        Mapping[str, Any], _SETTINGS, Option("its settings (name:key=value) and their defaults")
    ] = {}  # msgspec copies it
    tasks: Annotated[_Words, _TASKS, Option("its tasks, without its name")] = ()
    environment: Annotated[
        _Words,
        _VARIABLES,
        Option("names of variables that it needs; it gets their values from the shell's environment"),
    ] = ()
    batch: Annotated[bool, Option("whether it can propose several configurations at a time")] = False
    multi_fidelity: Annotated[bool, Option("whether it chooses fidelities")] = False
    objectives: Annotated[bool, Option("whether it takes several objectives")] = False
    constraints: Annotated[bool, Option("whether it takes constraints")] = False
    conditional: Annotated[str, _SENTENCE, Option("how it treats conditional parameters")] = "native"

    def plain(self) -> dict[str, Any]:
        """The definition as JSON values; :meth:`of` reads it."""
        found: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(self)))
        return found

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> External:
        """Read what :meth:`plain` wrote; an earlier version wrote variables with values, which are dropped."""
        return msgspec.convert({**plain, "environment": list(plain.get("environment", ()))}, cls)

    def files(self) -> list[Path]:
        """The files whose content matters: those named in the command, and the sources beside its script."""
        return sources.with_helpers(self.command, Path(self.folder))

    def variables(self) -> dict[str, str]:
        """The variables that the worker needs, with their current values.

        Raises:
            HarnessError: One is not set.
        """
        missing = [name for name in self.environment if name not in os.environ]
        if missing:
            raise HarnessError(
                f"External {self.kind} {self.name!r} needs the variable{'s' * (len(missing) > 1)} "
                f"{', '.join(missing)}, not set here: `export {missing[0]}=...`, then rerun the same command."
            )
        return {name: os.environ[name] for name in self.environment}


_ONLY = {
    "optimizer": {"settings", "batch", "multi_fidelity", "objectives", "constraints", "conditional"},
    "benchmark": {"tasks"},
}
SECTIONS = tuple(f"{kind}s" for kind in get_args(Kind))


def known(kind: str) -> Options:
    """The options of a definition of a kind."""
    others = {key for other, keys in _ONLY.items() if other != kind for key in keys}
    return {key: one for key, one in declared(External).items() if key not in others}


def written() -> Any:
    """The type of a file of definitions."""
    fields: list[Any] = [
        (f"{kind}s", GenericAlias(dict, (str, as_written(kind, known(kind)))), msgspec.field(default_factory=dict))
        for kind in get_args(Kind)
    ]
    return msgspec.defstruct("external", fields, forbid_unknown_fields=True)


def parse(values: Any, where: str, folder: Path) -> list[External]:
    """Check definitions that are not from a file; see :func:`read`.

    Args:
        values: A mapping with ``optimizers`` and ``benchmarks``, each a mapping of names.
        where: Where they were given, for error messages.
        folder: The folder for relative paths.

    Raises:
        HarnessError: It is malformed.
    """
    return read(Source.of(values, where), folder)


def read(source: Source, folder: Path, *keys: str) -> list[External]:
    """The definitions in the mapping at ``keys``.

    Raises:
        HarnessError: They are malformed.
    """
    sections = source.at(*keys)
    if not isinstance(sections, Mapping) or not set(sections) <= set(SECTIONS):
        where = source.where(*keys)
        raise HarnessError(f"{where}: external definitions are a mapping with `optimizers:` and `benchmarks:`.")
    found = []
    for section, items in sections.items():
        if not isinstance(items, Mapping):
            raise HarnessError(f"{source.where(*keys, section)}: `{section}:` is a mapping of names to definitions.")
        found += [_read_one(source, section[:-1], name, folder, *keys, section, name) for name in items]
    return found


def _read_one(source: Source, kind: Any, name: Any, folder: Path, *keys: Any) -> External:
    what = f"external {kind} {str(name)!r}"
    item = source.at(*keys)
    if not isinstance(item, Mapping) or not item.get("command"):
        raise HarnessError(f"{source.where(*keys)}: {what} needs a `command:`, a list of words with the program first.")
    values = source.read(known(kind), *keys, what=what)
    if kind == "benchmark" and not values.get("tasks"):
        raise HarnessError(f"{source.where(*keys)}: {what} needs `tasks:`, the names that follow {name}/.")
    return External(kind=kind, name=str(name), folder=str(folder.resolve()), **values)


def load(path: Path) -> list[External]:
    """Read a file of definitions.

    Raises:
        HarnessError: It is missing or malformed.
    """
    return read(read_yaml(str(path), "external definitions", SECTIONS, cure=f"fix {VARIABLE}"), path.parent)

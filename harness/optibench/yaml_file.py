"""YAML files that hold one mapping of options, and the line of each value."""

from __future__ import annotations

import difflib
import functools
import operator
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from optibench.errors import HarnessError
from optibench.options import Options, unknown
from optibench.paths import expanded_text

T = TypeVar("T")


class Source:
    """Options as they were given, each with its place for error messages.

    Args:
        path: The file; empty if there is none.
        values: Its content.
        lines: The line of each key and item, by the path of keys to it.

    ``place`` is the place in error messages of values without a line.
    """

    def __init__(self, path: str, values: Any, lines: Mapping[tuple[Any, ...], int]) -> None:
        self.path, self.values, self.lines = path, values, dict(lines)
        self.place = path

    @classmethod
    def of(cls, values: Any, place: str) -> Source:
        """Values that are not from a file."""
        found = cls("", values, {})
        found.place = place
        return found

    def where(self, *keys: Any) -> str:
        """``grid.yaml:7``: the line of a value, or of the mapping or list that contains it."""
        found = (self.lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in self.lines)
        return f"{self.path}:{line}" if (line := next(found, None)) else self.place

    def override(self, values: Mapping[str, Any], known: Options, place: str) -> None:
        """Override values with those given at another place; ``None`` means not given."""
        self.place = place
        for key, value in values.items():
            if key not in known:
                raise HarnessError(f"{place}: {unknown(key, known)}")
            if value is not None:
                self.values[key] = value
                self.lines = {keys: line for keys, line in self.lines.items() if keys[0] != key}

    def refuse_unknown(self, known: Collection[str], *keys: Any, what: str = "") -> None:
        """Reject unknown keys in the mapping at ``keys``; the message begins with ``what``."""
        for key in self.at(*keys):
            if key not in known:
                raise HarnessError(f"{self.where(*keys, str(key))}: {what}{unknown(key, known)}")

    def at(self, *keys: Any) -> Any:
        """The value at ``keys``."""
        return functools.reduce(operator.getitem, keys, self.values)

    def read(self, known: Options, *keys: Any, what: str = "") -> dict[str, Any]:
        """The options in the mapping at ``keys``, as values; error messages contain ``what``.

        Raises:
            HarnessError: A key is unknown, or a value is wrong.
        """
        what = f"{what}: " if what else ""
        self.refuse_unknown(known, *keys, what=what)
        found = {}
        for key, value in self.at(*keys).items():
            where = self.where(*keys, key)
            found[key] = known[key].value(value, f"{where}: {what}".removesuffix(": "))
        return found

    def decode(self, kind: type[T]) -> T:
        """The whole content as a typed value, whose fields are stored as they are written.

        Raises:
            HarnessError: It does not have the type.
        """
        try:
            return msgspec.convert(self.values, kind)
        except msgspec.ValidationError as error:
            problem, _, place = str(error).replace(" - at `key` in `$", " as a key - at `$").partition(" - at `$")
            place, item, _ = place.partition("[...]")
            keys = [int(item) if item else name for name, item in re.findall(r"\.([^.\[`]+)|\[(\d+)\]", place)]
            if item and len(keys) == 1:  # the error does not say which item of a mapping: the one that fails alone
                items = self.at(*keys)
                for key in items if len(items) > 1 else ():
                    Source(self.path, {**self.values, keys[0]: {key: items[key]}}, self.lines).decode(kind)
                keys += items
            field = re.search(r"unknown field `(.*)`", problem)
            where = self.where(*keys, *(field.groups() if field else ()))
            inside = f"`{'.'.join(map(str, keys))}`: " if keys else ""
            raise HarnessError(f"{where}: {inside}{problem[0].lower()}{problem[1:]}.") from None


def by_name(folder: Path) -> dict[str, Path]:
    """The YAML files in a folder, by their names."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_yaml(
    path: str, noun: str, known: Collection[str], files: Mapping[str, Path] | None = None, *, cure: str = ""
) -> Source:
    """Read a YAML file that holds one mapping.

    Args:
        path: The file, or a name among ``files``.
        noun: What it contains.
        known: The allowed keys.
        files: The shipped files.
        cure: What to do if it cannot be read; by default, the shipped files are listed.

    Raises:
        HarnessError: The file is missing or malformed, or a key is unknown or repeated; the message gives the line.
    """
    import yaml  # not for help texts

    files = files or {}
    path = path if path in files else expanded_text(path)
    try:
        content = files.get(path, Path(path)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        close = difflib.get_close_matches(path, files, n=1)
        cure = cure or (f"did you mean {close[0]}?" if close else f"give a YAML file or one of: {', '.join(files)}")
        cure = cure if cure.endswith("?") else f"{cure}."
        raise HarnessError(f"Cannot read the {noun} {path}: {reason}; {cure}") from error
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        values = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an invalid date
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise HarnessError(f"{path}{line}: malformed YAML ({problem}).") from error
    if not isinstance(values, dict):
        raise HarnessError(f"{path}: a {noun} is a mapping with the keys {', '.join(known)}; this file is not one.")
    lines: dict[tuple[Any, ...], int] = {}
    _note_lines(path, node, (), lines, set())
    source = Source(path, values, lines)
    source.refuse_unknown(known)
    return source


def _note_lines(path: str, node: Any, keys: tuple[Any, ...], lines: dict[tuple[Any, ...], int], seen: set[int]) -> None:
    """Record the lines of everything in a node; what an alias repeats has the line of its first place."""
    import yaml

    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*keys, index] = item.start_mark.line + 1
            _note_lines(path, item, (*keys, index), lines, seen)
        return
    for name, value in node.value:
        key, line = (*keys, str(name.value)), name.start_mark.line + 1
        if key in lines:
            raise HarnessError(f"{path}:{line}: key {key[-1]!r} is repeated (first on line {lines[key]}).")
        lines[key] = line
        _note_lines(path, value, key, lines, seen)

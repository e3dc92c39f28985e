"""YAML files that hold one mapping with known keys, and the line that each stands on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from optibench.errors import HarnessError
from optibench.paths import expanded_text


@dataclass
class Source:
    """A YAML file's values and the line each key stands on."""

    path: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def where(self, key: str) -> str:
        return f"{self.path}, line {self.lines[key]}" if key in self.lines else "The command line"


def read_mapping(path: str, noun: str, keys: Sequence[str], files: Mapping[str, Path]) -> Source:
    """Read a YAML file that holds one mapping with known keys; ``path`` may be a name among ``files``.

    Raises:
        HarnessError: The file is missing or malformed, or a key is unknown or stands twice; with the line.
    """
    path = path if path in files else expanded_text(path)
    file = files.get(path, Path(path))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(files)
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise HarnessError(f"Cannot read the {noun} {path}: {reason}; give a YAML file or one of: {names}.") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise HarnessError(f"{path}{line}: malformed YAML ({problem}).") from error
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise HarnessError(f"{path}: a {noun} is a mapping with the keys {', '.join(keys)}; this file is not one.")
    lines: dict[str, int] = {}
    for key_node, _ in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key not in keys:
            close = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(keys)}."
            raise HarnessError(f"{path}, line {line}: unknown key {key!r}; {hint}")
        if key in lines:
            raise HarnessError(f"{path}, line {line}: key {key!r} stands twice (first on line {lines[key]}).")
        lines[key] = line
    return Source(path, values, lines)

"""Finds the files that an external command consists of, from the words of the command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Suffixes of scripts; files beside a script with the same suffix count as its helpers.
SCRIPTS = frozenset({".py", ".r", ".jl", ".js", ".mjs", ".ts", ".rb", ".pl", ".sh", ".lua", ".m"})


def named(command: Sequence[str], folder: Path) -> list[Path]:
    """The files that the words of a command name; the program counts only if it is the user's, not an interpreter.

    A program is the user's if its path is relative or in the folder, and not in a virtual environment.
    """
    program = Path(os.path.normpath(folder / command[0]))
    relative = not Path(command[0]).is_absolute()
    own = "/" in command[0] and (relative or program.is_relative_to(folder)) and not _in_environment(program)
    words = command if own else command[1:]
    return [path for path in (Path(folder, word) for word in words) if path.is_file()]


def with_helpers(command: Sequence[str], folder: Path) -> list[Path]:
    """:func:`named`, and the other source files of the script's folder if it is in the definition's folder.

    Subfolders count if they contain such files; virtual environments and hidden folders do not count.
    """
    found = named(command, folder)
    script = found[0] if found else None
    if script is not None and script.suffix.lower() in SCRIPTS and script.resolve().is_relative_to(folder.resolve()):
        found += _sources(script.parent, script.suffix)
    unique = {Path(os.path.normpath(path)): None for path in found}
    return list(unique)


def _sources(folder: Path, suffix: str) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        here = sorted(name for name in files if Path(name).suffix == suffix)
        yield from (Path(path, name) for name in here)
        kept = [name for name in folders if name[0] != "." and not (Path(path, name) / "pyvenv.cfg").exists()]
        folders[:] = sorted(kept) if here else []


def _in_environment(path: Path) -> bool:
    """Whether a path (without following links) is in a virtual environment."""
    return any((parent / "pyvenv.cfg").exists() for parent in path.parents)

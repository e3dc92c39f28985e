"""Remembers which external commands this user has run, and asks before a run folder runs new ones.

A run folder stores its external definitions (:func:`optibench.external.record`), so that the folder alone is enough to
resume the run. If someone else made the folder, they also wrote its commands.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optibench.errors import HarnessError

if TYPE_CHECKING:
    from optibench.external.definitions import External


def _file() -> Path:
    import platformdirs

    return platformdirs.user_state_path("optibench") / "external-commands.txt"


def _digest(external: External) -> str:
    """A hash of the command, its folder and its variables, without settings."""
    what = [list(external.command), external.folder, dict.fromkeys(sorted(external.environment))]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def remember(externals: Iterable[External]) -> None:
    """Record that this user runs these commands; if that cannot be written, the user is asked again."""
    path = _file()
    with contextlib.suppress(OSError):
        known = _known()
        new = [digest for digest in map(_digest, externals) if digest not in known]
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="ascii") as file:
                file.write("".join(f"{digest}\n" for digest in dict.fromkeys(new)))


def _known() -> set[str]:
    try:
        return set(_file().read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return set()


def confirm(externals: Sequence[External], folder: Path, *, allowed: bool) -> None:
    """Ask before running commands of a run folder that this user has not run before.

    Args:
        externals: The folder's definitions.
        folder: The folder.
        allowed: Whether the user has already allowed them (``--allow-external``).

    Raises:
        HarnessError: They are not allowed, or there is no terminal to ask on.
    """
    known = _known()
    unknown = [external for external in externals if _digest(external) not in known]
    if allowed or not unknown:
        return
    commands = [f"{external.kind} {external.name}: {_shown(external)}" for external in unknown]
    if sys.stdin is not None and sys.stdin.isatty():
        print(f"{folder} was made elsewhere, and resuming it runs:", *commands, sep="\n  ", file=sys.stderr)
        print("Run these? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise HarnessError(
        f"{folder} was made elsewhere, and resuming it would run {'; '.join(commands)}: add --allow-external if you "
        "trust this."
    )


def _shown(external: External) -> str:
    """The command as one line for a shell, with its folder and the names of its variables."""
    text = f"{shlex.join(external.command)} in {external.folder}"
    text += f" with {', '.join(external.environment)}" if external.environment else ""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)

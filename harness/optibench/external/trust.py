"""Which external commands this user has run before: others, in a folder that somebody else made, are asked about.

A run folder holds the definitions of what it needs (:func:`optibench.external.record`), so that it can be resumed with
nothing else. Whoever made the folder wrote the commands too.
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
    """What is run, with what around it; not what its settings are."""
    what = [list(external.command), external.folder, dict.fromkeys(sorted(external.environment))]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def remember(externals: Iterable[External]) -> None:
    """Note that this user runs these commands; where that cannot be written, they are asked about again."""
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
    """Ask before the commands of a run folder are run that this user has not run before.

    Args:
        externals: The folder's definitions.
        folder: The folder.
        allowed: Whether the user has allowed them already (``--allow-external``).

    Raises:
        HarnessError: They are not allowed; or nobody can be asked, for there is no terminal.
    """
    known = _known()
    unknown = [external for external in externals if _digest(external) not in known]
    if allowed or not unknown:
        return
    commands = [f"{external.kind} {external.name}: {_shown(external)}" for external in unknown]
    if sys.stdin is not None and sys.stdin.isatty():
        print(f"{folder} was made elsewhere, and resuming it runs:", *commands, sep="\n  ", file=sys.stderr)
        print("Run that? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise HarnessError(
        f"{folder} was made elsewhere, and resuming it would run {'; '.join(commands)}: add --allow-external if you "
        "trust that."
    )


def _shown(external: External) -> str:
    """The command as a shell takes it, on one line whatever is in it, with the folder and the variables it needs."""
    text = f"{shlex.join(external.command)} in {external.folder}"
    text += f" with {', '.join(external.environment)}" if external.environment else ""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)

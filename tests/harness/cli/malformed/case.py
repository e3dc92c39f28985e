"""What a malformed input is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Attributes:
        name: Says what is malformed.
        arguments: The command line.
        files: Written before, by path.
        bases: What of the prepared files is copied before.
        mutate: Damages what was copied.
    """

    name: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    mutate: Callable[[Path], None] | None = None

    def lay_out(self, folder: Path, base: Path) -> None:
        """Put the files of the case into an empty folder."""
        for name in self.bases:
            source = base / name
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        if self.mutate is not None:
            self.mutate(folder)

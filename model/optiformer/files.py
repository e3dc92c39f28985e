"""What the checkpoints of both encodings share as files: names, checksums, where the shipped ones lie."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optiformer.errors import ModelError

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def shipped(name: str) -> Path:
    """The folder of a checkpoint that comes with the package.

    Raises:
        ModelError: The package was installed without it.
    """
    folder = Path(__file__).parent / "checkpoints" / name
    if not (folder / WEIGHTS).exists():
        raise ModelError(f"The checkpoint {folder} is missing; reinstall the package or train one and name its folder.")
    return folder


def encoding_of(folder: Path) -> str:
    """The name of a checkpoint's encoding.

    Raises:
        ModelError: The folder holds no checkpoint.
    """
    try:
        return str(json.loads((folder / CONFIG).read_text())["encoding"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is no complete checkpoint ({error}); it needs {WEIGHTS} and {CONFIG}.") from error


def sha256(path: Path) -> str:
    """A file's checksum."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name beside its place, then rename it: readers see all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)  # noqa: PTH105
    finally:
        temporary.unlink(missing_ok=True)

"""Whether two machines would compute the same: the bench's version and source, and the packages behind a cell."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

from harness.provenance import DISTRIBUTION, installed

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("benchmarks", "harness", "model", "optimizers")
SOURCE = "source"
"""The key of the hash of the bench's own files."""


@functools.cache
def source() -> str:
    """A hash of the bench's own files that decide what a cell computes."""
    digest = hashlib.sha256()
    for path in own_files(ROOT):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def own_files(root: Path) -> list[Path]:
    """The bench's own files below a folder, sorted: a checkout's, or what its wheel installed and no other one did."""
    if (root / "pyproject.toml").exists():
        found = [path for room in ROOMS for path in (root / room).rglob("*")]
    else:
        installed_files = distribution(DISTRIBUTION).files or []
        found = [root / file for file in installed_files if file.parts[0] in ROOMS]
    return sorted(path for path in found if path.suffix in (".py", ".json", ".yaml"))


def fingerprint(packages: Mapping[str, str]) -> dict[str, str]:
    """What this machine has.

    Args:
        packages: The distributions that matter, with any versions.
    """
    return {DISTRIBUTION: installed(DISTRIBUTION), SOURCE: source(), **{name: installed(name) for name in packages}}


def difference(wanted: Mapping[str, str], where: str) -> str | None:
    """A sentence on the first thing that is otherwise here than wanted; ``None`` if nothing is."""
    here = fingerprint({name: "" for name in wanted if name not in (DISTRIBUTION, SOURCE)})
    for name, version in wanted.items():
        if here[name] != version:
            what = f"another source of {DISTRIBUTION}" if name == SOURCE else name
            return (
                f"The Dask worker {where} has {what} ({here[name]}) than the coordinator ({version}): install the same "
                "on both, and start the worker again."
                if name == SOURCE
                else f"The Dask worker {where} has {what} {here[name]} and the coordinator {version}: install the same "
                "on both, and start the worker again."
            )
    return None

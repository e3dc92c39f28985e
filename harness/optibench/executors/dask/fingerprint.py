"""Whether two machines compute the same: the bench's version and source, and the packages that a cell uses."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path

from optibench.store.provenance import DISTRIBUTION, PACKAGES, home, installed

REPORTS = "optibench_reports"
"""The only package of the bench that no cell needs."""
PYTHON = "Python"
PICKLED_BY = (PYTHON, "cloudpickle")
"""What must be the same on both machines if the user's own objects are sent."""
SOURCE = "source"
"""The key of the hash of the bench's own files."""


@functools.cache
def source() -> str:
    """A hash of the bench's own files that decide what a cell computes."""
    digest = hashlib.sha256()
    for name, path in own_files().items():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def own_files() -> dict[str, Path]:
    """The files that decide what a cell computes, by their paths in an installation."""
    folders = [home(package) / package for package in PACKAGES if package != REPORTS]
    found = [(path, folder.parent) for folder in folders for path in folder.rglob("*")]
    kept = {path.relative_to(root).as_posix(): path for path, root in found if path.suffix in (".py", ".json", ".yaml")}
    return dict(sorted(kept.items()))


def fingerprint(packages: Mapping[str, str]) -> dict[str, str]:
    """The versions on this machine.

    Args:
        packages: The distributions to look up; the values are ignored.
    """
    found = {name: platform.python_version() if name == PYTHON else installed(name) for name in packages}
    return {DISTRIBUTION: installed(DISTRIBUTION), SOURCE: source(), **found}


def difference(wanted: Mapping[str, str], where: str) -> str | None:
    """A message on the first version that differs from the wanted one; ``None`` if all are the same."""
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

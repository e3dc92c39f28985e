"""What a library needs to run at full quality: recent versions, and companions.

A companion is an optional package without which a library silently becomes slower or worse. This module must import
only companions, because `optibench doctor` checks every optimizer.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

MISSING = "missing"


def installed(package: str) -> str:
    """A distribution's version, or ``missing``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return MISSING


def versions(requirements: Iterable[str]) -> dict[str, str]:
    """The installed version of what each requirement (``optuna``, ``optuna>=5``) names, or ``missing``."""
    return {name: installed(name) for name in names(requirements)}


def names(requirements: Iterable[str]) -> list[str]:
    """What each requirement names.

    Raises:
        InvalidRequirement: One of them is none.
    """
    return [Requirement(text).name for text in requirements]


def outdated(requirements: Iterable[str]) -> list[str]:
    """A phrase for each requirement whose installed version is too old; a missing package fails at its import."""
    found = []
    for requirement in map(Requirement, requirements):
        if not requirement.specifier:
            continue
        have = installed(requirement.name)
        if have != MISSING and not requirement.specifier.contains(have, prereleases=True):
            found.append(f"{requirement.name} {have} is installed and {requirement} is needed")
    return found


def absent(companions: Iterable[str]) -> list[str]:
    """A phrase for each companion (a module) that cannot be imported."""
    found = []
    for name in companions:
        try:
            importlib.import_module(name)
        except ImportError as error:
            found.append(
                f"{name} cannot be imported ({error}), and its library falls back on something slower or worse"
            )
    return found

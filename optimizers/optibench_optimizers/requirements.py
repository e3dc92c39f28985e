"""What a library needs so as to run as it should: versions that are new enough, and companions that it uses unasked.

A companion is a package that a library looks for by itself and does without, slower or worse, where there is none. Must
import no library but companions: `optibench doctor` asks for every optimizer.
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
    names = [Requirement(text).name for text in requirements]
    return {name: installed(name) for name in names}


def outdated(requirements: Iterable[str]) -> list[str]:
    """Of each requirement that what is installed does not meet, a phrase; what is missing says so at its import."""
    found = []
    for requirement in map(Requirement, requirements):
        if not requirement.specifier:
            continue
        have = installed(requirement.name)
        if have != MISSING and not requirement.specifier.contains(have, prereleases=True):
            found.append(f"{requirement.name} {have} is installed and {requirement} is needed")
    return found


def absent(companions: Iterable[str]) -> list[str]:
    """Of each companion (a module) that cannot be imported, a phrase."""
    found = []
    for name in companions:
        try:
            importlib.import_module(name)
        except ImportError as error:
            found.append(
                f"{name} cannot be imported ({error}), and its library falls back on something slower or worse"
            )
    return found

"""Checks of settings, shared by the adapters: a bad value is one clear sentence, before any work is done."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optimizers.base import OptimizerError


def whole(name: str, value: object, *, least: int = 1) -> int:
    """A whole number of at least ``least``.

    Raises:
        OptimizerError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptimizerError(f"Setting {name!r} must be a whole number of at least {least}, not {value!r}.")
    return value


def number(name: str, value: object, *, above: float = -math.inf, below: float = math.inf) -> float:
    """A finite number strictly between ``above`` and ``below``.

    Raises:
        OptimizerError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not above < value < below:
        if math.isfinite(above) and math.isfinite(below):
            bounds = f" between {above:g} and {below:g} (both excluded)"
        else:
            bounds = f" above {above:g}" if math.isfinite(above) else ""
        raise OptimizerError(f"Setting {name!r} must be a number{bounds}, not {value!r}.")
    return float(value)


def truth(name: str, value: object) -> bool:
    """``true`` or ``false``.

    Raises:
        OptimizerError: It is something else.
    """
    if not isinstance(value, bool):
        raise OptimizerError(f"Setting {name!r} must be true or false, not {value!r}.")
    return value


def choice(name: str, value: object, among: Sequence[str]) -> str:
    """One of the words in ``among``.

    Raises:
        OptimizerError: It is something else.
    """
    if not isinstance(value, str) or value not in among:
        raise OptimizerError(f"Setting {name!r} must be one of {', '.join(among)}, not {value!r}.")
    return value


def library_seed(seed: int) -> int:
    """A seed that every library takes (32 bits, not negative), the same for the same seed."""
    return whole("seed", seed, least=0) % (2**31 - 1)

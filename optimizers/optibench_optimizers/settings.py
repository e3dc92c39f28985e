"""Checks of settings, shared by the adapters: a bad value raises one clear sentence before any work is done.

An entry of the catalog declares its settings (:class:`Whole`, :class:`Number`, :class:`Choice`, or a type), so that
they are known without importing the optimizer. Where an entry declares none, the registry checks each setting against
the constructor's annotation (``n: int``, ``margin: float | None``, ``kind: Literal["a", "b"]``; :func:`of_type`).
"""

from __future__ import annotations

import math
import reprlib
import sys
import types
import typing
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Union

from optibench_optimizers.base import OptimizerError

MAX_COUNT = 1_000_000
"""Upper bound of settings that count trials; a larger value is a slip."""


class SettingError(OptimizerError):
    """A setting has an invalid value; callers that know the optimizer's name add it."""


_short = reprlib.Repr()
_short.maxstring = 100


def is_whole(value: object) -> bool:
    """Whether it is a whole number; ``true`` is not one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a finite number, also as a float."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def whole(name: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    """A whole number of at least ``least``, and at most ``most`` if there is such a bound.

    Raises:
        SettingError: It is something else.
    """
    if not isinstance(value, int) or not is_whole(value) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" + (f" and at most {most:,}" if most is not None else "")
        raise SettingError(f"Setting {name!r} must be a whole number {bounds}, not {_short.repr(value)}.")
    return value


def number(name: str, value: object, *, above: float = -math.inf, below: float = math.inf) -> float:
    """A finite number strictly between ``above`` and ``below``.

    Raises:
        SettingError: It is something else.
    """
    if not isinstance(value, (int, float)) or not is_number(value) or not above < value < below:
        bounds = [f"above {above:g}"] if math.isfinite(above) else []
        bounds += [f"below {below:g}"] if math.isfinite(below) else []
        words = " and ".join(bounds)
        raise SettingError(f"Setting {name!r} must be a number{' ' if words else ''}{words}, not {_short.repr(value)}.")
    return float(value)


def truth(name: str, value: object) -> bool:
    """``true`` or ``false``.

    Raises:
        SettingError: It is something else.
    """
    if not isinstance(value, bool):
        raise SettingError(f"Setting {name!r} must be true or false, not {_short.repr(value)}.")
    return value


def choice(name: str, value: object, among: Sequence[str]) -> str:
    """One of the words in ``among``.

    Raises:
        SettingError: It is something else.
    """
    if not isinstance(value, str) or value not in among:
        raise SettingError(f"Setting {name!r} must be one of {', '.join(among)}, not {_short.repr(value)}.")
    return value


@contextmanager
def blaming(name: str, kind: type[Exception]) -> Iterator[None]:
    """Turn errors of a class into errors of a setting, which names something missing, damaged or invalid.

    Raises:
        SettingError: In place of such an error.
    """
    try:
        yield
    except kind as error:
        raise SettingError(f"Setting {name!r}: {error}") from error


@dataclass(frozen=True)
class Whole:
    """A setting that is a whole number of at least ``least``, and at most ``most`` if there is such a bound."""

    least: int = 1
    most: int | None = None


@dataclass(frozen=True)
class Number:
    """A setting that is a finite number strictly between ``above`` and ``below``."""

    above: float = -math.inf
    below: float = math.inf


@dataclass(frozen=True)
class Choice:
    """A setting that is one of some words."""

    words: tuple[str, ...]


def of_type(name: str, value: object, annotation: Any) -> None:
    """Check a value against its setting's declaration or annotation; annotations of other types are not checked.

    Raises:
        SettingError: It is of another type, not finite, or out of its range.
    """
    match annotation:
        case Whole(least, most):
            whole(name, value, least=least, most=most)
        case Number(above, below):
            number(name, value, above=above, below=below)
        case Choice(words):
            choice(name, value, words)
    wanted = mismatch(value, annotation)
    if wanted is not None:
        raise SettingError(f"Setting {name!r} must be {wanted}, not {_short.repr(value)}.")


def mismatch(value: object, annotation: Any) -> str | None:
    """What a value must be if it does not fit its annotation; ``None`` if it fits or cannot be checked."""
    kind = _kind(annotation)
    return None if kind is None or kind[0](value) else kind[1]


_KINDS: dict[Any, tuple[Callable[[object], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (is_whole, "a whole number"),
    float: (is_number, "a number"),
    str: (lambda value: isinstance(value, str), "text"),
    types.NoneType: (lambda value: value is None, "null"),
    None: (lambda value: value is None, "null"),
}


def _kind(annotation: Any) -> tuple[Callable[[object], bool], str] | None:
    """What an annotation allows: a check and words; ``None`` if it cannot be checked."""
    if typing.get_origin(annotation) is Literal:
        choices = typing.get_args(annotation)
        words = f"one of {', '.join(map(str, choices))}"
        return lambda value: any(type(value) is type(one) and value == one for one in choices), words
    if typing.get_origin(annotation) in (Union, types.UnionType):
        kinds = [_kind(member) for member in typing.get_args(annotation)]
        known = [kind for kind in kinds if kind is not None]
        if len(known) < len(kinds):
            return None
        return lambda value: any(fits(value) for fits, _ in known), " or ".join(words for _, words in known)
    return _KINDS.get(annotation) if isinstance(annotation, Hashable) else None


def library_seed(seed: int) -> int:
    """A seed that every library accepts (32 bits, not negative), derived from ``seed``."""
    return whole("seed", seed, least=0) % (2**31 - 1)

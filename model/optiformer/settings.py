"""Configurations as frozen dataclasses whose annotations are checked.

An annotation is a type (``bool``, ``int``, ``float``, ``str``, ``Literal[...]``, ``tuple[...]`` or a nested
dataclass), alone or as ``Annotated[int, Range(1, 100)]``; numbers must be finite. Constraints on several settings are
checked in their class, never here.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import re
import reprlib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from optiformer.errors import ModelError

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Check a constraint on several settings.

    Raises:
        ModelError: The condition does not hold.
    """
    if not condition:
        raise ModelError(message)


@dataclass(frozen=True)
class Range:
    """Range of a numeric setting; ``least`` and ``most`` are inclusive, ``above`` and ``below`` exclusive."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, number: float) -> bool:
        return self.least <= number <= self.most and self.above < number < self.below

    def __str__(self) -> str:
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f" from {self.least:,} to {self.most:,}"
        bounds = {"of at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        words = " and ".join(f"{word} {bound:,}" for word, bound in bounds.items() if math.isfinite(bound))
        return f" {words}" if words else ""


Share = Annotated[float, Range(0, 1)]
"""A fraction or a probability."""
Positive = Annotated[float, Range(above=0)]
Seed = Annotated[int, Range(0, 2**31 - 1)]


def check(config: Any) -> None:
    """Check and convert a dataclass's settings in its ``__post_init__``: lists to tuples, integers to floats.

    Raises:
        ModelError: A setting has the wrong type or is out of range.
    """
    for name, hint in _hints(type(config)).items():  # type: ignore[arg-type]
        object.__setattr__(config, name, convert(hint, getattr(config, name), f"Setting {name!r}"))


def build(cls: type[T], content: Any, where: str) -> T:
    """Build a dataclass from nested plain data.

    Args:
        cls: A dataclass that calls :func:`check`.
        content: A mapping of settings, from YAML or JSON.
        where: Location for error messages.

    Raises:
        ModelError: A setting is unknown, missing, of the wrong type or out of range; the message says where.
    """
    if not isinstance(content, Mapping):
        raise ModelError(f"{where} must be a mapping of settings, not {reprlib.repr(content)}.")
    hints = _hints(cls)  # type: ignore[arg-type]
    for key in content:
        if key not in hints:
            raise ModelError(f"{where}: unknown setting {key!r}; known are {', '.join(sorted(hints))}.")
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name not in content and field.default is field.default_factory is dataclasses.MISSING:
            raise ModelError(f"{where}: the setting {field.name!r} is missing.")
    settings = {key: convert(hints[key], value, f"{where}: {key}") for key, value in content.items()}
    try:
        return cls(**settings)
    except ModelError as error:  # of several settings together
        raise ModelError(f"{where}: {error}") from error


def convert(hint: Any, value: Any, where: str) -> Any:
    """Convert a setting's value to its annotated type.

    Raises:
        ModelError: The value has the wrong type or is out of range.
    """
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, where)  # type: ignore[arg-type]
    hint, bounds = typing.get_args(hint)[:2] if typing.get_origin(hint) is Annotated else (hint, Range())
    if typing.get_origin(hint) is tuple:
        return _convert_items(typing.get_args(hint), value, where)
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        return _allowed(isinstance(value, str) and value in choices, value, where, f"one of {', '.join(choices)}")
    if hint is bool or hint is str:
        return _allowed(isinstance(value, hint), value, where, "true or false" if hint is bool else "text")
    number = _whole(value) if hint is int else _number(value)
    kind = "a whole number" if hint is int else "a number"
    _allowed(number is not None and number in bounds, value, where, f"{kind}{bounds}")
    return number


def convert_field(cls: type, name: str, value: Any, where: str) -> Any:
    """Convert a value to the annotated type of a dataclass's field, which ``where`` calls by the caller's name.

    Raises:
        ModelError: The value has the wrong type or is out of range.
    """
    return convert(_hints(cls)[name], value, where)


def _allowed(good: bool, value: Any, where: str, words: str) -> Any:
    if not good:
        raise ModelError(f"{where} must be {words}, not {reprlib.repr(value)}.")
    return value


def _whole(value: Any) -> int | None:
    return None if isinstance(value, bool) or not isinstance(value, numbers.Integral) else int(value)


def _number(value: Any) -> float | None:
    """A finite float; also accepts text such as ``1e-3``, since YAML reads it as text."""
    read = isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?e[-+]?[0-9]+", value, re.IGNORECASE)
    if isinstance(value, bool) or not (read or isinstance(value, numbers.Real)):
        return None
    try:
        number = float(value)
    except OverflowError:  # of a whole number
        return None
    return number if math.isfinite(number) else None


def _convert_items(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ModelError(f"{where} must be a list, not {reprlib.repr(value)}.")
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(value) != len(hints):
        raise ModelError(f"{where} must be a list of {len(hints)}, not {reprlib.repr(value)}.")
    pairs = enumerate(zip(hints, value, strict=True), 1)
    return tuple(convert(hint, item, f"{where}, item {number}") for number, (hint, item) in pairs)


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    """Annotations of a dataclass's fields, including ranges."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}

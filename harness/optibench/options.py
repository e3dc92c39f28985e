"""Options, each declared once as a field of a class: type, bounds, help, and written form.

YAML keys, flags, keywords, error messages for wrong values and JSON Schema are derived from the declaration. Nothing
here depends on what the options are for.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable, Collection, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from optibench.errors import HarnessError
from optibench.numbers import whole


class Option(NamedTuple):
    """Makes a field an option: ``trials: Annotated[int, Meta(ge=1), Option("trials in each cell", "-t")] = 50``.

    Attributes:
        help: Its purpose, in a few words.
        short: Its short flag.
        metavar: The placeholder of its value in the help.
        many: Whether its flag takes several values.
        file, flag: Whether files may contain it, and whether the command line has it.
    """

    help: str
    short: str | None = None
    metavar: str | None = None
    many: bool = False
    file: bool = True
    flag: bool = True


class Form(NamedTuple):
    """The written form of a value, if it differs from the value itself.

    No type in here has ``Meta(pattern=...)``: msgspec 0.22 crashes if one is freed together with a constrained list.

    Attributes:
        words: The form in words: "a list of names".
        written: The type of the form.
        read: Converts the form to the value; a ``ValueError`` gets a message with ``words``.
        inside: Makes the type for JSON Schema, if the content is read separately.
    """

    words: str
    written: Any
    read: Callable[[Any], Any] | None = None
    inside: Callable[[], Any] | None = None


COUNT = Form("a whole number of at least 1", Annotated[int, msgspec.Meta(ge=1)])


def text(pattern: str) -> Any:
    """Text of a pattern, for editors only; the code that reads it checks it."""
    return Annotated[str, msgspec.Meta(extra_json_schema={"pattern": pattern})]


class Declared(NamedTuple):
    """An option with its key, default and form."""

    key: str
    default: Any
    option: Option
    form: Form

    @property
    def flag(self) -> str:
        return "--" + self.key.replace("_", "-")

    def value(self, written: Any, where: str) -> Any:
        """The value of what a user wrote; digits in a text may mean a number.

        Raises:
            HarnessError: It has the wrong form; the message begins with ``where``.
        """
        plain = os.fspath(written) if isinstance(written, os.PathLike) else written
        digits = isinstance(plain, str) and whole(plain.strip()) is not None
        try:
            found = msgspec.convert(plain.strip() if digits else plain, self.form.written, strict=not digits)
            return found if self.form.read is None else self.form.read(found)
        except HarnessError as error:
            raise HarnessError(f"{where}: {error}") from None
        except (ValueError, TypeError, RecursionError) as error:
            shown = repr(written)
            shown = shown if len(shown) <= 100 else shown[:97] + "..."
            raise HarnessError(f"{where}: `{self.key}` is {self.form.words}, not {shown}.") from error


Options = Mapping[str, Declared]


@functools.cache
def declared(*classes: type[msgspec.Struct]) -> Options:
    """The options among the fields of some classes, by key."""
    found = {}
    for field in (field for cls in classes for field in msgspec.structs.fields(cls)):
        kind, *more = get_args(field.type) if get_origin(field.type) is Annotated else (field.type,)
        option = next((one for one in more if isinstance(one, Option)), None)
        if option is not None:
            form = next((one for one in more if isinstance(one, Form)), None)
            made = field.default is msgspec.NODEFAULT and not field.required  # it has a default factory
            default = None if made else field.default
            found[field.name] = Declared(field.name, default, option, form or _form(kind, more))
    return found


def _form(kind: Any, more: list[Any]) -> Form:
    """The form of a value that is stored as it is written."""
    if get_origin(kind) in (Union, UnionType):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Literal:
        return Form(f"one of {', '.join(get_args(kind))}", kind)
    bounds = next((one for one in more if isinstance(one, msgspec.Meta)), None)
    if kind is int and bounds is not None:
        return Form(f"a whole number from {bounds.ge} to {bounds.le}", Annotated[int, bounds])
    return Form({bool: "true or false", str: "text"}[kind], kind)


def some(cls: type[msgspec.Struct], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are options of a class."""
    return {key: values[key] for key in declared(cls) if key in values}


def unknown(key: object, known: Collection[str]) -> str:
    """A message on an unknown key, with the closest known one."""
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(known)}."
    return f"unknown key {key!r}; {hint}"


def in_file(options: Options) -> Options:
    """The options that files may contain."""
    return {key: one for key, one in options.items() if one.option.file}


def as_written(name: str, options: Options) -> Any:
    """A type of mappings with options in the form of a file."""
    fields: list[tuple[str, Any, Any]] = []
    for key, one in in_file(options).items():
        kind = one.form.inside() if one.form.inside is not None else one.form.written
        known = one.default if isinstance(one.default, str | int) and one.form.read is None else None
        default = msgspec.field(default=known) if known else msgspec.field(default_factory=object)
        required = one.default is msgspec.NODEFAULT
        kind = Annotated[kind, msgspec.Meta(description=one.option.help)]
        fields.append((key, kind, msgspec.field() if required else default))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def schema(written: Any) -> dict[str, Any]:
    """The JSON Schema of a type that :func:`as_written` made."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(written)}

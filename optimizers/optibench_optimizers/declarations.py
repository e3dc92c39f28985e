"""What an optimizer declares: the data of its entry, and its constructor's annotations, which its settings must fit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Optional, get_type_hints

from optibench_optimizers.base import Capabilities, Optimizer, OptimizerError
from optibench_optimizers.settings import Choice, Number, Whole, mismatch

if TYPE_CHECKING:
    from optibench_optimizers.entry import Entry


def check(entry: Entry) -> None:
    """Reject an entry with a field of the wrong type.

    Raises:
        OptimizerError: The message names the field.
    """

    def refuse(what: str, wanted: str, found: object) -> NoReturn:
        shown = " ".join(repr(found).split())[:200]
        raise OptimizerError(f"Optimizer {entry.name!r}: its `{what}` must be {wanted}, not {shown}.")

    for key in ("summary", "install"):
        if not isinstance(getattr(entry, key), str):
            refuse(key, "text", getattr(entry, key))
    for key, wanted in (("target", "module:Class"), ("fingerprint", "module:function")):
        text = getattr(entry, key)
        needless = key == "fingerprint" and text == ""
        if not needless and (not isinstance(text, str) or not re.fullmatch(r"[\w.]+:\w+", text)):
            refuse(key, wanted, text)
    for key, wanted in (("packages", "a tuple of distributions' names"), ("companions", "a tuple of modules' names")):
        names = getattr(entry, key)
        if not isinstance(names, (tuple, list)) or not all(name and isinstance(name, str) for name in names):
            refuse(key, wanted, names)
    if entry.settings is not None:
        kinds = (Whole, Number, Choice)
        if not isinstance(entry.settings, Mapping) or not all(
            isinstance(key, str) and (kind in (bool, int, float, str) or isinstance(kind, kinds))
            for key, kind in entry.settings.items()
        ):
            refuse("settings", "a mapping of names to bool, int, float, str, Whole, Number or Choice", entry.settings)
    if not isinstance(entry.capabilities, Capabilities):
        refuse("capabilities", "an optibench_optimizers.Capabilities", entry.capabilities)
    for key, annotation in get_type_hints(Capabilities).items():
        value = getattr(entry.capabilities, key)
        other = mismatch(value, annotation)
        if other is not None or (key == "max_dimensions" and value is not None and value < 1):
            refuse(f"capabilities.{key}", other or "at least 1", value)


def annotation(cls: type[Optimizer], parameter: inspect.Parameter) -> Any:
    """What the constructor's annotation says a setting may be; a default of ``None`` is allowed as well."""
    found = parameter.annotation
    try:
        if isinstance(found, str):
            alone = type("Annotated", (), {"__annotations__": {parameter.name: found}})
            found = get_type_hints(alone, inspect.unwrap(cls.__init__).__globals__)[parameter.name]
        return Optional[found] if parameter.default is None else found  # noqa: UP045  # it may be no type
    except Exception:  # a name imported only for type checkers, or no type at all: nothing to check
        return Any

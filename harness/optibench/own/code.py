"""Finds what a user's object consists of: its own code and data as one hash, and the modules that it uses.

Code that workers can import is represented by its module. Other code (from a notebook, a script, or made by a function)
is represented by its bytecode with the globals and closures that it uses. Nothing here runs the code.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

_OF_THE_CLASS = frozenset(
    {
        *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__annotate__"),
        *("__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__"),
        *("__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__"),
    }
)
"""Attributes that do not affect what a class does."""


@dataclass(frozen=True)
class Found:
    """What an object consists of.

    Attributes:
        digest: A hash of its own code and data.
        modules: The modules that it uses and that workers can import.
        unimportable: Modules that only this process has, without ``__main__``: they are sent with the object.
    """

    digest: str
    modules: frozenset[str]
    unimportable: frozenset[str]


def examine(value: Any) -> Found:
    """Find out what an object consists of."""
    visit = _Visit()
    try:
        visit.add(value)
    except RecursionError:  # deeply nested data: the part seen so far counts
        visit.note("too deep")
    return Found(visit.hash.hexdigest()[:12], frozenset(visit.modules), frozenset(visit.unimportable))


@functools.cache
def importable(module: str) -> bool:
    """Whether a worker process can import the same module; never ``__main__``, which is a different module there.

    A module that is loaded here may not be importable: test runners and notebooks load files outside the path.
    """
    path: Any = None
    origin: str | None = None
    words = module.split(".")
    for length in range(1, len(words) + 1):
        name = ".".join(words[:length])
        try:
            found = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
            spec = next(filter(None, found), None)
        except (ImportError, ValueError):
            return False
        if spec is None:
            return False
        path, origin = spec.submodule_search_locations, spec.origin
    file = getattr(sys.modules.get(module), "__file__", None)
    same = file is None or origin is None or Path(file).resolve() == Path(origin).resolve()
    return module != "__main__" and same


def plain(code: CodeType) -> tuple[Any, ...]:
    """Compiled code without line numbers."""
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    return (*names, *counts, code.co_code, [constant(one) for one in code.co_consts])


def constant(value: Any) -> Any:
    """A constant with its type; a set is sorted, because its order differs between processes."""
    if isinstance(value, CodeType):
        return plain(value)
    if isinstance(value, tuple):
        return tuple(map(constant, value))
    if isinstance(value, frozenset):
        return "frozenset", sorted(repr(constant(one)) for one in value)
    return type(value).__name__, value


class _Visit:
    """Adds an object, and everything that it refers to, to a hash."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.modules: set[str] = set()
        self.unimportable: set[str] = set()
        self._seen: dict[int, tuple[int, Any]] = {}  # keeps the objects alive: ids are unique only among living objects

    def note(self, *words: Any) -> None:
        self.hash.update(repr(words).encode("utf-8", "backslashreplace") + b"\0")

    def add(self, value: Any) -> None:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            self.note(type(value).__name__, value)
            return
        if id(value) in self._seen:
            self.note("seen", self._seen[id(value)][0])
            return
        self._seen[id(value)] = (len(self._seen), value)
        if isinstance(value, list | tuple):
            self.note(type(value).__name__, len(value))
            for one in value:
                self.add(one)
        elif isinstance(value, Mapping) and type(value) in (dict, types.MappingProxyType):
            self.note("mapping", len(value))
            for pair in value.items():
                self.add(pair)
        elif isinstance(value, set | frozenset):
            self.note("set", sorted(examine(one).digest for one in value))
        elif isinstance(value, functools.partial):
            self.note("partial")
            for part in (value.func, value.args, value.keywords):
                self.add(part)
        elif isinstance(value, types.ModuleType):
            self.note("module", value.__name__)
            self._use(value.__name__)
        elif isinstance(value, types.MethodType):
            self.add(value.__func__)
            self.add(value.__self__)
        elif isinstance(value, staticmethod | classmethod):
            self.note(type(value).__name__)
            self.add(value.__func__)
        elif isinstance(value, property):
            self.add(("property", value.fget, value.fset, value.fdel))
        elif isinstance(value, types.FunctionType | type):
            self._add_definition(value)
        else:
            self._add_data(value)

    def _use(self, module: str) -> bool:
        """Record a module; returns whether workers can import it."""
        if module == "builtins" or module.partition(".")[0] in sys.stdlib_module_names:
            return True
        if importable(module):
            self.modules.add(module)
            return True
        if module in sys.modules and module != "__main__":
            self.unimportable.add(module)
        return False

    def _add_definition(self, value: Any) -> None:
        module, name = getattr(value, "__module__", None) or "__main__", value.__qualname__
        if self._use(module) and _at(module, name) is value:
            self.note("defined", module, name)
        elif isinstance(value, type):
            self.note("class", name)
            self.add(value.__bases__)
            for key, attribute in sorted(vars(value).items()):
                if key not in _OF_THE_CLASS:
                    self.note(key)
                    self.add(attribute)
        else:
            code, consts = plain(value.__code__), value.__code__.co_consts
            if consts and value.__doc__ is not None and consts[0] == value.__doc__:  # a docstring does nothing
                code = (*code[:-1], [constant(None), *code[-1][1:]])
            self.note("function", code)
            self.add((value.__defaults__, value.__kwdefaults__, dict(vars(value))))
            for cell in value.__closure__ or ():
                with contextlib.suppress(ValueError):  # an empty one
                    self.add(cell.cell_contents)
            for used in sorted(set(_globals(value.__code__))):
                if used in value.__globals__:
                    self.note(used)
                    self.add(value.__globals__[used])
                elif not hasattr(builtins, used):
                    self.note("undefined", used)
            for module in sorted(set(_imports(value.__code__))):
                self._use(module)

    def _add_data(self, value: Any) -> None:
        kind = type(value)
        self.note("instance", kind.__qualname__)
        if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and value.dtype != object:
            self.note(str(value.dtype), value.shape)
            self.hash.update(value.tobytes())
            self.modules.add("numpy")
        elif hasattr(value, "to_serialized_dict"):  # a ConfigurationSpace
            self._use(kind.__module__)
            self.note(_sorted(value.to_serialized_dict()))
        elif (not self._use(kind.__module__) or _pickled_plainly(kind)) and hasattr(value, "__dict__"):
            self._add_definition(kind)
            self.add({key: one for key, one in vars(value).items() if key != "reference"})  # that is in a cell's key
        else:
            import cloudpickle

            try:
                self.hash.update(cloudpickle.dumps(value))
            except Exception as error:  # sending it to a worker reports the error
                self.note("not pickled", type(error).__name__)


def _pickled_plainly(kind: type) -> bool:
    """Whether instances consist only of their class and their attributes."""
    own = {name for base in kind.__mro__[:-1] for name in vars(base)}
    return not own & {"__reduce__", "__reduce_ex__", "__getstate__", "__slots__"}


def _at(module: str, name: str) -> Any:
    """The object of a module with a dotted name."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = inspect.getattr_static(found, part, None) if found is not None else None
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    return [_sorted(one) for one in value] if isinstance(value, list | tuple) else value


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _globals(code: CodeType) -> Iterator[str]:
    """The global names that code reads."""
    for one in _codes(code):
        for step in dis.get_instructions(one):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and isinstance(step.argval, str):
                yield step.argval


def _imports(code: CodeType) -> Iterator[str]:
    """The modules that code imports when it runs."""
    for one in _codes(code):
        for step in dis.get_instructions(one):
            if step.opname == "IMPORT_NAME" and step.argval:
                yield str(step.argval)

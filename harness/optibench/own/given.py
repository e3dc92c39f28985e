"""Objects passed to a Python call: registered while it runs, and sent to its workers.

They are pickled by value (cloudpickle) and sent through the worker's pipe. They are never written into a run folder,
and nothing from a run folder is ever unpickled.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from optibench.errors import HarnessError, reason
from optibench.own.code import Found, examine
from optibench_benchmarks import Benchmark, Family
from optibench_optimizers import Capabilities, Entry, Optimizer


class Own:
    """A user's object: the object itself in the process it was passed in, a copy of it in workers.

    Args:
        made: The object.
        what: Its name in messages: ``Optimizer 'Mine'``.
    """

    def __init__(self, made: Any, what: str) -> None:
        self.what = what
        self._made: list[Any] = [made]
        self._payload: bytes | None = None
        self._code: Found | None = None

    @classmethod
    def sent(cls, payload: bytes, what: str) -> Own:
        """An object that another process pickled."""
        own = cls(None, what)
        own._made, own._payload = [], payload
        return own

    @property
    def made(self) -> Any:
        """The object."""
        if not self._made:
            import cloudpickle

            assert self._payload is not None
            self._made.append(cloudpickle.loads(self._payload))
        return self._made[0]

    def code(self) -> Found:
        """What the object consists of; for a task made from a function, only what the user passed."""
        if self._code is None:
            self._code = examine(getattr(self.made, "made_of", self.made))
        return self._code

    def payload(self) -> bytes:
        """The object as it is sent to workers.

        Raises:
            HarnessError: It cannot be pickled.
        """
        if self._payload is None:
            import cloudpickle

            with contextlib.ExitStack() as stack:
                for name in self.code().unimportable:
                    module = sys.modules[name]
                    if name not in cloudpickle.list_registry_pickle_by_value():
                        cloudpickle.register_pickle_by_value(module)
                        stack.callback(cloudpickle.unregister_pickle_by_value, module)
                try:
                    self._payload = cloudpickle.dumps(self.made)
                except Exception as error:  # pickling a class may raise any error
                    raise HarnessError(
                        f"{self.what} cannot be sent to worker processes ({reason(error)}): create what cannot be "
                        'pickled where it is used, or add executor="serial".'
                    ) from error
        return self._payload

    def __getstate__(self) -> dict[str, Any]:
        return {"what": self.what, "_payload": self.payload(), "_made": [], "_code": None}


@dataclass(frozen=True)
class OwnEntry(Entry):
    """A user's optimizer in the registry: a class, or a callable that makes an instance."""

    own: Own = field(kw_only=True)

    @classmethod
    def of(cls, name: str, made: Callable[..., Any]) -> OwnEntry:
        """The entry of a class, or of a callable that makes an instance."""
        what = f"Optimizer {name!r}"
        found = getattr(made, "capabilities", getattr(getattr(made, "func", None), "capabilities", Capabilities()))
        return cls(name, _first_line(made), _target(made), found, own=Own(made, what))

    def load(self) -> type[Optimizer]:
        """The class; for a callable, a class whose construction calls it."""
        made = self.own.made
        if isinstance(made, type) and issubclass(made, Optimizer):
            return made

        def make(cls: type, space: Any, **settings: Any) -> Any:
            return made(space, **settings)

        members = {"__new__": make, "__signature__": inspect.signature(made), "capabilities": self.capabilities}
        return cast(type[Optimizer], ABCMeta(self.name, (Optimizer,), {**members, "__module__": __name__}))


@dataclass(frozen=True)
class _Provider:
    tasks: Mapping[str, Own]

    def names(self) -> list[str]:
        return list(self.tasks)

    def create(self, name: str) -> Benchmark:
        from optibench_benchmarks import UnknownBenchmarkError

        if name not in self.tasks:
            raise UnknownBenchmarkError(f"Unknown benchmark {name!r}: this run was given {', '.join(self.tasks)}.")
        found = self.tasks[name].made
        benchmark: Benchmark = found() if isinstance(found, type) else found
        if getattr(benchmark, "name", None) is None:
            benchmark.name = name
        return benchmark

    def missing(self) -> None:
        return None


@dataclass(frozen=True)
class OwnFamily(Family):
    """A user's tasks in the registry, whose names have the same first part."""

    own: Mapping[str, Own] = field(kw_only=True)

    @classmethod
    def of(cls, prefix: str, tasks: Mapping[str, Own]) -> OwnFamily:
        """The family of tasks by name."""
        return cls(prefix, "given to ob.run", f"{__name__}:OwnFamily", own=tasks)

    def provider(self) -> _Provider:
        return _Provider(self.own)

    def names(self) -> list[str]:
        """The tasks' names; a single task may be named like the prefix."""
        return list(self.own)


def _target(made: Any) -> str:
    kind = made if hasattr(made, "__qualname__") else getattr(made, "func", type(made))
    module, name = getattr(kind, "__module__", None) or "__main__", getattr(kind, "__qualname__", "object")
    return ":".join(re.sub(r"[^\w.]+" if part == module else r"\W+", "_", part) for part in (module, name))


def _first_line(made: Any) -> str:
    text = inspect.getdoc(made) or ""
    return text.strip().partition("\n")[0]


def is_own(entry: Entry | Family | None) -> bool:
    """Whether an entry of a registry is an object that was passed to this run."""
    return hasattr(entry, "own")


@contextlib.contextmanager
def registered(entries: Mapping[str, OwnEntry], families: Mapping[str, OwnFamily]) -> Iterator[None]:
    """Register the user's objects while the block runs.

    Raises:
        OptimizerError, BenchmarkError: A name is taken or invalid.
    """
    from optibench_benchmarks.registry import temporarily as with_families
    from optibench_optimizers.registry import temporarily as with_entries

    with with_entries(entries.values()), with_families(families.values()):
        yield

"""The optimizers and tasks of a call of `ob.run`: names, and the user's own objects under their names."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from optibench.errors import HarnessError
from optibench.own import Own, OwnEntry, OwnFamily
from optibench.own.given import registered
from optibench_benchmarks import Benchmark
from optibench_optimizers import Optimizer, parse


@dataclass(frozen=True)
class NamedOptimizer:
    """A user's optimizer with its name and settings; :func:`optimizer` makes it."""

    name: str
    make: Callable[..., Optimizer]
    settings: Mapping[str, Any] = field(default_factory=dict)


OptimizerLike: TypeAlias = str | Callable[..., Optimizer] | NamedOptimizer
TaskLike: TypeAlias = str | Benchmark | type[Benchmark]


def optimizer(make: Callable[..., Optimizer], *, name: str | None = None, **settings: Any) -> NamedOptimizer:
    """Give your own optimizer a name or settings: ``ob.optimizer(Mine, name="wide", stdev=0.5)``.

    Args:
        make: A subclass of :class:`ob.Optimizer`, or a callable ``(space, *, seed, n_trials, **settings)`` making one.
        name: Its name in tables; by default its attribute ``name``, or its name in Python.
        settings: Numbers, truth values and short texts, which tables show: ``wide:stdev=0.5``. Bind anything else with
            ``functools.partial`` and name the result.

    Raises:
        HarnessError: It is neither a class nor a callable, has no name, or a setting cannot be shown.
    """
    if isinstance(make, Optimizer):
        raise HarnessError(f"Give the class {type(make).__name__}, not an instance of it: each cell makes its own.")
    if not callable(make) or (isinstance(make, type) and not issubclass(make, Optimizer)):
        raise HarnessError(
            f"An optimizer is a name, a class of ob.Optimizer, or a function that makes one, not {_short(make)}."
        )
    if name is None and isinstance(make, functools.partial) and not make.args:  # the bound arguments are settings
        return optimizer(make.func, name=name, **{**make.keywords, **settings})
    usual = "" if isinstance(make, functools.partial) else type(make).__name__
    found = name or getattr(make, "name", None) or getattr(make, "__name__", usual)
    if not isinstance(found, str) or (name is None and not found.replace("-", "_").isidentifier()):
        raise HarnessError(f"The optimizer {_short(make)} needs a name: ob.optimizer(..., name='mine').")
    return NamedOptimizer(found, make, settings)


@dataclass
class Given:
    """The optimizers and tasks of one call.

    Attributes:
        optimizers, tasks: Their names, as in a grid; ``None`` if the call gives none.
        entries, benchmarks: The user's own objects, by name.
    """

    optimizers: list[str] | None
    tasks: list[str] | None
    entries: dict[str, OwnEntry]
    benchmarks: dict[str, Any]

    @classmethod
    def of(
        cls, optimizers: OptimizerLike | Iterable[OptimizerLike] | None, tasks: TaskLike | Iterable[TaskLike] | None
    ) -> Given:
        """Separate names and objects of a call.

        Raises:
            HarnessError: An argument has the wrong type, or two objects have the same name.
        """
        given = cls(None, None, {}, {})
        if optimizers is not None:
            given.optimizers = [given._optimizer(one) for one in _listed(optimizers)]
        if tasks is not None:
            given.tasks = [given._task(one) for one in _listed(tasks)]
        return given

    def _optimizer(self, one: Any) -> str:
        if isinstance(one, str):
            return one
        found = one if isinstance(one, NamedOptimizer) else optimizer(one)
        known = self.entries.get(found.name)
        if known is not None and known.own.made is not found.make:
            raise HarnessError(
                f"Two optimizers are called {found.name!r}: give one of them another name, with ob.optimizer(..., "
                "name='another')."
            )
        self.entries[found.name] = known or OwnEntry.of(found.name, found.make)
        words = ",".join(f"{key}={_scalar(value)}" for key, value in sorted(found.settings.items()))
        spec = f"{found.name}:{words}" if words else found.name
        with registered(self.entries, {}):
            for key, value in found.settings.items():
                plain = value is None or isinstance(value, bool | int | float | str)
                if not plain or parse(spec)[1].get(key, self) != value:
                    raise HarnessError(
                        f"Optimizer {found.name!r}: the setting {key!r} is {_short(value)}, which no table can show: "
                        f"bind it with functools.partial and give that a name, ob.optimizer(partial(...), name='mine')."
                    )
        return spec

    def _task(self, one: Any) -> str:
        if isinstance(one, str):
            return one
        if not isinstance(one, Benchmark) and not (isinstance(one, type) and issubclass(one, Benchmark)):
            hint = ": make one of it with ob.task(function, space)" if callable(one) else ""
            raise HarnessError(f"A task is a name, an ob.Benchmark or an ob.task(...), not {_short(one)}{hint}.")
        kind = one if isinstance(one, type) else type(one)
        name = getattr(one, "name", None) or kind.__name__
        if not isinstance(name, str) or any(c.isspace() or c in ",:+*?[]!" for c in name) or not all(name.split("/")):
            raise HarnessError(
                f"A task's name has no spaces and none of `, : + * ? [ ] !`: {_short(name)} has; rename it."
            )
        if self.benchmarks.setdefault(name, one) is not one:
            raise HarnessError(f"Two tasks are called {name!r}: give one of them another name.")
        return name

    @contextlib.contextmanager
    def registered(self) -> Iterator[None]:
        """Register the objects while the block runs.

        Raises:
            OptimizerError, BenchmarkError: A name is taken or invalid.
        """
        from optibench.cell.run import benchmark

        prefixes = dict.fromkeys(name.partition("/")[0] for name in self.benchmarks)
        families = {
            prefix: OwnFamily.of(
                prefix,
                {
                    name: Own(one, f"Task {name!r}")
                    for name, one in self.benchmarks.items()
                    if name.partition("/")[0] == prefix
                },
            )
            for prefix in prefixes
        }
        try:
            with registered(self.entries, families):
                yield
        finally:
            if families:  # the next call may pass a different object under the same name
                benchmark.cache_clear()


def _listed(given: Any) -> list[Any]:
    single = isinstance(given, str | type) or callable(given) or isinstance(given, Benchmark | NamedOptimizer)
    return [given] if single or not isinstance(given, Iterable) else list(given)


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _short(value: object) -> str:
    return " ".join(repr(value).split())[:100]

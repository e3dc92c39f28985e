"""A family of tasks, and the interface of its code.

A *family* (``synthetic``, ``yahpo``, ...) owns every name that begins with its prefix, lists the tasks that it can
build on this machine, and builds them. A family's code is imported only when one of its names is used.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from optibench_benchmarks.base import Benchmark, BenchmarkError
from optibench_benchmarks.declarations import flaw, shown


class UnknownBenchmarkError(BenchmarkError):
    """No task or suite has that name; the message gives the closest ones."""


def unknown(kind: str, name: str, known: Sequence[str], listing: str) -> str:
    """The message for an unknown name, with the closest names."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"see `{listing}`."
    return f"Unknown {kind} {name!r}: {hint}"


class Provider(Protocol):
    """The interface of a family's code."""

    def names(self) -> Sequence[str]:
        """The tasks that can be listed on this machine; must be cheap and import nothing heavy."""
        ...

    def create(self, name: str) -> Benchmark:
        """Build one task; must be cheap too: the first evaluation loads tables, models and data.

        Raises:
            UnknownBenchmarkError: The family has no such task.
            MissingDataError: The task's data is not on this machine.
        """
        ...

    def missing(self) -> str | None:
        """One sentence with the family's missing data and the command that fetches it; ``None`` if all is there."""
        ...

    # Optional: `check(name)`, which raises what `create` raises for a name that it does not know, without building the
    # task, so that a misspelt name is refused at once.
    # Optional: `absent() -> Mapping[str, str]`, the tasks whose data is missing, each with its reason;
    # `family/group/*` stands for tasks whose names are in the data only. By default, it is the whole family.


@dataclass(frozen=True)
class Family:
    """A group of tasks that share a name's first part and the code behind them.

    Attributes:
        prefix: The first part of the tasks' names, without the slash.
        summary: One line for ``optibench list``.
        target: ``module:attribute`` of the family's :class:`Provider`.
        references: ``module:file`` of a plug-in's frozen reference values, a JSON file in that module's folder; empty
            if it has none (:mod:`optibench_benchmarks.references.table`).
    """

    prefix: str
    summary: str
    target: str
    references: str = ""

    def references_file(self) -> Path | None:
        """The path of the family's own reference values; the file need not exist.

        Raises:
            BenchmarkError: There is no such module.
        """
        if not self.references:
            return None
        module, _, file = self.references.partition(":")
        with self._blamed():
            found = importlib.util.find_spec(module)
            if found is None or found.origin is None or not file:
                raise ValueError(f"{self.references!r} is no module:file of reference values")
            return Path(found.origin).parent / file

    def provider(self) -> Provider:
        """Import the family's code.

        Raises:
            BenchmarkError: It cannot be imported.
        """
        module, _, attribute = self.target.partition(":")
        with self._blamed():
            provider: Provider = getattr(importlib.import_module(module), attribute)
        return provider

    def names(self) -> list[str]:
        """The tasks that can be listed on this machine.

        Raises:
            BenchmarkError: The family's code is broken.
        """
        with self._blamed():
            found = list(self.provider().names())
            for name in found:
                if not isinstance(name, str) or not name.startswith(f"{self.prefix}/"):
                    raise ValueError(f"a task's name begins with {self.prefix}/, which {shown(name)} does not")
        return found

    def absent(self) -> dict[str, str]:
        """The tasks that :meth:`names` leaves out because their data is not on this machine, with the reasons.

        Raises:
            BenchmarkError: The family's code is broken.
        """
        with self._blamed():
            provider = self.provider()
            if hasattr(provider, "absent"):
                return dict(provider.absent())
        sentence = self.missing()
        return {f"{self.prefix}/*": sentence} if sentence else {}

    def missing(self) -> str | None:
        """One sentence with the missing data and the command that fetches it, if any is missing.

        Raises:
            BenchmarkError: The family's code is broken.
        """
        with self._blamed():
            found = self.provider().missing()
            if found is not None and not isinstance(found, str):
                raise TypeError(f"`missing` gives one sentence or None, not {shown(found)}")
        return found

    def create(self, name: str) -> Benchmark:
        """Build one task, and check what it declares.

        Raises:
            UnknownBenchmarkError, MissingDataError: See :class:`Provider`.
            BenchmarkError: The family's code is broken, or a declaration of the task is wrong.
        """
        with self._blamed():
            benchmark = self.provider().create(name)
            wrong = flaw(benchmark) or self._misnamed(benchmark.name, name)
        if wrong is not None:
            raise BenchmarkError(
                f"Benchmark family {self.prefix!r} ({self.target}) declares {name!r} wrongly: {wrong}."
            )
        return benchmark

    def check(self, name: str) -> None:
        """Refuse a name that :meth:`create` does not know, where the family can tell without building the task.

        Raises:
            UnknownBenchmarkError: There is no such task.
            BenchmarkError: A suffix is wrong, or the family's code is broken.
        """
        with self._blamed():
            provider = self.provider()
            if hasattr(provider, "check"):
                provider.check(name)

    def _misnamed(self, name: str, requested: str) -> str | None:
        """What is wrong with a task's name; it may differ from the requested one if that was another spelling."""
        if name == requested:
            return None
        with contextlib.suppress(BenchmarkError):
            another = name.startswith(f"{self.prefix}/") and requested not in self.names()
            if another and self.provider().create(name).name == name:
                return None
        return f"its `name` must be what it was asked for, not {name!r}"

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        """Turn an exception of a family's code into one sentence that names the family."""
        try:
            yield
        except BenchmarkError:
            raise
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BenchmarkError(f"Benchmark family {self.prefix!r} ({self.target}) is broken: {reason}") from error

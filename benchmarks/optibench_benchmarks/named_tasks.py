"""Families whose tasks have fixed names; each name may carry the suffixes of the wrappers.

Must never import the code of a task: listing has to stay cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from optibench_benchmarks.base import Benchmark, MissingDataError
from optibench_benchmarks.family import UnknownBenchmarkError, unknown
from optibench_benchmarks.wrappers import apply, parse, split


class NamedTasks:
    """A :class:`~optibench_benchmarks.family.Provider` of tasks with fixed names.

    Args:
        tasks: Every task.
        build: Builds a task from its name.
        lacks: Why a task cannot run on this machine and how to fix it, in one sentence; ``None`` if it can run.
        unlisted: Tasks that can be created but are not listed.
        aliases: Other spellings of tasks.
    """

    def __init__(
        self,
        tasks: Collection[str],
        build: Callable[[str], Benchmark],
        *,
        lacks: Callable[[str], str | None] = lambda name: None,
        unlisted: Collection[str] = (),
        aliases: dict[str, str] | None = None,
    ) -> None:
        self.tasks, self.build, self.lacks, self.aliases = tasks, build, lacks, aliases or {}
        self.listed = [name for name in tasks if name not in unlisted]

    def names(self) -> list[str]:
        """The listed tasks that this machine can run."""
        return [name for name in self.listed if not self.lacks(name)]

    def create(self, name: str) -> Benchmark:
        """Build one task.

        Raises:
            UnknownBenchmarkError: There is no such task.
            MissingDataError: Its data or its package is not on this machine.
            BenchmarkError: An unknown suffix.
        """
        plain, suffixes = split(name)
        return apply(self.build(self.available(plain)), suffixes, name)

    def check(self, name: str) -> None:
        """Raises as :meth:`create`, but looks for no data."""
        plain, suffixes = split(name)
        self.known(plain)
        parse(suffixes, name)

    def known(self, plain: str) -> str:
        """The task of a name without suffixes, whether or not it can run here.

        Raises:
            UnknownBenchmarkError: There is none.
        """
        plain = self.aliases.get(plain, plain)
        if plain not in self.tasks:
            raise UnknownBenchmarkError(unknown("benchmark", plain, list(self.tasks), "optibench list benchmarks"))
        return plain

    def available(self, plain: str) -> str:
        """The task of a name without suffixes; raises as :meth:`create`."""
        plain = self.known(plain)
        if reason := self.lacks(plain):
            raise MissingDataError(reason)
        return plain

    def absent(self) -> dict[str, str]:
        """The listed tasks that this machine cannot run, each with the reason."""
        reasons = ((name, self.lacks(name)) for name in self.listed)
        return {name: reason for name, reason in reasons if reason}

    def missing(self) -> str | None:
        """The distinct reasons of :meth:`absent`; ``None`` if there are none."""
        reasons = dict.fromkeys(self.absent().values())
        return " ".join(one for one in reasons if not any(one != other and one in other for other in reasons)) or None


def full(names: Sequence[str]) -> list[str]:
    """The tasks of published size among these: they can be created but are not listed."""
    return [name for name in names if name.endswith("-full")]

"""Benchmarks by name: families of tasks, suites, globs and third-party entry points.

A *family* (``synthetic``, ``yahpo``, ...) owns every name that begins with its prefix, lists the tasks that it can
build on this machine, and builds them. A family's code is imported only when one of its names is used.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import functools
import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from optibench_benchmarks import kept, suites
from optibench_benchmarks.base import Benchmark, BenchmarkError, MissingDataError
from optibench_benchmarks.declarations import flaw, shown

ENTRY_POINT_GROUP = "optibench.benchmarks"


class UnknownBenchmarkError(BenchmarkError):
    """No task or suite has that name; the message gives the closest ones."""


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


_families: dict[str, Family] = {}
_broken: dict[str, str] = {}


def register(family: Family) -> None:
    """Register a family; a prefix that is taken is an error.

    Raises:
        BenchmarkError: Another family has that prefix, the prefix holds a slash, or the module of its reference values
            does not exist.
    """
    if not isinstance(family.prefix, str) or not family.prefix or "/" in family.prefix:
        raise BenchmarkError(f"A benchmark family's prefix is one non-empty word without '/', not {family.prefix!r}.")
    for attribute in ("summary", "target", "references"):
        text = getattr(family, attribute)
        if not isinstance(text, str):
            raise BenchmarkError(
                f"Benchmark family {family.prefix!r}: its `{attribute}` must be text, not {shown(text)}."
            )
    family.references_file()
    taken = _families.get(family.prefix)
    if taken is not None and taken != family:
        raise BenchmarkError(
            f"Benchmark family {family.prefix!r} is registered twice, by {taken.target} and {family.target}; "
            "rename one."
        )
    _families[family.prefix] = family


@contextlib.contextmanager
def temporarily(some: Iterable[Family]) -> Iterator[None]:
    """Register families for as long as the block runs.

    Raises:
        BenchmarkError: See :func:`register`; none of them is registered then.
    """
    _load_entry_points()
    with contextlib.ExitStack() as stack:
        for family in some:
            known = family.prefix in _families
            register(family)
            if not known:
                stack.callback(_families.pop, family.prefix)
        yield


_OURS = (
    ("synthetic", "analytic test functions, optima shifted (or rotated)", "synthetic:provider"),
    ("bbob", "BBOB's 24 noiseless functions", "bbob:provider"),
    ("bbob-constrained", "54 functions of BBOB with constraints", "bbob:constrained"),
    ("bbob-biobj", "55 pairs of BBOB's functions, two objectives", "bbob:biobjective"),
    ("engineering", "engineering designs with constraints", "engineering:provider"),
    ("pymoo", "ZDT, DTLZ, WFG: several objectives, constraints", "pymoo:provider"),
    ("hpobench", "HPOBench: tables of neural networks; six models, trained", "training.hpobench.tasks:provider"),
    ("hpolib", "HPOLib's fully connected networks, 4 regression tasks", "tabular:hpolib"),
    ("nasbench201", "NAS-Bench-201 cells, 3 image tasks", "tabular:nasbench201"),
    ("hpob", "HPO-B's recorded evaluations, choices among rows", "hpob.tasks:provider"),
    ("yahpo", "YAHPO Gym surrogates on OpenML tasks", "yahpo.tasks:provider"),
    ("mnist", "trains a perceptron on MNIST", "training.digits.tasks:mnist"),
    ("moe-router", "trains a predictor of expert routing", "training.moe.tasks:provider"),
    ("mainrun", "trains a small GPT on headlines", "training.mainrun.tasks:provider"),
    ("cifar", "trains a convolutional network on CIFAR-10", "training.cifar.tasks:provider"),
    ("attention", "trains language models, six attentions", "training.attention.tasks:provider"),
    ("digits", "trains a perceptron on scikit-learn's digits", "training.digits.tasks:digits"),
    ("live", "scikit-learn pipelines as people tune them", "live:provider"),
)
for _prefix, _summary, _target in _OURS:
    register(Family(_prefix, _summary, f"optibench_benchmarks.{_target}"))
_installed = set(_families)


@functools.cache
def _load_entry_points() -> None:
    before = set(_families)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        name = point.name
        try:
            family = point.load()
            if not isinstance(family, Family):
                raise BenchmarkError(f"it is a {type(family).__name__}, not an optibench_benchmarks.Family.")
            name = family.prefix
            register(family)
        except (Exception, SystemExit) as error:  # a third party's module may raise anything
            reason = error if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}".splitlines()[0]
            _broken[name] = f"Plug-in {point.name!r} ({point.value}, of {ENTRY_POINT_GROUP}) is broken: {reason}"
    _installed.update(_families.keys() - before)


def is_installed(prefix: str) -> bool:
    """Whether a family is built in or an installed plug-in, not registered by this process only."""
    _load_entry_points()
    return prefix in _installed


def families() -> dict[str, Family]:
    """Every registered family by prefix, including plug-ins."""
    _load_entry_points()
    return dict(_families)


def broken() -> dict[str, str]:
    """The plug-ins that could not be registered or listed: prefix and error."""
    _load_entry_points()
    return dict(_broken)


def names() -> list[str]:
    """Every task that can be listed on this machine, family by family; a broken family has none (:func:`broken`)."""
    found: list[str] = []
    for family in families().values():
        try:
            found += family.names()
        except BenchmarkError as error:
            _broken[family.prefix] = str(error)
    return found


def create(name: str) -> Benchmark:
    """Build the task of that name.

    Raises:
        UnknownBenchmarkError: No family can build it; the message gives the closest names.
        MissingDataError: Its data is not on this machine; the message says how to fetch it.
        BenchmarkError: The plug-in of that prefix is broken.
    """
    return _family(name).create(name)


def check(patterns: Iterable[str]) -> None:
    """Refuse names of tasks and suites that :func:`expand` would not know.

    It builds no task and looks for no data; so it is quick, and :func:`expand` may still refuse the patterns.

    Raises:
        UnknownBenchmarkError: There is no such task or suite; the message gives the closest ones.
        BenchmarkError: A suffix is wrong, or the plug-in of that prefix is broken.
    """
    for pattern in patterns:
        name = pattern.removeprefix("!")
        if name in suites.load():
            continue
        if _is_glob(name):
            _glob(name, {})
        else:
            _family(name).check(name)


def _family(name: str) -> Family:
    """The family of a task, by its prefix; raises as :func:`create`."""
    prefix = name.partition("/")[0]
    family = families().get(prefix)
    if prefix in _broken:
        raise BenchmarkError(_broken[prefix])
    if family is None:
        raise UnknownBenchmarkError(unknown("benchmark", name, [*names(), *suites.load()], "optibench list benchmarks"))
    return family


def expand(patterns: Iterable[str], skipped: dict[str, str] | None = None) -> list[str]:
    """Turn task names, suite names and globs into task names, in order, each once.

    A pattern that begins with ``!`` removes its matches from those of the patterns before it. A glob may carry
    suffixes (``synthetic/*-5d+noise=0.1``). Other spellings of a task (``synthetic/branin`` for
    ``synthetic/branin-2d``) come back as its registered name. A glob leaves out the tasks that are kept for one look
    (:mod:`optibench_benchmarks.kept`), so that nobody sees their results by the way; their full names do not.

    Args:
        patterns: Task names, suite names and globs.
        skipped: If given, tasks with missing data are skipped and added here, each with the reason.

    Raises:
        UnknownBenchmarkError: A pattern matches nothing.
        MissingDataError: The data of a task, named or matched, is not on this machine.
        BenchmarkError: A suffix is wrong, or no task is left.
    """
    patterns = list(patterns)
    missing: dict[str, str] = {}
    found = _expand(patterns, missing)
    if missing and (skipped is None or not found):
        raise MissingDataError(_lacking(patterns, missing, bool(found)))
    if patterns and not found:
        raise BenchmarkError(
            f"No benchmark is left of {' '.join(patterns)}; name what to run before what to leave out."
        )
    if skipped is not None:
        skipped.update(missing)
    return list(found)


def look_up(patterns: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The tasks of patterns, as :func:`expand` reads them, and those whose data is missing, each with the reason.

    Raises:
        UnknownBenchmarkError: A pattern matches nothing.
    """
    missing: dict[str, str] = {}
    return list(_expand(patterns, missing)), missing


def _expand(patterns: Iterable[str], missing: dict[str, str]) -> dict[str, None]:
    found: dict[str, None] = {}
    for pattern in patterns:
        if not pattern.startswith("!"):
            found.update(dict.fromkeys(_matches(pattern, missing)))
            continue
        gone: dict[str, str] = {}
        for name in _matches(pattern[1:], gone, removing=True):
            found.pop(name, None)
        for name in gone:
            if not name.endswith("/*") or fnmatch.fnmatchcase(name, pattern[1:]):
                missing.pop(name, None)
    return found


def _lacking(patterns: Sequence[str], missing: dict[str, str], others: bool) -> str:
    """One sentence on tasks whose data is missing."""
    for name in patterns:
        if name in missing and "*" not in name:
            return missing[name]
    reasons = "; ".join(dict.fromkeys(reason.rstrip(".") for reason in missing.values()))
    names = list(missing)
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    if not others:
        return f"No task on this machine matches {' '.join(patterns)!r}; the data of {listed} is missing: {reasons}."
    return f"The data of {listed} is missing: {reasons}; or leave these tasks out with --skip-missing."


def _matches(pattern: str, missing: dict[str, str], removing: bool = False) -> list[str]:
    """The tasks of a pattern; those without data go to ``missing``, with the reasons."""
    known_suites = suites.load()
    if pattern in known_suites:
        return list(_expand(known_suites[pattern], missing))
    if not _is_glob(pattern):
        try:
            return [create(pattern).name]
        except MissingDataError as error:
            missing[pattern] = str(error)
            return []
    lacking: dict[str, str] = {}
    matches = _glob(pattern, lacking)
    if not removing:
        matches, lacking = _not_kept(pattern, matches, lacking)
    missing.update(lacking)
    _, plus, suffixes = pattern.partition("+")
    return [create(name + plus + suffixes).name for name in matches] if plus else matches


def _not_kept(pattern: str, matches: list[str], lacking: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Without the tasks that are kept for one look."""
    left = [name for name in matches if not kept.is_kept(name)]
    lacking_left = {name: reason for name, reason in lacking.items() if not kept.is_kept(name)}
    if not left and not lacking_left:
        raise BenchmarkError(
            f"All tasks that {pattern!r} matches are kept for one look; spell out their names if this is it: "
            f"{', '.join([*matches, *lacking][:3])}{', ...' if len(matches) + len(lacking) > 3 else '.'}"
        )
    return left, lacking_left


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _glob(pattern: str, missing: dict[str, str]) -> list[str]:
    """The tasks that a glob matches, suffixes aside; those without data go to ``missing``."""
    glob = pattern.partition("+")[0]
    # Lists only the families that the glob can match, because listing may read data.
    prefix = glob.partition("/")[0]
    meant = [family for family in families().values() if fnmatch.fnmatchcase(family.prefix, prefix) or "/" not in glob]
    matches = [name for family in meant for name in family.names() if fnmatch.fnmatchcase(name, glob)]
    absent = {name: reason for family in meant for name, reason in family.absent().items() if _may_mean(glob, name)}
    missing.update(absent)
    if not matches and not absent:
        raise UnknownBenchmarkError(
            unknown("benchmark", pattern, [*names(), *suites.load()], "optibench list benchmarks")
        )
    return matches


def _may_mean(glob: str, name: str) -> bool:
    """Whether a glob matches a task, or may match one of a group that ends with ``/*``.

    A glob that names no family (``*/*-2d``) must match the whole group, in which its ending may not occur.
    """
    if not name.endswith("/*") or glob.partition("/")[0] != name.partition("/")[0]:
        return fnmatch.fnmatchcase(name, glob)
    return any(fnmatch.fnmatchcase(name[:-1], glob[:end]) for end in range(1, len(glob) + 1))


def unknown(kind: str, name: str, known: Sequence[str], listing: str) -> str:
    """The message for an unknown name, with the closest names."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"see `{listing}`."
    return f"Unknown {kind} {name!r}: {hint}"

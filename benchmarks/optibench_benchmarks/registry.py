"""Benchmarks by name: families of tasks, suites, globs and third-party entry points."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points

from optibench_benchmarks import kept, suites
from optibench_benchmarks.base import Benchmark, BenchmarkError, MissingDataError
from optibench_benchmarks.declarations import shown
from optibench_benchmarks.family import Family, UnknownBenchmarkError, unknown

ENTRY_POINT_GROUP = "optibench.benchmarks"

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

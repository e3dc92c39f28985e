"""Optimizers by name, imported only when one is created.

``optibench list`` reads the entries below and so needs no torch, smac or scikit-learn.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import yaml
from packaging.requirements import InvalidRequirement

from optibench_optimizers import catalog, requirements
from optibench_optimizers.base import Fidelity, Optimizer, OptimizerError
from optibench_optimizers.declarations import annotation, check
from optibench_optimizers.entry import Entry, _first_line, settings_of
from optibench_optimizers.settings import of_type, whole

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

ENTRY_POINT_GROUP = "optibench.optimizers"


class UnknownOptimizerError(OptimizerError):
    """No optimizer has that name; the message gives the closest ones."""


_entries: dict[str, Entry] = {}
_broken: dict[str, str] = {}
_installed: set[str] = set()


def register(entry: Entry) -> None:
    """Register an optimizer; a name that is taken is an error.

    Raises:
        OptimizerError: Another optimizer has that name, or the name holds one of ``: , = /`` or white space; the entry
            has a field of the wrong type, or a requirement that pip cannot parse.
    """
    if (
        not isinstance(entry.name, str)
        or not entry.name
        or any(character in ":,=/" or character.isspace() for character in entry.name)
    ):
        raise OptimizerError(f"An optimizer's name has none of ': , = /' and no spaces: {entry.name!r} has; rename it.")
    check(entry)
    try:
        requirements.names(entry.packages)  # versions cost more, and nobody asks for them yet
    except InvalidRequirement as error:
        raise OptimizerError(f"Optimizer {entry.name!r} names a package as pip does not read it: {error}.") from None
    taken = _entries.get(entry.name)
    if taken is not None and taken != entry:
        raise OptimizerError(
            f"Optimizer {entry.name!r} is registered twice, by {taken.target} and {entry.target}; rename one."
        )
    _entries[entry.name] = entry


@contextlib.contextmanager
def temporarily(some: Iterable[Entry]) -> Iterator[None]:
    """Register optimizers for as long as the block runs.

    Raises:
        OptimizerError: See :func:`register`; none of them is registered then.
    """
    _load_entry_points()
    with contextlib.ExitStack() as stack:
        for entry in some:
            known = entry.name in _entries
            register(entry)
            if not known:
                stack.callback(_entries.pop, entry.name)
        yield


@functools.cache
def _load_entry_points() -> None:
    before = set(_entries)
    for entry in catalog.ENTRIES:
        register(entry)

    for point in entry_points(group=ENTRY_POINT_GROUP):
        name = point.name
        try:
            entry = point.load()
            if not isinstance(entry, Entry):
                raise OptimizerError(f"it is a {type(entry).__name__}, not an optibench_optimizers.Entry.")
            name = entry.name
            register(entry)
        except (Exception, SystemExit) as error:  # a third party's module may raise anything
            reason = error if isinstance(error, OptimizerError) else _first_line(error)
            _broken[name] = f"Plug-in {point.name!r} ({point.value}, of {ENTRY_POINT_GROUP}) is broken: {reason}"
    _installed.update(_entries.keys() - before)


def is_installed(name: str) -> bool:
    """Whether an optimizer is built in or an installed plug-in, not registered by this process only."""
    _load_entry_points()
    return name in _installed


def entries() -> dict[str, Entry]:
    """Every registered optimizer by name, including plug-ins."""
    _load_entry_points()
    return dict(_entries)


def broken() -> dict[str, str]:
    """The plug-ins that could not be registered: name and error."""
    _load_entry_points()
    return dict(_broken)


def parse(spec: str) -> tuple[Entry, dict[str, Any]]:
    """Read ``name`` or ``name:key=value,key=value``; values are YAML scalars.

    Raises:
        UnknownOptimizerError: No optimizer has that name.
        OptimizerError: The settings are malformed, or the plug-in of that name is broken.
    """
    name, colon, rest = spec.partition(":")
    known = entries()
    if name in _broken:
        raise OptimizerError(_broken[name])
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(close)}?" if close else "see `optibench list optimizers`."
        raise UnknownOptimizerError(f"Unknown optimizer {name!r}: {hint}")
    settings: dict[str, Any] = {}
    if colon:
        for part in rest.split(","):
            key, equals, text = part.partition("=")
            if not equals or not key.strip().isidentifier() or not text.strip() or key.strip() in settings:
                raise OptimizerError(
                    f"Optimizer {spec!r}: {part!r} is not a setting; write name:key=value,key=value, each key once."
                )
            settings[key.strip()] = _scalar(text.strip())
    return known[name], settings


def _scalar(text: str) -> Any:
    """A YAML scalar, except that ``1e-6`` is a number here (YAML expects ``1.0e-6``)."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: an impossible date
        return text
    if isinstance(value, str) and value[:1] in "+-.0123456789":
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def create(
    spec: str,
    space: ConfigurationSpace,
    *,
    seed: int,
    n_trials: int,
    settings: Mapping[str, Any] | None = None,
    fidelity: Fidelity | None = None,
    n_objectives: int = 1,
    n_constraints: int = 0,
) -> Optimizer:
    """Build an optimizer from its name, with the settings in the name and in ``settings``.

    An optimizer that declares ``multi_fidelity`` gets ``fidelity``; the others always evaluate at the full one. One
    that has arguments for the numbers of objectives and constraints gets them.

    Raises:
        UnknownOptimizerError: No optimizer has that name.
        OptimizerError: A package is missing, a setting is unknown, or the optimizer cannot handle the space, several
            objectives or constraints.
    """
    entry, given = parse(spec)
    given.update(settings or {})
    check_settings(entry, given)
    limit = entry.capabilities.max_dimensions
    if limit is not None and len(space) > limit:
        raise OptimizerError(
            f"Optimizer {entry.name!r} handles at most {limit} parameters; this space has {len(space)}."
        )
    if lacking := entry.capabilities.lacks(n_objectives, n_constraints):
        raise OptimizerError(f"Optimizer {entry.name!r} does not take {lacking}.")
    if entry.capabilities.multi_fidelity:
        given["fidelity"] = fidelity
    with entry.named():
        whole("seed", seed, least=0)
        whole("n_trials", n_trials)
        cls = entry.load()
        counts = {"n_objectives": n_objectives, "n_constraints": n_constraints}
        taken = inspect.signature(cls).parameters
        given |= {name: count for name, count in counts.items() if name in taken}
        return cls(space, seed=seed, n_trials=n_trials, **given)


def known_settings(entry: Entry) -> tuple[Mapping[str, Any], bool]:
    """An optimizer's settings with what each may be, and whether it takes others too.

    It is imported unless its entry declares the settings.

    Raises:
        OptimizerError: It cannot be imported.
    """
    if entry.settings is not None:
        return entry.settings, False
    cls = entry.load()
    known = {name: annotation(cls, parameter) for name, parameter in settings_of(cls).items()}
    return known, any(one.kind is one.VAR_KEYWORD for one in inspect.signature(cls).parameters.values())


def check_settings(entry: Entry, settings: Mapping[str, Any]) -> None:
    """Reject unknown settings and values that are not what they may be.

    Raises:
        OptimizerError: A setting is unknown (the message lists the known ones), or a value has the wrong type.
    """
    if not entry.target.startswith("optibench_optimizers."):
        entry.load()  # a plug-in that cannot be imported, or differs from its entry, fails here
    known, open_ended = known_settings(entry)
    for key, value in settings.items():
        if key in known:
            with entry.named():
                of_type(key, value, known[key])
        elif not open_ended:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise OptimizerError(f"Optimizer {entry.name!r} has no setting {key!r}{hint}: {has}.")

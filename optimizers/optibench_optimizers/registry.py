"""Optimizers by name, imported only when one is created.

``optibench list`` reads the entries below and so needs no torch, smac or scikit-learn.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import yaml
from packaging.requirements import InvalidRequirement

from optibench_optimizers import requirements
from optibench_optimizers.base import Capabilities, Fidelity, Optimizer, OptimizerError, Training
from optibench_optimizers.declarations import check, check_type
from optibench_optimizers.settings import SettingError, whole

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

ENTRY_POINT_GROUP = "optibench.optimizers"
NOT_SETTINGS = ("self", "space", "seed", "n_trials", "fidelity")
"""Parameters of an optimizer's constructor that are not its settings."""


class UnknownOptimizerError(OptimizerError):
    """No optimizer has that name; the message gives the closest ones."""


@dataclass(frozen=True)
class Entry:
    """What is known of an optimizer without importing it.

    Attributes:
        name: How users name it.
        summary: One line for ``optibench list``.
        target: ``module:Class`` of the :class:`~optibench_optimizers.base.Optimizer`.
        capabilities: The class's own ``capabilities``, repeated here so that listing imports nothing (a test holds the
            two together).
        packages: The distributions whose versions determine its results: part of a cell's key. ``optuna>=5`` declares
            the oldest version that counts as this optimizer.
        companions: Modules that its libraries look for by themselves and without which they fall back on something
            slower or worse; they must be quick to import.
        install: The ``pip install`` command that brings them.
        fingerprint: ``module:function`` of what else determines its results, such as the weights of a network: takes
            the settings, gives a word for a cell's key. Empty if there is nothing.
    """

    name: str
    summary: str
    target: str
    capabilities: Capabilities
    packages: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    install: str = "pip install optiformer-bench"
    fingerprint: str = ""

    def load(self) -> type[Optimizer]:
        """Import the optimizer's class.

        Raises:
            OptimizerError: A package is missing, or as :meth:`check`, and the message says which command installs it;
                the code cannot be imported, or holds something else than this entry says.
        """
        self.check()
        cls = self._imported(self.target)
        if not isinstance(cls, type) or not issubclass(cls, Optimizer):
            raise OptimizerError(
                f"Optimizer {self.name!r}: {self.target} is no class of optibench_optimizers.Optimizer."
            )
        if cls.capabilities != self.capabilities:
            raise OptimizerError(
                f"Optimizer {self.name!r}: its entry and {self.target} declare different capabilities, "
                f"{self.capabilities} and {cls.capabilities}; give the entry the class's."
            )
        return cls

    def _imported(self, target: str) -> Any:
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise OptimizerError(
                f"Optimizer {self.name!r} needs the package {error.name!r}, which is missing; run `{self.install}`."
            ) from error
        except (Exception, SystemExit) as error:  # whatever a third party's module does when it is imported
            raise OptimizerError(
                f"Optimizer {self.name!r} ({target}) cannot be loaded: {_first_line(error)}"
            ) from error

    def identify(self, settings: Mapping[str, Any]) -> str | None:
        """What besides settings and package versions determines the results; ``None`` if nothing does."""
        if not self.fingerprint:
            return None
        with self.named():
            found: str = self._imported(self.fingerprint)(settings)
        return found

    def training(self, settings: Mapping[str, Any]) -> Training | None:
        """The training phase that settings ask for, if any; they were checked by :func:`check_settings`.

        Raises:
            OptimizerError: They name a training configuration that is missing or wrong.
        """
        with self.named():
            return self.load().training(settings)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Add the optimizer's name to what is wrong with a setting."""
        try:
            yield
        except SettingError as error:
            raise OptimizerError(f"Optimizer {self.name!r}: {error}") from error

    def versions(self) -> dict[str, str]:
        """The installed version of each of :attr:`packages` (``missing`` where there is none)."""
        return requirements.versions(self.packages)

    def check(self) -> None:
        """Refuse to run it in a reduced mode.

        Raises:
            OptimizerError: It has :meth:`problems`; the message says which command installs what it needs.
        """
        if problems := self.problems():
            raise OptimizerError(
                f"Optimizer {self.name!r} would not run as it should: {'; '.join(problems)}; run `{self.install}`."
            )

    def problems(self) -> list[str]:
        """Why it would run slower or otherwise than it should: old packages, absent companions; a phrase each."""
        return [*requirements.outdated(self.packages), *requirements.absent(self.companions)]


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


_entries: dict[str, Entry] = {}
_broken: dict[str, str] = {}
_installed: set[str] = set()


def register(entry: Entry) -> None:
    """Make an optimizer known; a name that is taken is an error.

    Raises:
        OptimizerError: Another optimizer has that name, or the name holds one of ``: , = /`` or white space; the entry
            declares something of a wrong kind, or a package in a way that pip does not read.
    """
    if (
        not isinstance(entry.name, str)
        or not entry.name
        or any(character in ":,=/" or character.isspace() for character in entry.name)
    ):
        raise OptimizerError(f"An optimizer's name has none of ': , = /' and no spaces: {entry.name!r} has; rename it.")
    check(entry)
    try:
        entry.versions()
    except InvalidRequirement as error:
        raise OptimizerError(f"Optimizer {entry.name!r} names a package as pip does not read it: {error}.") from None
    taken = _entries.get(entry.name)
    if taken is not None and taken != entry:
        raise OptimizerError(
            f"Optimizer {entry.name!r} is registered twice, by {taken.target} and {entry.target}; rename one."
        )
    _entries[entry.name] = entry


@functools.cache
def _load_entry_points() -> None:
    before = set(_entries)
    import optibench_optimizers.catalog  # noqa: F401  (registers ours)

    for point in entry_points(group=ENTRY_POINT_GROUP):
        name = point.name
        try:
            entry = point.load()
            if not isinstance(entry, Entry):
                raise OptimizerError(f"it is a {type(entry).__name__}, not an optibench_optimizers.Entry.")
            name = entry.name
            register(entry)
        except (Exception, SystemExit) as error:  # whatever a third party's module does when it is imported
            reason = error if isinstance(error, OptimizerError) else _first_line(error)
            _broken[name] = f"Plug-in {point.name!r} ({point.value}, of {ENTRY_POINT_GROUP}) is broken: {reason}"
    _installed.update(_entries.keys() - before)


def is_installed(name: str) -> bool:
    """Whether an optimizer is ours or a plug-in's, and not one that this process alone has registered."""
    _load_entry_points()
    return name in _installed


def entries() -> dict[str, Entry]:
    """Every registered optimizer by name, third parties' included."""
    _load_entry_points()
    return dict(_entries)


def broken() -> dict[str, str]:
    """The plug-ins that could not be registered: one sentence each, by the name that cannot be used for it."""
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
    """A YAML scalar, except that ``1e-6`` is a number here (YAML wants ``1.0e-6``)."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that is none
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
) -> Optimizer:
    """Build an optimizer from its name, with the settings in the name and in ``settings``.

    An optimizer that declares ``multi_fidelity`` is given ``fidelity``; the others evaluate in full.

    Raises:
        UnknownOptimizerError: No optimizer has that name.
        OptimizerError: A package is missing, a setting is unknown, or the optimizer cannot handle the space.
    """
    entry, given = parse(spec)
    given.update(settings or {})
    check_settings(entry, given)
    limit = entry.capabilities.max_dimensions
    if limit is not None and len(space) > limit:
        raise OptimizerError(
            f"Optimizer {entry.name!r} handles at most {limit} parameters; this space has {len(space)}."
        )
    if entry.capabilities.multi_fidelity:
        given["fidelity"] = fidelity
    with entry.named():
        whole("seed", seed, least=0)
        whole("n_trials", n_trials)
        return entry.load()(space, seed=seed, n_trials=n_trials, **given)


def check_settings(entry: Entry, settings: Mapping[str, Any]) -> None:
    """Refuse settings that the optimizer does not have, or whose values its annotations do not allow.

    Raises:
        OptimizerError: A setting is unknown, and the message lists the ones there are; or a value has a wrong type.
    """
    if not settings and entry.target.startswith("optibench_optimizers."):
        return  # nothing to check, so that a large library is not imported for it; ours a test holds to its entry
    cls = entry.load()
    parameters = inspect.signature(cls).parameters.values()
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = {
        parameter.name: parameter
        for parameter in parameters
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.name not in NOT_SETTINGS
    }
    for key, value in settings.items():
        if key in known:
            with entry.named():
                check_type(cls, known[key], value)
        elif not open_ended:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise OptimizerError(f"Optimizer {entry.name!r} has no setting {key!r}: {has}.")

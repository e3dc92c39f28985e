"""What is known of an optimizer without importing it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optibench_optimizers import requirements
from optibench_optimizers.base import Capabilities, Optimizer, OptimizerError, Training
from optibench_optimizers.settings import SettingError

NOT_SETTINGS = ("self", "space", "seed", "n_trials", "fidelity", "n_objectives", "n_constraints")
"""Parameters of an optimizer's constructor that are not its settings."""


@dataclass(frozen=True)
class Startup:
    """The trials before an optimizer's first suggestion that a model, or a second generation, makes.

    Attributes:
        trials: Their number; those of an initial design belong to them.
        setting: The setting that changes it.
        generation: Whether they are a generation that follows the initial design, by default of 4 + 3 ln d trials.
    """

    trials: int = 0
    setting: str = ""
    generation: bool = False

    def first(self, settings: Mapping[str, Any], *, n_initial: int, dimensions: int) -> int | None:
        """The number of that first trial, counted from 1; ``None`` if the library's own initial design decides."""
        own = int(settings.get(self.setting, self.trials))
        if self.generation:
            return n_initial + (own or 4 + int(3 * math.log(dimensions))) + 1
        return max(own, n_initial) + 1 if own or n_initial else None


@dataclass(frozen=True)
class Entry:
    """What is known of an optimizer without importing it.

    Attributes:
        name: How users name it.
        summary: One line for ``optibench list``.
        target: ``module:Class`` of the :class:`~optibench_optimizers.base.Optimizer`.
        capabilities: The class's ``capabilities``, so that listing imports nothing (a test compares them).
        packages: The distributions whose versions determine its results: part of a cell's key. ``optuna>=5`` declares
            the oldest supported version.
        companions: Optional modules without which its libraries silently become slower or worse; they must be quick to
            import.
        install: The ``pip install`` command for all of them.
        fingerprint: ``module:function`` that turns the settings into a word for a cell's key, identifying whatever else
            determines the results, such as the weights of a network. Empty if there is nothing.
        settings: What each setting may be: ``bool``, ``int``, ``float``, ``str``, or a
            :class:`~optibench_optimizers.settings.Whole`, ``Number`` or ``Choice``. Then a wrong setting is refused,
            and the command line completes settings, without an import. ``None``: the class's constructor says it.
        startup: The trials before its first model-based one, for reports; ``None`` if it has no model or does not say.
    """

    name: str
    summary: str
    target: str
    capabilities: Capabilities
    packages: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    install: str = "pip install optiformer-bench"
    fingerprint: str = ""
    settings: Mapping[str, Any] | None = field(default=None, hash=False)
    startup: Startup | None = None

    def load(self) -> type[Optimizer]:
        """Import the optimizer's class.

        Raises:
            OptimizerError: A package is missing or too old (the message has the command that installs it), or the code
                cannot be imported or does not match this entry.
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
        wrong = set(self.settings or {}) ^ set(settings_of(cls)) if self.settings is not None else set()
        if wrong:
            raise OptimizerError(
                f"Optimizer {self.name!r}: its entry and {self.target} declare different settings, "
                f"{', '.join(sorted(wrong))} in one of them only; give the entry the constructor's."
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
        except (Exception, SystemExit) as error:  # a third party's module may raise anything
            raise OptimizerError(
                f"Optimizer {self.name!r} ({target}) cannot be loaded: {_first_line(error)}"
            ) from error

    def identify(self, settings: Mapping[str, Any]) -> str | None:
        """Identifies what determines the results besides settings and package versions; ``None`` if nothing does."""
        if not self.fingerprint:
            return None
        with self.named():
            found: str = self._imported(self.fingerprint)(settings)
        return found

    def training(self, settings: Mapping[str, Any]) -> Training | None:
        """The training phase that settings ask for, if any; they were checked by :func:`check_settings`.

        Raises:
            OptimizerError: They name a missing or invalid training configuration.
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
        """Reject an installation that would run it in a reduced mode.

        Raises:
            OptimizerError: It has :meth:`problems`; the message says which command installs what it needs.
        """
        if problems := self.problems():
            raise OptimizerError(
                f"Optimizer {self.name!r} would not run as it should: {'; '.join(problems)}; run `{self.install}`."
            )

    def problems(self) -> list[str]:
        """Why it would run slower or worse than it should: old packages and missing companions, a phrase each."""
        return [*requirements.outdated(self.packages), *requirements.absent(self.companions)]


def settings_of(cls: type[Optimizer]) -> dict[str, inspect.Parameter]:
    """The parameters of an optimizer's constructor that are its settings."""
    return {
        parameter.name: parameter
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.name not in NOT_SETTINGS
    }


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]

"""The optimizer contract: ask for configurations, tell what they gave.

Invariants that the harness relies on and the conformance tests check:

* An optimizer always *minimizes*; the runner flips the sign of a benchmark, or of an objective, that is maximized.
* Its suggestions depend only on ``(space, seed, n_trials, settings)`` and on the observations in their order: on no
  clock and no global random state. Replaying the asks and tells gives the same next suggestion, so a resumed cell is
  exact.
* Configurations are plain mappings of active parameters to Python values, valid in the space.
* Observations of configurations that it did not suggest (the shared initial design) may come at any time; it uses them.
* A suggestion without a fidelity is a full evaluation; only an optimizer that declares ``multi_fidelity`` suggests
  other ones.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

State = Literal["ok", "failed", "timeout", "infeasible"]


class OptimizerError(Exception):
    """A mistake the user can fix; the message says in one sentence what is wrong, where, and how to fix it."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A configuration to evaluate and its fidelity (``None``: the full one)."""

    config: Mapping[str, Any]
    fidelity: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of evaluating a configuration.

    Attributes:
        config: The configuration that was evaluated.
        value: The value to minimize; NaN unless ``state`` is ``ok``, and with several objectives.
        state: ``ok`` | ``failed`` | ``timeout`` | ``infeasible``: evaluated, and a constraint is above 0.
        fidelity: The fidelity it was evaluated at; ``None`` for the full one.
        values: With several objectives or with constraints, all objectives, to be minimized; also of an infeasible
            trial, empty of a failed one.
        constraints: The constraints likewise, fulfilled where they are <= 0.
    """

    config: Mapping[str, Any]
    value: float
    state: State = "ok"
    fidelity: Mapping[str, Any] | None = None
    values: tuple[float, ...] = ()
    constraints: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The fidelity that a multi-fidelity optimizer varies: one number, proportional to the cost of an evaluation.

    Attributes:
        name: The parameter's name in the benchmark's fidelity space.
        low: The lowest value, above 0.
        high: The full fidelity.
        whole: Whether it is a count (of epochs): suggestions then have whole numbers.
    """

    name: str
    low: float
    high: float
    whole: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= self.high < math.inf:
            raise OptimizerError(
                f"Fidelity {self.name!r} must lie between two positive numbers, not {self.low!r} and {self.high!r}."
            )

    def at(self, value: float) -> dict[str, Any]:
        """The fidelity that a suggestion carries: ``value``, rounded where whole and kept between low and high."""
        inside = min(max(value, self.low), self.high)
        return {self.name: round(inside) if self.whole else float(inside)}

    def rungs(self, eta: int) -> list[float]:
        """The levels of successive halving: ``high / eta**k`` down to the lowest one that is not below ``low``.

        Returns:
            Ascending, the full fidelity last; not rounded.
        """
        # the tolerance keeps the lowest rung of 1 to 243, whose logarithm to the base 3 comes out as 4.999999999999999
        most = math.floor(math.log(self.high / self.low) / math.log(eta) + 1e-9)
        return [self.high / eta**k for k in range(most, -1, -1)]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an optimizer can do, as data.

    Attributes:
        conditional: ``native`` if the library knows conditional parameters; otherwise one sentence on how this adapter
            flattens them.
        batch: Whether ``ask`` considers pending configurations: the others of the same ``ask(n)`` and of earlier asks.
        multi_fidelity: Whether it chooses fidelities. Such an optimizer takes a keyword argument ``fidelity``, the
            :class:`Fidelity` it may vary; without one (``None``, the default) it proposes full evaluations only.
        max_dimensions: The most parameters it can handle; ``None`` for no limit.
        failed: What it learns from a failed trial, in a few words.
        replay: Whether replaying the asks and tells restores its state, so that a killed cell resumes exactly. If not,
            a resumed cell continues from the recorded trials, but its next suggestions may differ.
        ignores_budget: Whether ``n_trials`` changes no suggestion; a finished cell can then continue with more trials.
        objectives: Whether it takes tasks with several objectives. If its constructor has a keyword argument
            ``n_objectives``, it gets their number.
        constraints: Whether it takes tasks with constraints; likewise ``n_constraints``.
    """

    conditional: str = "native"
    batch: bool = False
    multi_fidelity: bool = False
    max_dimensions: int | None = None
    failed: str = "left out"
    replay: bool = True
    ignores_budget: bool = False
    objectives: bool = False
    constraints: bool = False

    def lacks(self, n_objectives: int, n_constraints: int) -> str | None:
        """What a task needs and it does not take, as words; ``None`` if it takes all."""
        wanted = (
            (n_objectives > 1, self.objectives, "several objectives"),
            (n_constraints > 0, self.constraints, "constraints"),
        )
        return " and ".join(what for needed, taken, what in wanted if needed and not taken) or None


@dataclass(frozen=True, slots=True)
class Training:
    """A training phase that an optimizer wants before its cells.

    Attributes:
        key: A hash of everything that determines what is trained: part of a cell's key.
        run: Trains, or finds the result of an earlier training with that key; an interrupted training resumes. Returns
            the cost (``seconds``, as recorded during training) and anything else worth keeping.
    """

    key: str
    run: Callable[[], Mapping[str, Any]]


class Optimizer(ABC):
    """An ask/tell optimizer over a ConfigSpace; see the module's invariants.

    Args:
        space: The search space. Not modified: its own random state is never used.
        seed: Seeds every random generator.
        n_trials: The whole budget, including the initial design; some libraries schedule by it.
        **settings: The optimizer's own settings (``name:key=value`` on the command line). Every one has a default.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int) -> None: ...

    @classmethod
    def training(cls, settings: Mapping[str, Any]) -> Training | None:
        """The training phase that these settings ask for; ``None`` (the default) for none.

        Raises:
            OptimizerError: The settings name a missing or invalid training configuration.
        """
        return None

    @abstractmethod
    def ask(self, n: int = 1) -> list[Suggestion]:
        """Propose ``n`` configurations, each valid in the space."""

    @abstractmethod
    def tell(self, observations: Sequence[Observation]) -> None:
        """Observe evaluated configurations, suggested or not."""

    def withdraw(self, suggestions: Sequence[Suggestion]) -> None:
        """Drop pending suggestions that will never be evaluated; override if pending suggestions are considered.

        A resumed cell replays its recorded trials. If the optimizer then suggests other configurations than before, as
        on another processor, the harness withdraws them.
        """
        return None

    def close(self) -> None:
        """Release what the optimizer holds (temporary folders, processes)."""
        return None

"""`ob.task`: makes a task of a function of a configuration."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from optibench.plan.tasks import RandomValues
from optibench_benchmarks import Benchmark, BenchmarkError, Config, Direction, Evaluation, Front, Reference
from optibench_benchmarks.declarations import flaw

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

N_RANDOM = 100
"""Number of random configurations for ``reference="random"``."""
SOURCE = f"median and worst of {N_RANDOM} random configurations of this run; best value as the user gave it"


class FunctionTask(Benchmark):
    """A function as a task; :func:`task` makes it.

    Attributes:
        function: Evaluates a configuration.
        random: Whether the values of random configurations are measured before the run.
        best: The best possible value, as given by the user.
        random_values: These values once they are known.
    """

    def __init__(
        self, name: str, function: Callable[..., float | Evaluation], space: ConfigurationSpace, direction: Direction
    ) -> None:
        self.name, self.function, self.space, self.direction = name, function, space, direction
        self._takes_seed = _takes_seed(function)
        self.sampling = "noisy" if self._takes_seed else "deterministic"
        self.random = False
        self.best: float | None = None
        self.random_values: RandomValues | None = None

    @property
    def made_of(self) -> tuple[Any, ...]:
        """What determines its values."""
        several = (dict(self.objectives), self.constraints) if self.objectives or self.constraints else ()
        return self.function, self.space, self.direction, *several

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        found = self.function(dict(config), **({"seed": seed} if self._takes_seed else {}))
        if isinstance(found, Evaluation):
            return found
        try:
            return Evaluation(float(found))
        except (TypeError, ValueError):
            raise TypeError(
                f"{self.name} returned {_short(found)}; it must return a number or an ob.Evaluation"
            ) from None

    def measured(self, found: RandomValues) -> FunctionTask:
        """A copy with the values of random configurations, and with a reference if the best value is known.

        Raises:
            BenchmarkError: The best value is not better than the median of the random configurations.
        """
        made = FunctionTask(self.name, self.function, self.space, self.direction)
        made.constraints = self.constraints
        made.random_values = found
        if self.best is not None:
            ahead = found.f_ref - self.best if self.direction == "minimize" else self.best - found.f_ref
            if ahead <= 0:
                raise BenchmarkError(
                    f"The task {self.name!r}: best={self.best!r} is not better than the median of {found.n} random "
                    f"configurations, {found.f_ref!r}; give the best possible value, or leave `best` out."
                )
            made.reference = Reference(self.best, found.f_ref, found.f_worst, SOURCE)
        return made


def task(
    function: Callable[..., float | Evaluation],
    space: ConfigurationSpace | Mapping[str, Any],
    *,
    direction: Direction = "minimize",
    reference: Reference | Literal["random"] | None = None,
    best: float | None = None,
    name: str | None = None,
    objectives: Mapping[str, Direction] | None = None,
    constraints: Sequence[str] = (),
    front: Front | None = None,
) -> FunctionTask:
    """Make a task of a function.

    Args:
        function: Takes a configuration, a ``dict`` of the active parameters. If it has a parameter ``seed``, it also
            gets a seed, and the task counts as noisy. Returns a number or an :class:`ob.Evaluation`. If it raises an
            error, or returns NaN or an infinite number, the trial has failed.
        space: A ``ConfigurationSpace``, or a dict for one: ``{"x": (-5.0, 5.0), "n": (1, 10), "kind": ["a", "b"]}`` for
            a float, an integer and a choice.
        direction: ``minimize`` or ``maximize``.
        reference: The values that normalise regret. ``None``: there is no regret; optimizers are compared by signs and
            ranks. ``"random"``: 100 random configurations are evaluated before the run; their median is ``f_ref`` and
            the worst of them ``f_worst``. They are stored in the run folder and reused.
        best: With ``reference="random"``, the best possible value, ``f_best``; without it, there is no regret.
        name: Its name in tables; the function's name by default.
        objectives: Several objectives, with the direction of each; then the function returns
            ``ob.Evaluation(values=(...))``, and ``front`` says what their hypervolume is compared with.
        constraints: The names of constraints, fulfilled where they are <= 0; then the function returns
            ``ob.Evaluation(value, constraints=(...))``.
        front: The frozen front of several objectives, an :class:`ob.Front`.

    Raises:
        BenchmarkError: An argument is wrong.
    """
    from ConfigSpace import ConfigurationSpace

    found = name if name is not None else getattr(function, "__name__", type(function).__name__)
    if not callable(function):
        raise BenchmarkError(f"ob.task takes a function first, not {_short(function)}.")
    if name is None and not found.isidentifier():
        raise BenchmarkError(f"A task of {found} needs a name: ob.task(..., name='mine').")
    if not isinstance(space, ConfigurationSpace):
        try:
            space = ConfigurationSpace(space={key: _range(given) for key, given in dict(space).items()})
        except Exception as error:  # ConfigSpace raises many types of errors
            why = " ".join(str(error).split())
            raise BenchmarkError(
                f"The task {found!r}: `space` is a ConfigurationSpace, or a dict like "
                f'{{"x": (-5.0, 5.0), "n": (1, 10), "kind": ["a", "b"]}}, not {_short(space)} ({why}).'
            ) from error
    made = FunctionTask(found, function, space, direction)
    made.objectives = dict(objectives) if isinstance(objectives, Mapping) else objectives or {}
    made.constraints = tuple(constraints) if isinstance(constraints, list) else cast(Any, constraints)
    made.front, made.reference = front, None if isinstance(reference, str) else reference
    if made.objectives and reference is not None:
        raise BenchmarkError(f"The task {found!r}: several objectives have a `front`, not a `reference`.")
    if wrong := flaw(made):
        raise BenchmarkError(f"The task {found!r}: {wrong}.")
    if best is not None:
        if isinstance(best, bool) or not isinstance(best, int | float) or not math.isfinite(best):
            raise BenchmarkError(f"The task {found!r}: `best` is a number, not {_short(best)}.")
        if reference != "random":
            raise BenchmarkError(
                f'The task {found!r}: `best` goes with reference="random"; otherwise give reference=ob.Reference(...).'
            )
        made.best = float(best)
    if isinstance(reference, str):
        if reference != "random":
            raise BenchmarkError(
                f'The task {found!r}: `reference` is None, "random" or an ob.Reference, not {reference!r}.'
            )
        made.random = True
    return made


def _range(given: Any) -> Any:
    """A range of floats where one end is a float: ConfigSpace takes (0, 1.5) for the integers from 0 to 2."""
    mixed = isinstance(given, tuple) and {int, float} == {type(end) for end in given}
    return tuple(map(float, given)) if mixed else given


def _takes_seed(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have none
        return False
    return "seed" in parameters


def _short(value: object) -> str:
    return " ".join(repr(value).split())[:100]

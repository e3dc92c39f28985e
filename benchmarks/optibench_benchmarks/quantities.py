"""Wrappers that turn what an evaluation returns beside its value into an objective or a constraint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Direction, Evaluation, Front, Reference
from optibench_benchmarks.hypervolume import Bools, Floats
from optibench_benchmarks.references.fronts import exact, find

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

COST = "cost"
"""The name of ``cost_seconds`` among the quantities of a task that knows its costs."""


class Wrapper(Benchmark):
    """A benchmark that delegates to another one, except for what a subclass changes.

    Attributes:
        base: The wrapped benchmark.
    """

    def __init__(self, base: Benchmark, suffix: str) -> None:
        self.base = base
        self.name = f"{base.name}+{suffix}"
        self.direction = base.direction
        self.objectives, self.constraints = dict(base.objectives), base.constraints
        self.sampling = base.sampling
        self.fidelity_space = base.fidelity_space
        self.main_fidelity, self.has_cost = base.main_fidelity, base.has_cost
        self.data_version, self.left_out = base.data_version, base.left_out
        self.metrics, self.failures = dict(base.metrics), base.failures

    @property
    def space(self) -> ConfigurationSpace:  # type: ignore[override]  # the base may build its own when first asked
        return self.base.space

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]  # likewise
        return self.base.reference

    @property
    def front(self) -> Front | None:  # type: ignore[override]  # likewise
        return self.base.front

    def _refuse_several(self, what: str) -> None:
        """Reject a base with several objectives, of which a wrapper changes one."""
        if self.base.objectives:
            raise BenchmarkError(f"{what} is for tasks with one objective; {self.base.name} has several.")

    def _change(self, evaluation: Evaluation, config: Config, seed: int) -> Evaluation:
        """The base's evaluation, transformed."""
        return evaluation

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return self._change(self.base.evaluate(config, seed=seed, fidelity=fidelity), config, seed)

    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int, fidelity: Config | None = None
    ) -> list[Evaluation]:
        evaluations = self.base.evaluate_batch(configs, seed=seed, fidelity=fidelity)
        return [self._change(evaluation, config, seed) for evaluation, config in zip(evaluations, configs, strict=True)]


def quantities(task: Benchmark) -> dict[str, Direction]:
    """What evaluations return beside the value, with directions: the cost, the metrics, a table's further columns."""
    found: dict[str, Direction] = {COST: "minimize"} if task.has_cost else {}
    return found | dict(task.metrics) | dict(getattr(task, "columns", {}))


class Extended(Wrapper):
    """A wrapper that turns a quantity of each evaluation into an objective or a constraint.

    Over a complete table, references are exact; elsewhere they are frozen if a search has made them, or there are none.
    """

    def __init__(self, base: Benchmark, quantity: str, suffix: str) -> None:
        known = quantities(base)
        if quantity not in known:
            has = f"it returns {', '.join(known)}" if known else "it returns nothing beside its value"
            raise BenchmarkError(f"{base.name} has no {quantity!r} for +{suffix.partition('=')[0]}: {has}.")
        super().__init__(base, suffix)
        self.quantity, self.columns = quantity, dict(getattr(base, "columns", {}))

    def column(self, name: str) -> Floats | None:
        """A quantity of every configuration, (n,); ``None`` if the base is no complete table."""
        return self.base.column(name) if hasattr(self.base, "column") else None

    def feasible(self) -> Bools:
        """Which configurations of a complete table fulfil all constraints, (n,)."""
        found: Bools = self.base.feasible()  # type: ignore[attr-defined]
        return found

    def frozen(self, name: str) -> tuple[Reference | None, str]:
        """The frozen reference of a task over the innermost base, and why headlines leave it out."""
        found: tuple[Reference | None, str] = self.base.frozen(name) if hasattr(self.base, "frozen") else (None, "")
        return found

    @property
    def root(self) -> Benchmark:
        """The innermost base."""
        return self.base.root if isinstance(self.base, Extended) else self.base

    def extended(self, evaluation: Evaluation, config: Config) -> Evaluation:
        """What this task makes of an evaluation of its :attr:`root`."""
        inner = self.base.extended(evaluation, config) if isinstance(self.base, Extended) else evaluation
        return self._change(inner, config, 0)

    def entry(self, name: str, evaluation: Evaluation, config: Config) -> float:
        """A quantity of one evaluation."""
        if name in self.columns:
            number: float = self.base.entry(name, evaluation, config)  # type: ignore[attr-defined]
            return number
        return float(evaluation.cost_seconds if name == COST else evaluation.info[name])


class FurtherObjective(Extended):
    """The base's objectives and one more; the first is called ``value`` if the base has one."""

    def __init__(self, base: Benchmark, quantity: str) -> None:
        """Wrap ``base``.

        Raises:
            BenchmarkError: Its evaluations return no such quantity, or it is an objective already.
        """
        super().__init__(base, quantity, f"objective={quantity}")
        before = dict(base.objectives) or {"value": base.direction}
        if quantity in before:
            raise BenchmarkError(f"{base.name} has the objective {quantity!r} already.")
        self.objectives = before | {quantity: quantities(base)[quantity]}
        found = find(self.name, self.data_version)
        self._front: Front | None = None if found is None else found.front
        self.left_out = "" if found is None else found.left_out

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]
        return None

    @property
    def front(self) -> Front | None:  # type: ignore[override]
        """The frozen front, or that of a complete table, made now; ``None`` elsewhere."""
        if self._front is None and self.column("value") is not None:
            self._front = self.measure_front()
        return self._front

    def table(self) -> Floats | None:
        """The objectives of every configuration, (n, M); ``None`` if the base is no complete table."""
        columns = [column for name in self.objectives if (column := self.column(name)) is not None]
        return np.stack(columns, axis=1) if columns else None

    def measure_front(self) -> Front:
        """The exact front of a complete table.

        Raises:
            BenchmarkError: The base is no complete table, or nothing is feasible.
        """
        values = self.table()
        if values is None:
            raise BenchmarkError(f"No front can be made for {self.name}: its values are noisy, or no search knows it.")
        signs = [1.0 if direction == "minimize" else -1.0 for direction in self.objectives.values()]
        feasible = self.feasible()
        if not feasible.any():
            raise BenchmarkError(f"No configuration of {self.name} fulfils its constraints; loosen the bounds.")
        return exact(values, feasible, np.array(signs), f"complete table of {len(values)} configurations")

    def _change(self, evaluation: Evaluation, config: Config, seed: int) -> Evaluation:
        before = evaluation.values if self.base.objectives else (evaluation.value,)
        return replace(evaluation, value=math.nan, values=(*before, self.entry(self.quantity, evaluation, config)))


class Bounded(Extended):
    """The base with one more constraint: a quantity of at most, or at least, a bound."""

    def __init__(self, base: Benchmark, quantity: str, bound: float, *, upper: bool = True) -> None:
        """Wrap ``base``.

        Raises:
            BenchmarkError: Its evaluations return no such quantity, the bound is not finite or there already, or no
                configuration of a complete table fulfils all constraints.
        """
        name = f"{'max' if upper else 'min'}_{quantity}"
        super().__init__(base, quantity, f"{name}={float(bound)!r}")
        if not math.isfinite(bound) or name in base.constraints:
            raise BenchmarkError(f"{base.name} takes one finite bound as +{name}, not {bound!r}.")
        self.constraints = (*base.constraints, name)
        self.bound, self.sign = float(bound), 1.0 if upper else -1.0
        self._reference, self.left_out = self.frozen(self.name)

    def feasible(self) -> Bools:
        column = self.column(self.quantity)
        assert column is not None
        return super().feasible() & (self.sign * (column - self.bound) <= 0.0)

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]
        """The best, median and worst of feasible configurations: exact over a table, else frozen or ``None``."""
        if self._reference is None and not self.objectives and (values := self.column("value")) is not None:
            values = values[self.feasible()]
            if not len(values):
                raise BenchmarkError(f"No configuration of {self.name} fulfils its constraints; loosen the bounds.")
            ends = float(values.min()), float(values.max())
            best, worst = ends if self.direction == "minimize" else ends[::-1]
            source = f"complete table, {len(values)} feasible configurations"
            try:
                self._reference = Reference(best, float(np.median(values)), worst, source)
            except ValueError as error:
                raise BenchmarkError(f"{self.name} has no reference: {error}.") from None
        return self._reference

    @property
    def front(self) -> Front | None:  # type: ignore[override]
        if self.objectives:
            raise BenchmarkError(
                f"{self.name}: give bounds before further objectives, +max_... and then +objective=..."
            )
        return None

    def _change(self, evaluation: Evaluation, config: Config, seed: int) -> Evaluation:
        over = self.sign * (self.entry(self.quantity, evaluation, config) - self.bound)
        return replace(evaluation, constraints=(*evaluation.constraints, over))

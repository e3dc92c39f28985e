"""Gaussian-process optimization as scikit-optimize does it (``skopt.Optimizer`` with ``base_estimator="GP"``)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skopt import Optimizer as SkoptOptimizer
from skopt.space import Categorical, Dimension, Integer, Real

from optibench_optimizers.base import Observation, OptimizerError, Suggestion
from optibench_optimizers.catalog import CAPABILITIES
from optibench_optimizers.history import Pending, PendingOptimizer, Values
from optibench_optimizers.parameters import Parameter
from optibench_optimizers.settings import library_seed
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def dimension(parameter: Parameter) -> Dimension:
    """The scikit-optimize dimension over a parameter's codes."""
    prior = "log-uniform" if parameter.log else "uniform"
    if parameter.kind == "float":
        return Real(parameter.low, parameter.high, prior=prior, name=parameter.name)
    if parameter.kind == "categorical":
        # Strings, because scikit-optimize sometimes takes a list of two numbers for a range.
        return Categorical([str(code) for code in range(len(parameter.values))], name=parameter.name)
    return Integer(int(parameter.low), int(parameter.high), prior=prior, name=parameter.name)


class SkoptGP(PendingOptimizer):
    """``skopt.Optimizer`` with its defaults: Matern 5/2 GP with fitted noise, ``gp_hedge`` over EI, LCB and PI.

    Observed trials count as initial points: a shared initial design of ten replaces the library's own random ten. Each
    ask fits the model once, to all observations. A failed trial counts as the worst success so far. Forbidden clauses
    become the library's ``space_constraint``, which restricts its acquisition optimizer to random candidates.

    Args:
        space, seed, n_trials: See :class:`~optibench_optimizers.base.Optimizer`.
        acq_func: ``gp_hedge`` | ``EI`` | ``LCB`` | ``PI``.
        n_initial_points: Number of trials before the model is used.
    """

    capabilities = CAPABILITIES["gp-skopt"]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        acq_func: str = "gp_hedge",
        n_initial_points: int = 10,
    ) -> None:
        self._space = SearchSpace(space)
        self._values = Values()
        self._pending: Pending[list[Any]] = Pending()
        self._told: list[list[Any]] = []
        self._optimizer = SkoptOptimizer(
            [dimension(parameter) for parameter in self._space.parameters],
            base_estimator="GP",
            acq_func=acq_func,
            n_initial_points=n_initial_points,
            random_state=library_seed(seed),
            n_jobs=1,
            model_queue_size=1,  # otherwise it keeps every model
            space_constraint=self._is_allowed if space.forbidden_clauses else None,
        )

    def ask(self, n: int = 1) -> list[Suggestion]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "has been evaluated before": it then takes a random point, as documented
            self._learn()
            optimizer = self._liar() if self._pending.waiting() else self._optimizer
            points = [optimizer.ask()] if n == 1 else optimizer.ask(n_points=n)
        configs = [self._config(point) for point in points]
        if not all(map(self._space.is_allowed, configs)):
            raise OptimizerError("scikit-optimize proposed a forbidden configuration; use `random` on this space.")
        for config in configs:
            self._pending.add(config, self._point(config))
        return [Suggestion(config) for config in configs]

    def _liar(self) -> SkoptOptimizer:
        """A copy in which pending configurations have the best value so far (the library's lies end with the ask)."""
        optimizer = self._optimizer.copy(random_state=self._optimizer.rng.randint(2**31 - 1))
        waiting = self._pending.waiting()
        optimizer.tell(waiting, [min(optimizer.yi, default=0.0)] * len(waiting))
        return optimizer

    def tell(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            self._pending.pop(observation.config)
            self._told.append(self._point(observation.config))
            self._values.add(observation)

    def _learn(self) -> None:
        known = len(self._optimizer.yi)
        if len(self._told) == known:
            return
        values = self._values.imputed()
        # The value of failed trials changes with the worst success.
        self._optimizer.yi[:] = values[:known]
        self._optimizer.tell(self._told[known:], values[known:])

    def _point(self, config: Mapping[str, Any]) -> list[Any]:
        codes = zip(self._space.parameters, self._space.codes(config), strict=True)
        return [str(code) if parameter.kind == "categorical" else code for parameter, code in codes]

    def _config(self, point: Sequence[Any]) -> Config:
        pairs = zip(self._space.parameters, point, strict=True)
        return self._space.configuration([float(x) if p.kind == "float" else int(x) for p, x in pairs])

    def _is_allowed(self, point: Sequence[Any]) -> bool:
        return self._space.is_allowed(self._config(point))

"""Teachers: optimizers whose trajectories on synthetic functions are the training data.

The TPE teacher is Optuna's own Parzen estimator driven on arrays, with ``TPESampler``'s split, weights and number of
candidates: proposals equal those of a study with ``TPESampler(multivariate=True)`` (a test compares them) at about two
thirds of the cost. Teachers see a conditional space flattened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from optiformer.sequence.prior.problem import SyntheticProblem

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Array = NDArray[np.float64]
TeacherName = Literal["tpe", "random", "cmaes"]
N_STARTUP = 10
N_CANDIDATES = 24


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Trajectory of a teacher on a function.

    Attributes:
        positions: Snapped positions, NaN where inactive; shape (T, D).
        values: Observed, noisy values; shape (T,).
        truths: Noise-free values; shape (T,).
    """

    positions: Array
    values: Array
    truths: Array


class _Recorder:
    """Evaluates positions one at a time and keeps the trajectory."""

    def __init__(self, problem: SyntheticProblem, rng: np.random.Generator, n_trials: int) -> None:
        self.problem = problem
        self.rng = rng
        self.positions = np.empty((n_trials, problem.layout.dimensions))
        self.values = np.empty(n_trials)
        self.truths = np.empty(n_trials)
        self.n = 0

    def evaluate(self, position: Array) -> float:
        snapped = self.problem.layout.snap(position[None])
        truth = float(self.problem(snapped)[0])
        value = truth + self.problem.noise * float(self.rng.standard_normal()) if self.problem.noise else truth
        self.positions[self.n], self.values[self.n], self.truths[self.n] = snapped[0], value, truth
        self.n += 1
        return value

    def evaluate_all(self, positions: Array) -> None:
        """Evaluate (N, D) positions that do not depend on each other's values."""
        rows = slice(self.n, self.n + len(positions))
        self.positions[rows] = self.problem.layout.snap(positions)
        self.truths[rows] = self.problem(self.positions[rows])
        self.values[rows] = self.truths[rows] + self.problem.noise * self.rng.standard_normal(len(positions))
        self.n += len(positions)

    def trajectory(self) -> Trajectory:
        active = self.problem.layout.active(self.positions)
        return Trajectory(np.where(active, self.positions, np.nan), self.values, self.truths)


def run_random(problem: SyntheticProblem, rng: np.random.Generator, n_trials: int) -> Trajectory:
    """Uniform random search."""
    recorder = _Recorder(problem, rng, n_trials)
    recorder.evaluate_all(rng.random((n_trials, problem.layout.dimensions)))
    return recorder.trajectory()


def run_tpe(problem: SyntheticProblem, rng: np.random.Generator, n_trials: int) -> Trajectory:
    """Optuna's multivariate TPE, random for the first ten trials."""
    recorder = _Recorder(problem, rng, n_trials)
    state = np.random.RandomState(rng.integers(2**31))
    layout = problem.layout
    space = tpe_space(layout.levels, layout.categorical)
    levels = np.maximum(layout.levels, 1)
    for t in range(n_trials):
        if t < N_STARTUP:
            recorder.evaluate(rng.random(layout.dimensions))
            continue
        internal = np.where(layout.levels > 0, np.floor(recorder.positions[:t] * levels), recorder.positions[:t])
        proposal = propose_tpe(internal, recorder.values[:t], space, state)
        recorder.evaluate(np.where(layout.levels > 0, (proposal + 0.5) / levels, proposal))
    return recorder.trajectory()


def tpe_space(levels: NDArray[np.int64], categorical: NDArray[np.bool_]) -> dict[str, BaseDistribution]:
    """Optuna distributions of a layout: unit floats, integers from 0, categories."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space: dict[str, Any] = {}
    for i, (n, unordered) in enumerate(zip(levels, categorical, strict=True)):
        if n == 0:
            space[f"x{i}"] = FloatDistribution(0.0, 1.0)
        else:
            choices = range(int(n))
            space[f"x{i}"] = CategoricalDistribution(choices) if unordered else IntDistribution(0, int(n) - 1)
    return space


def propose_tpe(
    internal: Array,
    values: Array,
    space: dict[str, BaseDistribution],
    rng: np.random.RandomState,
) -> Array:
    """One proposal of multivariate TPE.

    Args:
        internal: Past configurations in Optuna's internal representation, shape (T, D).
        values: Their values to minimize, shape (T,).
        space: The distributions, in the order of the columns.
        rng: Random state of Optuna's samplers.

    Returns:
        The proposal in the internal representation, shape (D,).
    """
    from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
    from optuna.samplers._tpe.sampler import default_gamma, default_weights

    parameters = _ParzenEstimatorParameters(
        prior_weight=1.0, consider_magic_clip=True, consider_endpoints=False, weights=default_weights, multivariate=True
    )
    # Each half is in the order of the trials, since the estimator's weights decrease with age.
    order = np.argsort(values, kind="stable")
    n_below = default_gamma(len(values))
    halves = [
        _ParzenEstimator({name: internal[rows, i] for i, name in enumerate(space)}, space, parameters)
        for rows in (np.sort(order[:n_below]), np.sort(order[n_below:]))
    ]
    samples = halves[0].sample(rng, N_CANDIDATES)
    best = int(np.argmax(halves[0].log_pdf(samples) - halves[1].log_pdf(samples)))
    return np.array([samples[name][best] for name in space])


def run_cmaes(problem: SyntheticProblem, rng: np.random.Generator, n_trials: int) -> Trajectory:
    """CMA-ES inside the unit cube, started at the best of five random points and restarted at convergence."""
    from cmaes import CMA

    dimensions = problem.layout.dimensions
    recorder = _Recorder(problem, rng, n_trials)
    # The package needs two dimensions; the second one has no effect.
    padded = max(dimensions, 2)
    starts = rng.random((min(5, n_trials), dimensions))
    mean = starts[int(np.argmin([recorder.evaluate(start) for start in starts]))]
    bounds = np.tile([0.0, 1.0], (padded, 1))
    while recorder.n < n_trials:
        start = np.concatenate([mean, np.full(padded - dimensions, 0.5)])
        seed = int(rng.integers(2**31))
        optimizer = CMA(mean=start, sigma=float(rng.uniform(0.1, 0.3)), bounds=bounds, seed=seed)
        while recorder.n + optimizer.population_size <= n_trials and not optimizer.should_stop():
            points = [optimizer.ask() for _ in range(optimizer.population_size)]
            optimizer.tell([(point, recorder.evaluate(point[:dimensions])) for point in points])
        mean = rng.random(dimensions)
        for _ in range(n_trials - recorder.n if recorder.n + optimizer.population_size > n_trials else 0):
            recorder.evaluate(optimizer.ask()[:dimensions])
    return recorder.trajectory()


TEACHERS: dict[TeacherName, Callable[[SyntheticProblem, np.random.Generator, int], Trajectory]] = {
    "tpe": run_tpe,
    "random": run_random,
    "cmaes": run_cmaes,
}

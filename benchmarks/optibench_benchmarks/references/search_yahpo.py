"""The search for the best value of a YAHPO task, for its frozen reference.

It works on arrays of points in the unit cube, one coordinate for each parameter, which a :class:`Codec` turns into the
network's inputs; configuration objects are made only at the end, so that an evaluation costs little more than the
few microseconds of the network.

The search has three stages: islands, each with its own values of the categorical parameters as long as these are few;
one population of all islands' best with the categories free; around the best few, a sweep over each coordinate's levels
and a Gaussian local search with a shrinking step. Points with many coordinates on the walls are tried throughout: on
``rbv2_xgboost`` the best values lie there, and in basins that uniform points rarely hit. New points come from
differential variation, crossover and Gaussian steps of log-uniform length, after Storn and Price, "Differential
Evolution", J. Global Optimization 11, 1997.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.yahpo.tasks import YahpoBenchmark

Points = NDArray[np.float64]
_ISLANDS = 18
_POPULATION = 128
_OFFSPRING = 500
_POLISHED = 12
_LEVELS = 26


class Codec:
    """Turns points of the unit cube into a task's network inputs (at the highest fidelity) and configurations.

    Args:
        benchmark: The task.

    Attributes:
        parameters: The search space's parameters as parsed JSON, one for each coordinate.
        categories: The number of categories by coordinate, for categorical parameters.

    Raises:
        BenchmarkError: The search space has forbidden clauses or a parameter that is not uniform or categorical.
    """

    def __init__(self, benchmark: YahpoBenchmark) -> None:
        content = benchmark.surrogate.content
        self.parameters = [dict(item) for item in content["hyperparameters"] if item["name"] in benchmark.space]
        kinds = {item["type"] for item in self.parameters} - {"uniform_float", "uniform_int", "categorical"}
        if kinds or content.get("forbiddens"):
            what = ", ".join(sorted(kinds)) or "forbidden clauses"
            raise BenchmarkError(f"The reference search does not know the {what} in the space of {benchmark.name}.")
        for item in self.parameters:
            if "lower" in item:
                # ConfigSpace rounds bounds to 13 digits and refuses values between its own and the file's.
                bounded: Any = benchmark.space[item["name"]]
                item["lower"], item["upper"] = bounded.lower, bounded.upper
        self.categories = {
            i: len(item["choices"]) for i, item in enumerate(self.parameters) if item["type"] == "categorical"
        }
        self._encoder = benchmark.encoder()
        self._conditions: dict[str, list[Any]] = {}
        for item in content.get("conditions", ()):
            self._conditions.setdefault(item["child"], []).append(item)

    def values(self, points: Points) -> dict[str, NDArray[Any]]:
        """Each parameter's values, shape ``(n,)``; a categorical one's are indices into its choices."""
        return {item["name"]: _value(item, points[:, i]) for i, item in enumerate(self.parameters)}

    def active(self, values: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.bool_]]:
        """Whether each parameter is active, shape ``(n,)``."""
        choices: dict[str, Any] = {item["name"]: item.get("choices") for item in self.parameters}
        masks: dict[str, NDArray[np.bool_]] = {}

        def mask(name: str) -> NDArray[np.bool_]:
            if name not in masks:
                found = np.ones(len(values[name]), dtype=np.bool_)
                for condition in self._conditions.get(name, ()):
                    found = found & holds(condition)
                masks[name] = found
            return masks[name]

        def holds(condition: Any) -> NDArray[np.bool_]:
            kind = condition["type"]
            if kind in ("AND", "OR"):
                parts = [holds(part) for part in condition["conditions"]]
                both: NDArray[np.bool_] = (np.logical_and if kind == "AND" else np.logical_or).reduce(parts)
                return both
            parent = condition["parent"]
            wanted = condition["values"] if kind == "IN" else [condition["value"]]
            if choices[parent] is not None:
                wanted = [choices[parent].index(value) for value in wanted]
            found = values[parent]
            if kind in ("LT", "GT"):
                met = found < wanted[0] if kind == "LT" else found > wanted[0]
            else:
                met = np.isin(found, wanted, invert=kind == "NEQ")
            result: NDArray[np.bool_] = mask(parent) & met
            return result

        return {name: mask(name) for name in values}

    def encode(self, points: Points) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The network's inputs ``x_cat`` and ``x_cont`` for points of shape ``(n, len(parameters))``."""
        values = self.values(points)
        active = self.active(values)
        choices = {item["name"]: item["choices"] for item in self.parameters if "choices" in item}
        x_cat = np.empty((len(points), len(self._encoder.categorical)), dtype=np.int32)
        for column, (name, codes, absent) in enumerate(self._encoder.categorical):
            if name in choices:
                table = np.array([codes[choice] for choice in choices[name]])
                x_cat[:, column] = np.where(active[name], table[values[name]], absent)
            else:
                x_cat[:, column] = absent
        x_cont = np.empty((len(points), len(self._encoder.numeric)), dtype=np.float32)
        for column, (name, number) in enumerate(self._encoder.numeric):
            x_cont[:, column] = np.where(active[name], values[name], number) if name in values else number
        return x_cat, x_cont

    def config(self, point: Points) -> dict[str, Any]:
        """The configuration of one point, its active parameters only, as plain Python values."""
        values = self.values(point[None])
        active = self.active(values)
        config: dict[str, Any] = {}
        for item in self.parameters:
            name = item["name"]
            if active[name][0]:
                value = values[name][0].item()
                config[name] = item["choices"][value] if "choices" in item else value
        return config


def _value(item: Any, unit: Points) -> NDArray[Any]:
    if item["type"] == "categorical":
        count = len(item["choices"])
        return np.minimum((unit * count).astype(np.int64), count - 1)
    low, high = item["lower"], item["upper"]
    margin = 0.5 if item["type"] == "uniform_int" else 0.0
    if item["log"]:
        # exp(log(bound)) may miss the bound by a rounding error, hence the clipping.
        start, end = math.log(low - margin), math.log(high + margin)
        value = np.exp(start + unit * (end - start))
    else:
        value = (low - margin) + unit * (high - low + 2 * margin)
    if margin:
        return np.clip(np.rint(value), low, high).astype(np.int64)
    return np.clip(value, low, high)


def offspring(
    points: Points, rng: np.random.Generator, categorical: NDArray[np.bool_], frozen: NDArray[np.bool_] | None = None
) -> Points:
    """New points near a population's, (n, D): by differential variation, crossover and Gaussian steps.

    Args:
        points: The population, the better ones first.
        rng: The random numbers.
        categorical: Which coordinates are categories, (D,): they are drawn anew or taken over.
        frozen: Which coordinates stay, (D,).
    """
    shape = (_OFFSPRING, points.shape[1])
    count = len(points)
    first = (count * rng.random(_OFFSPRING) ** 2).astype(np.int64)  # the better ones more often
    second, third = rng.integers(count, size=(2, _OFFSPRING))
    children = points[first]
    numeric = ~categorical
    third_of = np.arange(_OFFSPRING)[:, None] % 3
    some = rng.random(shape) < rng.random((_OFFSPRING, 1))
    difference = rng.uniform(0.2, 1.0, (_OFFSPRING, 1)) * (points[second] - points[third])
    children = np.where((third_of == 0) & some & numeric, children + difference, children)
    children = np.where((third_of == 1) & some, points[second], children)
    length = 10 ** rng.uniform(-4, -0.5, (_OFFSPRING, 1))
    step = length * rng.standard_normal(shape)
    stepping = rng.random(shape) < rng.choice([1, 2, 4], (_OFFSPRING, 1)) / shape[1]
    children = np.where((third_of != 0) & stepping & numeric, children + step, children)
    anew = (rng.random(shape) < 0.5 / shape[1]) & (third_of == 2)
    children = np.where(anew, rng.random(shape), children)
    to_wall = (rng.random(shape) < 0.5 / shape[1]) & (third_of != 0) & numeric
    children = np.where(to_wall, rng.integers(2, size=shape), children)
    if frozen is not None:
        children = np.where(frozen, points[first], children)
    # Clipped rather than reflected: many of these optima lie on the walls.
    return np.clip(children, 0.0, 1.0)


class _Search:
    """Maximizes ``score`` over the unit cube and remembers the best point it has ever scored."""

    def __init__(self, score: Callable[[Points], Points], codec: Codec, rng: np.random.Generator) -> None:
        self._score, self._codec, self._rng = score, codec, rng
        self._dimensions = len(codec.parameters)
        self._categorical = np.isin(np.arange(self._dimensions), list(codec.categories))
        self.best = -math.inf
        self.point = np.full(self._dimensions, 0.5)

    def score(self, points: Points) -> Points:
        scores = self._score(points)
        top = int(scores.argmax())
        if scores[top] > self.best:
            self.best, self.point = float(scores[top]), points[top].copy()
        return scores

    def combinations(self) -> Iterator[dict[int, float]]:
        """Coordinates of the categorical parameters for one island after the other, round and round."""
        categories = self._codec.categories
        if math.prod(categories.values()) <= 1000:
            every = np.array(list(itertools.product(*map(range, categories.values()))))
            self._rng.shuffle(every)
        else:
            every = self._rng.integers(list(categories.values()), size=(1000, len(categories)))
        for indices in itertools.cycle(every.tolist()):
            cells = zip(categories.items(), indices, strict=True)
            yield {i: (index + 0.5) / count for (i, count), index in cells}

    def island(self, locked: dict[int, float], evaluations: int) -> tuple[Points, Points]:
        """A population grown from random points, with the ``locked`` coordinates fixed: points and scores."""
        start = max(_POPULATION, evaluations // 5)
        points = self._rng.random((start, self._dimensions))
        # Half of them have coordinates on the walls, where many of these optima lie.
        on_wall = self._rng.random(points.shape) < self._rng.uniform(-0.6, 0.6, (start, 1))
        points = np.where(on_wall, np.rint(points), points)
        for i, value in locked.items():
            points[:, i] = value
        frozen = np.isin(np.arange(self._dimensions), list(locked))
        return self.grow(points, self.score(points), evaluations - start, frozen)

    def grow(
        self, points: Points, scores: Points, evaluations: int, frozen: NDArray[np.bool_]
    ) -> tuple[Points, Points]:
        """Evolve a population for that many evaluations; coordinates that are ``frozen`` stay."""
        for _ in range(evaluations // _OFFSPRING):
            keep = np.argsort(-scores, kind="stable")[:_POPULATION]
            points, scores = points[keep], scores[keep]
            children = offspring(points, self._rng, self._categorical, frozen)
            points, scores = np.concatenate([points, children]), np.concatenate([scores, self.score(children)])
        order = np.argsort(-scores, kind="stable")[:_POPULATION]
        return points[order], scores[order]

    def sweep(self, point: Points) -> tuple[Points, float]:
        """Set one coordinate after the other to the best of some levels, walls included, twice: point and score."""
        centre, best = point, -math.inf
        for _ in range(2):
            for i in range(self._dimensions):
                points = np.repeat(centre[None], _LEVELS, axis=0)
                points[1:, i] = np.linspace(0.0, 1.0, _LEVELS - 1)
                scores = self.score(points)
                top = int(scores.argmax())
                if scores[top] > best:
                    best, centre = float(scores[top]), points[top]
        return centre, best

    def polish(self, point: Points, evaluations: int) -> None:
        """A sweep, then Gaussian local search with a shorter step each round, in all numeric coordinates or a few."""
        rounds = 30
        centre, best = self.sweep(point)
        count = max(16, (evaluations - 2 * _LEVELS * self._dimensions) // rounds)
        for length in np.geomspace(0.1, 1e-6, rounds):
            moved = _moving(self._rng, (count, self._dimensions)) & ~self._categorical
            steps = length * self._rng.standard_normal((count, self._dimensions))
            points = np.clip(np.where(moved, centre + steps, centre), 0.0, 1.0)
            scores = self.score(points)
            top = int(scores.argmax())
            if scores[top] > best:
                best, centre = float(scores[top]), points[top]


def _moving(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which coordinates move: each row with its own share of them, from about one to all."""
    return rng.random(shape) < rng.uniform(1 / shape[1], 1.0, (shape[0], 1))


def search(benchmark: YahpoBenchmark, *, evaluations: int, seed: int) -> tuple[float, dict[str, Any]]:
    """Look for a task's best value at the highest fidelity.

    Args:
        benchmark: The task.
        evaluations: Approximate number of configurations to evaluate.
        seed: Determines the result, together with ``evaluations`` and the task's data.

    Returns:
        The best value found, in the benchmark's own direction, and a configuration that has it (evaluated alone, it
        may miss the value by a few millionths of the metric's range: batches are rounded differently).
    """
    codec = Codec(benchmark)
    sign = 1.0 if benchmark.direction == "maximize" else -1.0
    column = list(benchmark.surrogate.scenario.metrics).index(benchmark.metric)

    def score(points: Points) -> Points:
        return sign * benchmark.surrogate.predict(*codec.encode(points))[:, column].astype(np.float64)

    run = _Search(score, codec, np.random.default_rng(seed))
    islands = [
        run.island(locked, evaluations // 2 // _ISLANDS) for locked in itertools.islice(run.combinations(), _ISLANDS)
    ]
    share = 2 * _POPULATION // _ISLANDS
    points = np.concatenate([found[:share] for found, _ in islands])
    scores = np.concatenate([found[:share] for _, found in islands])
    free = np.zeros(points.shape[1], dtype=np.bool_)
    points, _ = run.grow(points, scores, evaluations * 3 // 10, free)
    starts = [run.point, *points[:: len(points) // 4][:4], *[found[0] for found, _ in islands]]
    for start in starts[:_POLISHED]:
        run.polish(start, evaluations // 5 // _POLISHED)
    run.polish(run.point, 3000)
    config = codec.config(run.point)
    alone = sign * benchmark.evaluate(config, seed=0).value
    return sign * max(run.best, alone), config

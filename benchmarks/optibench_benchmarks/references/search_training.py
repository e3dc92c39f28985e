"""The search for the reference values of a task that trains.

A training takes seconds, so the search is small; its value is random, so the best of many is partly luck:

1. random configurations, one training each: their median is ``f_ref``, their worst value ``f_worst``;
2. configurations near the best so far, one training each: one to three parameters of one of the best eight changed;
3. the best few are trained again with other seeds, and the best mean is ``f_best``.

A failed training counts as worse than all others. ``f_best`` is a mean, so a lucky training can be better than it;
the report clips such a regret at 0 and counts it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ConfigSpace import Configuration

from optibench_benchmarks.base import BenchmarkError, Config, Reference
from optibench_benchmarks.configurations import near, plain
from optibench_benchmarks.references.table import NEAR_BEST, Entry
from optibench_benchmarks.training.base import TrainingBenchmark

_PARENTS = 8
FINAL_SEED = 1_000_000
"""The finalists' first seed; the search uses smaller ones."""


def search(benchmark: TrainingBenchmark, *, seed: int) -> Entry:
    """Make a task's reference.

    Args:
        benchmark: The task; its ``reference_plan`` says how many trainings there are.
        seed: Determines the result, together with the plan, the data and the processor's rounding.

    Returns:
        The reference, the configuration that has ``f_best``, and the share of random configurations near that value.

    Raises:
        BenchmarkError: Not even the median training succeeds, or it is as good as the best.
    """
    plan = benchmark.reference_plan
    rng = np.random.default_rng(seed)
    benchmark.space.seed(seed)
    found: list[tuple[float, Configuration]] = []

    def attempt(configuration: Configuration) -> None:
        found.append((_score(benchmark, dict(configuration), len(found)), configuration))

    for configuration in benchmark.space.sample_configuration(plan.random):
        attempt(configuration)
    scores = np.array([score for score, _ in found])
    for _ in range(plan.local):
        parents = sorted(found, key=lambda each: -each[0])[:_PARENTS]
        attempt(near(parents[int(rng.integers(len(parents)))][1], rng))
    finalists = sorted(found, key=lambda each: -each[0])[: plan.finalists]
    means = [_mean(benchmark, dict(configuration), plan.repeats) for _, configuration in finalists]
    best = int(np.argmax(means))
    sign = 1.0 if benchmark.direction == "maximize" else -1.0
    failed = int(np.isinf(scores).sum())
    try:
        reference = Reference(
            f_best=sign * means[best],
            f_ref=sign * float(np.median(scores)),
            f_worst=sign * float(scores[np.isfinite(scores)].min()),
            source=f"{plan.random} random and {plan.local} local configurations, best mean of {plan.finalists} over "
            f"{plan.repeats} seeds, {plan.evaluations} trainings" + f", {failed} random ones failed" * (failed > 0),
        )
    except ValueError as error:
        raise BenchmarkError(f"No reference can be made for {benchmark.name}: {error}.") from None
    near_best = float(np.mean([reference.regret(sign * score) < NEAR_BEST for score in scores]))
    best_config = plain(dict(finalists[best][1]))
    return Entry(benchmark.name, reference, benchmark.data_version, best_config, seed, near_best)


def again(benchmark: TrainingBenchmark, best: Mapping[str, Any], stored: Reference) -> float:
    """The mean value of a stored best configuration, trained again as in the search's last step.

    Returns the stored value if the mean is within a tenth of ``f_ref - f_best`` of it: processors and library versions
    round differently, and a training is sensitive to that.
    """
    mean = _mean(benchmark, best, benchmark.reference_plan.repeats) * (
        1.0 if benchmark.direction == "maximize" else -1.0
    )
    return stored.f_best if abs(stored.regret(mean)) < 0.1 else mean


def _mean(benchmark: TrainingBenchmark, config: Config, repeats: int) -> float:
    return float(np.mean([_score(benchmark, config, FINAL_SEED + i) for i in range(repeats)]))


def _score(benchmark: TrainingBenchmark, config: Config, seed: int) -> float:
    """The value, larger is better; minus infinity for a training that failed."""
    try:
        value = benchmark.evaluate(plain(config), seed=seed).value
    except benchmark.failures:
        return -math.inf
    if not math.isfinite(value):
        return -math.inf
    return value if benchmark.direction == "maximize" else -value

"""Seconds of ask + tell of every registered optimizer, by past trials and parameters; run with ``make latency``.

Warm: rounds of ask + tell by an optimizer that has observed ``n`` trials and made one suggestion. After every 16 rounds
a new optimizer is created, outside the clock, so that the history stays near ``n``; SMAC retrains its model every 8
rounds. Some optimizers propose up to twenty suggestions at once, and the untimed first ask fills their queue. So, if an
ask takes less than a tenth of a second, the clock starts after 1, 6, 11 and 16 asks for four optimizers in turn. Cold,
in ``extra_info``: creating an optimizer, the tell of ``n`` trials and the first ask, with its libraries imported and a
network's weights read. docs/how-to/latency.md explains the numbers.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace

import optibench_optimizers
from optibench_optimizers import Observation, Optimizer, OptimizerError, Suggestion

VARIANTS = ("tpe:group=true", "optiformer:preset=fast", "optiformer:preset=thorough")
LABELS = (*sorted(optibench_optimizers.entries()), *VARIANTS)
PAST = (10, 50, 100, 200)
DIMENSIONS = (2, 7, 20)
WINDOW = 16
"""Rounds that one optimizer is timed for."""
BLIND = {"random": 256, "sobol": 256}
"""The same for those that learn nothing: the history does not matter, but they draw up to 128 points at once."""
EPISODES = 4
"""Optimizers per case, if time allows."""
BUDGET = 30.0
"""Approximate seconds per case."""
MIN_ROUNDS = 3
PHASE, CHEAP = 5, 0.1
"""Further untimed asks of each next optimizer, if its first one takes less than these seconds."""


class Study:
    """Optimizers after ``n`` random trials, one after the other, on the sphere function in the unit cube."""

    def __init__(self, label: str, n: int, d: int) -> None:
        self.label, self.n, self.window = label, n, BLIND.get(label, WINDOW)
        self.space = ConfigurationSpace({f"x{i}": (0.0, 1.0) for i in range(d)})
        self.left = 0
        self.cold: list[float] = []
        self.first_ask = 0.0
        self._optimizer: Optimizer | None = None

    def begin(self) -> None:
        """Make a new optimizer, tell it the trials and ask once; takes the cold seconds."""
        self.close()
        seed = len(self.cold)
        self.space.seed(seed)
        past = [_observed(dict(config)) for config in self.space.sample_configuration(self.n)]
        started = time.perf_counter()
        self._optimizer = optibench_optimizers.create(
            self.label, self.space, seed=seed, n_trials=self.n + 1 + self.window
        )
        self._optimizer.tell(past)
        told = time.perf_counter()
        suggestion = self._optimizer.ask()[0]
        done = time.perf_counter()
        self._optimizer.tell([_observed(suggestion.config)])
        self.cold.append(done - started)
        self.first_ask = done - told
        for _ in range(PHASE * (seed % EPISODES) if self.first_ask < CHEAP else 0):
            self.suggest()
        self.left = self.window

    def ready(self) -> None:
        """Before each round: a new optimizer if the window of the last one is full."""
        if self.left == 0:
            self.begin()
        self.left -= 1

    def suggest(self) -> None:
        """The timed part; the sphere function in between takes microseconds."""
        assert self._optimizer is not None
        self._optimizer.tell([_observed(self._optimizer.ask()[0].config)])

    def close(self) -> None:
        if self._optimizer is not None:
            self._optimizer.close()
            self._optimizer = None


def _observed(config: Any) -> Observation:
    return Observation(config, sum((x - 0.3) ** 2 for x in config.values()))


def rounds_within(cold: float, first_ask: float, probe: float, window: int = WINDOW) -> int:
    """The number of rounds to time.

    Four windows or as many as fit the budget, at least one; fewer rounds only of an optimizer that takes longer
    than a second a suggestion, and never fewer than three. The mean is estimated as of one that trains its model in
    one ask of eight.

    Args:
        cold: Seconds from creating an optimizer to the end of its first ask.
        first_ask: Seconds of that ask, which trains a model if there is one.
        probe: Seconds of the next ask and tell.
        window: Rounds that one optimizer is timed for.
    """
    mean = (first_ask + 7 * probe) / 8
    if mean > 1 and window * mean > BUDGET:
        return max(MIN_ROUNDS, int((BUDGET - cold - probe) / mean))
    return window * max(1, min(EPISODES, int(BUDGET / (cold + window * mean))))


@functools.cache
def first_use(label: str) -> float:
    """Import the libraries and read the weights, outside the clocks below; returns the seconds."""
    started = time.perf_counter()
    study = Study(label, n=12, d=2)
    try:
        study.begin()
        study.suggest()
    finally:
        study.close()
    return time.perf_counter() - started


@pytest.fixture
def _one_thread() -> None:
    if os.environ.get("OMP_NUM_THREADS") != "1":
        pytest.fail("latency is measured with one thread: set OMP_NUM_THREADS=1, or use `make latency`")
    with suppress(ImportError):
        import torch

        torch.set_num_threads(1)


@pytest.mark.parametrize("d", DIMENSIONS, ids="d{}".format)
@pytest.mark.parametrize("n", PAST, ids="n{}".format)
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_one_thread")
def test_ask_and_tell(benchmark: Any, label: str, n: int, d: int) -> None:
    study = Study(label, n, d)
    busy = os.getloadavg()[0]
    try:
        try:
            first = first_use(label)
            study.begin()
        except OptimizerError as error:  # too many parameters, a missing package
            pytest.skip(f"{label} at n={n}, D={d}: {error}")
        study.ready()
        started = time.perf_counter()
        study.suggest()
        rounds = rounds_within(study.cold[0], study.first_ask, time.perf_counter() - started, study.window)
        if rounds >= study.window:
            study.left = 0  # whole windows; fewer rounds continue with the present optimizer
        benchmark.group = f"n={n:03d}, D={d:02d}"
        benchmark.pedantic(study.suggest, setup=study.ready, rounds=rounds)
    finally:
        study.close()
    benchmark.extra_info.update(
        optimizer=label,
        n=n,
        d=d,
        rounds=rounds,
        cold_seconds=statistics.median(study.cold),
        cold_seconds_all=study.cold,
        first_use_seconds=first,
        packages=optibench_optimizers.parse(label)[0].versions(),
        load_average=busy,
    )


def test_rounds_fit_the_budget() -> None:
    assert rounds_within(0.001, 0.0005, 0.0005) == 64
    assert rounds_within(2.0, 0.5, 0.5) == 48  # (2 + 16 x 0.5) s a window
    assert rounds_within(1.0, 1.5, 0.05) == 64, "SMAC: an ask that trains and seven that do not"
    assert rounds_within(20.0, 0.9, 0.9) == 16, "under a second never fewer than one window"
    assert rounds_within(3.0, 3.0, 3.0) == 8, "what is left of the budget"
    assert rounds_within(60.0, 50.0, 50.0) == MIN_ROUNDS


def test_the_history_stays_near_n_and_plans_are_timed_at_every_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Planning(Optimizer):
        """Proposes ten suggestions at a time."""

        def __init__(self, space: ConfigurationSpace, *, seed: int, n_trials: int) -> None:
            self.told, self.asked = 0, 0

        def ask(self, n: int = 1) -> list[Suggestion]:
            if self.asked % 10 == 0:
                made.append(self.told)
            self.asked += 1
            return [Suggestion({"x0": 0.5, "x1": 0.5})]

        def tell(self, observations: Sequence[Observation]) -> None:
            self.told += len(observations)

    monkeypatch.setattr(optibench_optimizers, "create", lambda label, space, **settings: Planning(space, **settings))
    study, timed, told = Study("planning", n=10, d=2), 0, []
    for _ in range(4 * WINDOW):
        study.ready()
        told.append(study._optimizer.told)  # type: ignore[union-attr]
        before = len(made)
        study.suggest()
        timed += len(made) - before
    assert min(told) == 11
    assert max(told) == 10 + 1 + 3 * PHASE + WINDOW - 1
    assert len(study.cold) == EPISODES
    assert timed == pytest.approx(4 * WINDOW / 10, abs=1)


def test_every_registered_optimizer_is_timed() -> None:
    assert set(optibench_optimizers.entries()) <= set(LABELS)
    for label in LABELS:
        optibench_optimizers.parse(label)

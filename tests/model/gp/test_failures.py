"""The probability of failing: random failures, regions, combinations of choices."""

from __future__ import annotations

import numpy as np
import pytest

from optiformer.gp.failures import FailureModel
from optiformer.gp.posterior import Kinds

N = 40
KINDS = Kinds(np.array([False, False, True, True]), np.array([0.0, 0.0, 3.0, 2.0]))


def trials(n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    position = rng.random((n, 4))
    position[:, 2] = (np.floor(3 * position[:, 2]) + 0.5) / 3
    position[:, 3] = (np.floor(2 * position[:, 3]) + 0.5) / 2
    return position, np.ones((n, 4), dtype=bool)


def probability(
    failed: np.ndarray,
    position: np.ndarray,
    active: np.ndarray,
    candidates: np.ndarray,
    prior_correlation: np.ndarray | None = None,
) -> np.ndarray:
    everywhere = np.ones(candidates.shape, dtype=bool)
    prior_correlation = np.zeros((len(candidates), len(position))) if prior_correlation is None else prior_correlation
    return FailureModel(KINDS, position, active, failed).probability(candidates, everywhere, prior_correlation)


def test_random_failures_have_a_constant_rate() -> None:
    position, active = trials()
    failed = np.random.default_rng(1).random(N) < 0.25
    found = probability(failed, position, active, trials(200, 2)[0])
    assert found.mean() == pytest.approx(failed.mean(), abs=0.08)
    assert found.max() < 0.6


def test_a_failing_region_is_learned() -> None:
    position, active = trials()
    candidates = trials(200, 2)[0]
    found = probability(position[:, 0] > 0.6, position, active, candidates)
    assert found[candidates[:, 0] > 0.8].mean() > 3 * found[candidates[:, 0] < 0.4].mean()


def test_a_failing_combination_of_choices_is_learned() -> None:
    position, active = trials()
    candidates = trials(200, 2)[0]

    def bad(x: np.ndarray) -> np.ndarray:
        return (x[:, 2] > 0.6) & (x[:, 3] > 0.5)

    found = probability(bad(position), position, active, candidates)
    assert found[bad(candidates)].min() > 0.6
    assert found[~bad(candidates)].max() < 0.2


def test_failures_nearby_predict_a_failure() -> None:
    """However few; and where one of several did, it is one of several."""
    position, active = trials(8)
    failed = np.arange(8) < 2
    prior_correlation = np.zeros((3, 8))
    prior_correlation[1, :2] = 0.99
    prior_correlation[2, 1:] = 0.99
    unrelated, bad, mixed = probability(failed, position, active, trials(3, 1)[0], prior_correlation)
    assert bad > 0.85
    assert unrelated < mixed + 0.2
    assert mixed < 0.4


def test_predictions_are_probabilities_after_any_history() -> None:
    for n in (1, 2, 9):
        position, active = trials(n)
        for failed in (np.ones(n, dtype=bool), np.arange(n) == 0):
            found = probability(failed, position, active, trials(50, 3)[0])
            assert ((found > 0) & (found < 1)).all()

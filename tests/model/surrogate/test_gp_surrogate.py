"""The GP in place of the network: what it predicts, and that the search around it finds a bowl's minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from optiformer.gp.posterior import Kinds
from optiformer.search.config import with_settings
from optiformer.search.proposer import Proposer
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.gp_surrogate import ConditionedGP, GPSurrogate
from optiformer.surrogate.observed import Observed

KINDS = Kinds(np.zeros(2, dtype=bool), np.zeros(2))


def conditioned(value: np.ndarray, position: np.ndarray, **settings: object) -> ConditionedGP:
    active = np.ones(position.shape, dtype=bool)
    observed = Observed(position, active, value, np.zeros(len(value), dtype=bool))
    return GPSurrogate(**settings).condition(KINDS, observed, evaluations=30)  # type: ignore[arg-type]


def bowl(position: np.ndarray) -> np.ndarray:
    return np.asarray(np.square(position - 0.3).sum(1))


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((30, 2)), rng.random((200, 2))


def test_location_and_scale_of_the_values_change_nothing(points: tuple[np.ndarray, np.ndarray]) -> None:
    known, new = points
    active = np.ones(new.shape, dtype=bool)
    one, other = (conditioned(scale * bowl(known) + shift, known) for scale, shift in ((1, 0), (7e3, -2)))
    for function in ("value", "improvement"):
        first, second = (
            model.expected_improvement.value(new, active)
            if function == "value"
            else model.probability_of_improvement(new, active, margin=0.01, temperature=1.0)
            for model in (one, other)
        )
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-9)


def test_the_probability_of_improvement_is_that_of_its_own_predictions(points: tuple[np.ndarray, np.ndarray]) -> None:
    known, new = points
    active = np.ones(new.shape, dtype=bool)
    model = conditioned(bowl(known), known)
    mean, deviation = model.gp.predict(model.coordinates(new, active))
    limit = model.gp.history.warped  # standardised, so that the incumbent's is the least
    incumbent = float(limit.min() * model.gp.history.scale[0, 0] + model.gp.history.location[0, 0])
    found = model.probability_of_improvement(new, active, margin=0.0, temperature=1.0)
    np.testing.assert_allclose(found, norm.cdf((incumbent - mean[:, 0]) / deviation[:, 0]), rtol=1e-6)
    assert (model.probability_of_improvement(new, active, margin=0.1, temperature=1.0) <= found).all()
    # the likely improvements lie in the bowl
    assert np.linalg.norm(new[found.argmax()] - 0.3) < 0.1


def test_only_the_best_and_an_even_rest_of_many_trials_are_seen() -> None:
    position = np.random.default_rng(1).random((300, 2))
    model = conditioned(bowl(position), position, max_trials=60)
    assert len(model.gp.history.score) == 60
    assert model.gp.history.score.min() == 0.0


@pytest.mark.parametrize("heads", [(1,), (0, 1, 2, 3, 4)])
def test_the_search_around_it_finds_a_minimum(heads: tuple[int, ...]) -> None:
    import ConfigSpace

    space = Space.from_configspace(ConfigSpace.ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)}))
    proposer = Proposer(space, GPSurrogate(heads=heads), with_settings("default", acquisition="gp-ei", evaluations=30))
    trials: list[Trial] = []
    for number in range(25):
        (config,) = proposer.suggest(trials, seed=0, number=number)
        trials.append(Trial(config, float(bowl(np.array([[config["x"], config["y"]]]))[0])))
    assert min(trial.value for trial in trials if trial.value is not None) < 1e-6

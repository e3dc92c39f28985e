"""Batches of proposals: fewer encodings of the history, no stale or repeated proposals, spread out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from optiformer.gp.kernels import HEADS, correlation, squared_distances
from optiformer.gp.posterior import Kinds
from optiformer.network_config import NetworkConfig
from optiformer.search.batch import select_batch
from optiformer.search.config import ProposerConfig
from optiformer.search.proposer import Proposer
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.surrogate.gp_surrogate import GPSurrogate
from optiformer.surrogate.network.network import build
from optiformer.surrogate.observed import Observed
from optiformer.surrogate.prediction import Prediction
from optiformer.surrogate.surrogate import Context, NetworkSurrogate

ENCODING = SurrogateConfig(slots=4, bins=64, max_trials=40, kernels_after=1, prior=FunctionPriorConfig(dimensions=(2,)))
NETWORK = NetworkConfig(32, 2, 2, 48)
SPACE = Space.from_configspace(ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)}))
BATCHES = ProposerConfig(uniform=16, local=16, refined=8, batch_fraction=0.1, acquisition="pi")


class Counting(NetworkSurrogate):
    encoded, predicted = 0, 0

    def encode(self, *args: Any, **settings: Any) -> Context:
        self.encoded += 1
        return super().encode(*args, **settings)

    def predict(self, *args: Any) -> Prediction:
        self.predicted += 1
        return super().predict(*args)


@pytest.fixture
def network() -> Counting:
    return Counting(SurrogateCheckpoint(arrays(build(ENCODING, NETWORK, seed=0).state_dict()), ENCODING, NETWORK, {}))


def observed(n: int) -> list[Trial]:
    rng = np.random.default_rng(0)
    return [Trial({"x": x, "y": y}, (x - 0.3) ** 2 + y) for x, y in rng.random((n, 2)).tolist()]


def test_a_batch_serves_its_fraction_of_the_history_s_length_in_asks(network: Counting) -> None:
    proposer, trials = Proposer(SPACE, network, BATCHES), observed(30)
    for ask in range(6):
        (config,) = proposer.suggest(trials, seed=ask, number=0)
        assert network.encoded == 1 + ask // 3
        trials.append(Trial(config, 1.0))
    assert len({tuple(t.config.items()) for t in trials}) == 36


def test_the_queue_is_discarded_with_a_different_history(network: Counting) -> None:
    proposer, trials = Proposer(SPACE, network, BATCHES), observed(30)
    proposer.suggest(trials, seed=0, number=0)
    proposer.suggest(trials[1:], seed=0, number=0)
    assert network.encoded == 2


def test_tried_and_pending_proposals_are_skipped(network: Counting) -> None:
    first, second, third = Proposer(SPACE, network, BATCHES).suggest(observed(30), 3, seed=0, number=0)
    assert network.encoded == 1
    proposer = Proposer(SPACE, network, BATCHES)
    assert proposer.suggest(observed(30), seed=0, number=0) == [first]
    assert proposer.suggest([*observed(30), Trial(second, 0.5)], seed=0, number=0, pending=[first]) == [third]
    assert network.encoded == 2


def test_without_batches_every_ask_encodes_the_history(network: Counting) -> None:
    proposer, trials = Proposer(SPACE, network, replace(BATCHES, batch_fraction=0.0)), observed(30)
    for ask in range(3):
        trials.append(Trial(proposer.suggest(trials, seed=ask, number=0)[0], 1.0))
    assert network.encoded == 3


def test_acquisitions_alternate_and_correlated_candidates_are_penalized() -> None:
    gains = np.array([[1.0, 0.0], [0.9, 0.1], [0.5, 0.2], [0.1, 1.0]])
    near = np.array([[1, 0.99, 0, 0], [0.99, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])

    def choose(schedule: list[int], forbidden: int = -1) -> list[int]:
        return select_batch(gains, schedule, lambda row: near[row], lambda row: row != forbidden)

    assert choose([0]) == [0]
    assert choose([0, 0]) == [0, 2]
    assert choose([0, 1, 0]) == [0, 3, 2]
    assert choose([0, 1], forbidden=0) == [1, 3]
    assert choose([0] * 9) == [0, 2, 1, 3]
    assert select_batch(np.zeros((0, 1)), [0], lambda row: near[row], lambda row: True) == []


def test_the_network_does_not_predict_when_gp_ei_selects(network: Counting) -> None:
    alternating = replace(BATCHES, batch_fraction=0.0, acquisition="pi+gp-ei", min_gp_r2=-9.0)
    for n, predicts in ((20, True), (21, False)):
        network.predicted = 0
        Proposer(SPACE, network, alternating).suggest(observed(n), seed=0, number=0)
        assert (network.predicted > 0) == predicts
    both = replace(alternating, batch_fraction=0.1)
    Proposer(SPACE, network, both).suggest(observed(21), seed=0, number=0)
    assert network.predicted > 0


def test_prior_correlation_is_the_mean_of_the_kernels() -> None:
    position, active = np.array([[0.2, 0.2], [0.2, 0.2], [0.21, 0.2], [0.9, 0.9]]), np.ones((4, 2), dtype=bool)
    known = Observed(
        np.array([[t.config["x"], t.config["y"]] for t in observed(12)]),
        np.ones((12, 2), dtype=bool),
        np.random.default_rng(1).random(12),
        np.zeros(12, dtype=bool),
    )
    kinds = Kinds(np.zeros(2, dtype=bool), np.zeros(2))
    model = GPSurrogate(tuple(range(len(HEADS)))).condition(kinds, known, evaluations=4)
    found = model.prior_correlation_rows(position, active)(0)
    np.testing.assert_allclose(found[:2], 1, atol=1e-4)
    assert 1 > found[2] > found[3] > 0
    scaled = model.coordinates(position, active) * model.gp.weights[:, None]
    each = [correlation(kernel, squared_distances(x, x))[0] for kernel, x in zip(HEADS.kernels, scaled, strict=True)]
    np.testing.assert_allclose(found, np.mean(each, 0), atol=1e-7)

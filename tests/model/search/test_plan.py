"""Proposals planned ahead: fewer passes over the history, never a stale or a repeated one, apart from each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from optiformer.errors import ModelError
from optiformer.gp.kernels import HEADS, correlation, squared_distances
from optiformer.network_config import NetworkConfig
from optiformer.search.batch import diverse
from optiformer.search.proposer import Proposer, ProposerConfig
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays
from optiformer.surrogate.config import MixtureConfig, SurrogateConfig
from optiformer.surrogate.features import ScoreAnchors
from optiformer.surrogate.network.network import build
from optiformer.surrogate.prediction import Prediction
from optiformer.surrogate.surrogate import Context, NetworkBelief, NetworkSurrogate

ENCODING = SurrogateConfig(slots=4, bins=64, max_trials=40, kernels_after=1, prior=MixtureConfig(dimensions=(2,)))
NETWORK = NetworkConfig(32, 2, 2, 48)
SPACE = Space.from_configspace(ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)}))
AHEAD = ProposerConfig(uniform=16, local=16, refined=8, ahead=0.1, acquisition="pi")


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


def told(n: int) -> list[Trial]:
    rng = np.random.default_rng(0)
    return [Trial({"x": x, "y": y}, (x - 0.3) ** 2 + y) for x, y in rng.random((n, 2)).tolist()]


def test_a_plan_serves_as_many_asks_as_its_share_of_the_history(network: Counting) -> None:
    proposer, trials = Proposer(SPACE, network, AHEAD), told(30)
    for asked in range(6):
        (config,) = proposer.suggest(trials, seed=asked, number=0)
        assert network.encoded == 1 + asked // 3
        trials.append(Trial(config, 1.0))
    assert len({tuple(t.config.items()) for t in trials}) == 36


def test_a_plan_is_dropped_with_another_history(network: Counting) -> None:
    proposer, trials = Proposer(SPACE, network, AHEAD), told(30)
    proposer.suggest(trials, seed=0, number=0)
    proposer.suggest(trials[1:], seed=0, number=0)
    assert network.encoded == 2


def test_what_was_tried_meanwhile_or_is_running_is_skipped(network: Counting) -> None:
    first, second, third = Proposer(SPACE, network, AHEAD).suggest(told(30), 3, seed=0, number=0)
    assert network.encoded == 1
    proposer = Proposer(SPACE, network, AHEAD)
    assert proposer.suggest(told(30), seed=0, number=0) == [first]
    assert proposer.suggest([*told(30), Trial(second, 0.5)], seed=0, number=0, pending=[first]) == [third]
    assert network.encoded == 2


def test_without_planning_ahead_every_ask_reads_the_history(network: Counting) -> None:
    proposer, trials = Proposer(SPACE, network, replace(AHEAD, ahead=0.0)), told(30)
    for asked in range(3):
        trials.append(Trial(proposer.suggest(trials, seed=asked, number=0)[0], 1.0))
    assert network.encoded == 3


def test_acquisitions_take_turns_and_alike_candidates_are_put_off() -> None:
    gains = np.array([[1.0, 0.0], [0.9, 0.1], [0.5, 0.2], [0.1, 1.0]])
    near = np.array([[1, 0.99, 0, 0], [0.99, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])

    def choose(turns: list[int], forbidden: int = -1) -> list[int]:
        return diverse(gains, turns, lambda row: near[row], lambda row: row != forbidden)

    assert choose([0]) == [0]
    assert choose([0, 0]) == [0, 2]
    assert choose([0, 1, 0]) == [0, 3, 2]
    assert choose([0, 1], forbidden=0) == [1, 3]
    assert choose([0] * 9) == [0, 2, 1, 3]
    assert diverse(np.zeros((0, 1)), [0], lambda row: near[row], lambda row: True) == []


def test_the_network_is_not_asked_when_the_process_chooses(network: Counting) -> None:
    turns = replace(AHEAD, ahead=0.0, acquisition="pi+gp-ei", trust=-9.0)
    for n, asked in ((20, True), (21, False)):
        network.predicted = 0
        Proposer(SPACE, network, turns).suggest(told(n), seed=0, number=0)
        assert (network.predicted > 0) == asked
    both = replace(turns, ahead=0.1)
    Proposer(SPACE, network, both).suggest(told(21), seed=0, number=0)
    assert network.predicted > 0


def test_likeness_is_the_kernels_own(network: Counting) -> None:
    position, active = np.array([[0.2, 0.2], [0.2, 0.2], [0.21, 0.2], [0.9, 0.9]]), np.ones((4, 2), dtype=bool)
    kinds = Proposer(SPACE, network, AHEAD).space.kinds(np.arange(2))
    where = np.array([[t.config["x"], t.config["y"]] for t in told(12)])
    told_active, score = np.ones((12, 2), dtype=bool), np.random.default_rng(1).random(12)
    context = network.encode(kinds, where, told_active, score, np.zeros(12, dtype=bool))
    alike = NetworkBelief(network, context, ScoreAnchors(0.0, 1.0, 0.05), 0.0).alike(position, active)(0)
    np.testing.assert_allclose(alike[:2], 1, atol=1e-4)
    assert 1 > alike[2] > alike[3] > 0
    assert context.solved is not None
    solved, coordinates = context.solved
    scaled = coordinates(position, active) * solved.weights[:, None]
    each = [correlation(kernel, squared_distances(x, x))[0] for kernel, x in zip(HEADS.kernels, scaled, strict=True)]
    np.testing.assert_allclose(alike, np.mean(each, 0), atol=1e-7)


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ModelError, match="ahead must be a number from 0 to 1, not 3"):
        ProposerConfig(ahead=3)

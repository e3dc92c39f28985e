"""Proposals planned ahead: fewer passes over the history, never a stale or a repeated one, apart from each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ConfigSpace import ConfigurationSpace

from model.checkpoint_files import shipped
from model.config import NetworkConfig
from model.errors import ModelError
from model.inference import Policy
from model.kernel_systems import coordinates, correlation, squares
from model.network import load
from model.plan import diverse
from model.prediction import Prediction
from model.proposer import Proposer, ProposerConfig
from model.space import Space
from model.tokenizer import Trial
from model.trial_checkpoint import TrialSetCheckpoint, arrays
from model.trial_config import MixtureConfig, TrialSetConfig
from model.trial_decoder import Context, TrialSetDecoder
from model.trial_network import build
from optimizers.base import Observation
from optimizers.optiformer_surrogate import OptiFormer, fingerprint

ENCODING = TrialSetConfig(slots=4, bins=64, max_trials=40, kernels_after=1, prior=MixtureConfig(dimensions=(2,)))
NETWORK = NetworkConfig(32, 2, 2, 48)
SPACE = Space.from_configspace(ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)}))
AHEAD = ProposerConfig(uniform=16, local=16, refined=8, ahead=0.1, acquisition="pi+ei")


class Counting(TrialSetDecoder):
    encoded, predicted = 0, 0

    def encode(self, *args: Any, **settings: Any) -> Context:
        self.encoded += 1
        return super().encode(*args, **settings)

    def predict(self, *args: Any) -> Prediction:
        self.predicted += 1
        return super().predict(*args)


@pytest.fixture
def decoder() -> Counting:
    network = build(ENCODING, NETWORK, seed=0)
    return Counting(TrialSetCheckpoint(arrays(network.state_dict()), ENCODING, NETWORK, {}), torch.float32)


def told(n: int) -> list[Trial]:
    rng = np.random.default_rng(0)
    return [Trial({"x": x, "y": y}, (x - 0.3) ** 2 + y) for x, y in rng.random((n, 2)).tolist()]


def test_a_plan_serves_as_many_asks_as_its_share_of_the_history(decoder: Counting) -> None:
    proposer, trials = Proposer(SPACE, decoder, AHEAD), told(30)
    for asked in range(6):
        (config,) = proposer.suggest(trials, rng=np.random.default_rng(asked))
        assert decoder.encoded == 1 + asked // 3
        trials.append(Trial(config, 1.0))
    assert len({tuple(t.config.items()) for t in trials}) == 36


def test_a_plan_is_dropped_with_another_history(decoder: Counting) -> None:
    proposer, trials = Proposer(SPACE, decoder, AHEAD), told(30)
    proposer.suggest(trials, rng=np.random.default_rng(0))
    proposer.suggest(trials[1:], rng=np.random.default_rng(0))
    assert decoder.encoded == 2


def test_what_was_tried_meanwhile_or_is_running_is_skipped(decoder: Counting) -> None:
    first, second, third = Proposer(SPACE, decoder, AHEAD).suggest(told(30), 3, rng=np.random.default_rng(0))
    assert decoder.encoded == 1
    proposer = Proposer(SPACE, decoder, AHEAD)
    assert proposer.suggest(told(30), rng=np.random.default_rng(0)) == [first]
    assert proposer.suggest([*told(30), Trial(second, 0.5)], rng=np.random.default_rng(0), pending=[first]) == [third]
    assert decoder.encoded == 2


def test_without_planning_ahead_every_ask_reads_the_history(decoder: Counting) -> None:
    proposer, trials = Proposer(SPACE, decoder, replace(AHEAD, ahead=0.0)), told(30)
    for asked in range(3):
        trials.append(Trial(proposer.suggest(trials, rng=np.random.default_rng(asked))[0], 1.0))
    assert decoder.encoded == 3


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


def test_the_network_is_not_asked_when_the_process_chooses(decoder: Counting) -> None:
    turns = replace(AHEAD, ahead=0.0, acquisition="pi+gp-ei", trust=-9.0)
    for n, network in ((20, True), (21, False)):
        decoder.predicted = 0
        Proposer(SPACE, decoder, turns).suggest(told(n), rng=np.random.default_rng(0))
        assert (decoder.predicted > 0) == network
    both = replace(turns, ahead=0.1)
    Proposer(SPACE, decoder, both).suggest(told(21), rng=np.random.default_rng(0))
    assert decoder.predicted > 0


def test_likeness_is_the_kernels_own(decoder: Counting) -> None:
    trials = told(12)
    proposer = Proposer(SPACE, decoder, AHEAD)
    position = torch.tensor([[[0.2, 0.2], [0.2, 0.2], [0.21, 0.2], [0.9, 0.9]]])
    kinds = proposer.space.kinds([0, 1])
    where = torch.tensor([[[t.config["x"], t.config["y"]] for t in trials]])
    context = decoder.encode(
        kinds, where, torch.ones_like(where).bool(), torch.rand(1, 12), torch.zeros(1, 12, dtype=torch.bool)
    )
    alike = decoder.alike(context, position, torch.ones_like(position).bool())(0)
    np.testing.assert_allclose(alike[:2], 1, atol=1e-4)
    assert 1 > alike[2] > alike[3] > 0
    assert context.solved is not None
    points = coordinates(decoder.encoding, kinds, position, torch.ones_like(position).bool())
    scaled = points[:, None] * context.solved.weights[:, :, None]
    np.testing.assert_allclose(alike, correlation(squares(scaled, scaled))[0, :, 0].mean(0), atol=1e-7)


def test_policy_samples_are_candidates_and_count_in_the_cells_key(decoder: Counting) -> None:
    config = replace(AHEAD, policy=4)
    with pytest.raises(ModelError, match="give the proposer a policy"):
        Proposer(SPACE, decoder, config)
    sampled: list[int] = []

    class Noting(Policy):
        def suggest(self, trials: Any, n: int = 1, **kw: Any) -> list[dict[str, Any]]:
            sampled.append(n)
            return super().suggest(trials, n, **kw)

    policy = Noting(SPACE, load(shipped("optiformer-seq")))
    assert Proposer(SPACE, decoder, config, policy=policy).suggest(told(9), rng=np.random.default_rng(0))
    assert sampled == [4]
    optimizer = OptiFormer(ConfigurationSpace({"x": (0.0, 1.0)}), seed=0, n_trials=9, policy=3)
    optimizer.tell([Observation({"x": x / 7}, x) for x in range(7)])
    assert optimizer.ask()
    assert fingerprint({"policy": 3}) != fingerprint({})


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ModelError, match="ahead must be a number from 0 to 1, not 3"):
        ProposerConfig(ahead=3)
